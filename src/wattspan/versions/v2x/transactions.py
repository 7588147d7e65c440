"""TransactionEvent and MeterValues of OCPP 2.0.1 and 2.1 (Part 2 E, J): what is answered, and what it meant.

A TransactionEvent that names no token, about a transaction that is known, is answered without waiting for anything.
"""

import re
from collections.abc import Awaitable, Iterable
from typing import Any, NamedTuple

from wattspan.domain import events as ev
from wattspan.domain.status import CHARGING_STATES
from wattspan.domain.timestamps import charger_ts
from wattspan.domain.transactions.v2x import NOWHERE, key_of
from wattspan.errors import CallFault
from wattspan.ocppj.schemas import CODES_2X
from wattspan.versions.base import ACCEPTED, ChargePointContext, Payload
from wattspan.versions.fields import MAX_ID, identifier, number, text, whole
from wattspan.versions.v2x.id_tokens import judged, status_of, token_of
from wattspan.versions.v2x.readings import readings

STARTED, ENDED = "Started", "Ended"
_FRAMING = (STARTED, ENDED)
_DETAILS = frozenset({"idToken", "reservationId", "numberOfPhasesUsed", "cableMaxCurrent"})
_PLAIN_ID = re.compile(rf"[!-~]{{1,{MAX_ID}}}").fullmatch
"""An id as nearly all are: nothing in it to be cut off or left out."""
_HIGHEST_SEQ_NO = (1 << 63) - 1


class _About(NamedTuple):
    """What all events of a message have in common. `evse` "0": none was named."""

    cp_id: str
    received_ts: float
    evse: str
    transaction_id: str
    ref: ev.EventRef


def metered_place(call: Payload) -> tuple[str | None, str | None]:
    """(EVSE, None) of a message that names an EVSE and never a transaction."""
    return identifier(call.get("evseId")), None


def transaction_event(call: Payload, cp: ChargePointContext) -> Payload | Awaitable[Payload]:
    """TransactionEventResponse (E): idTokenInfo where a token was sent, and no price that nobody worked out.

    A token that may not charge is told so; the transaction is kept all the same, for it is there (E02.FR.01).
    """
    if "idToken" not in call and cp.knows(_id_as_sent(call)):
        return {}
    transaction_id = _transaction_id(call)
    if transaction_id is None:
        if not call.get("meterValue"):
            raise CallFault(CODES_2X.occurrence, "there is neither a transactionId nor a meterValue")
        return {}
    return _transaction_event(call, cp, transaction_id)


async def _transaction_event(call: Payload, cp: ChargePointContext, transaction_id: str) -> Payload:
    await cp.recall(transaction_id)
    token = token_of(call)
    if token is None:
        return {}
    start_key = None if call.get("eventType") == ENDED else key_of(transaction_id)
    return {"idTokenInfo": await judged(token, cp, connector_id=_evse(call), start_key=start_key)}


def transaction_told(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """What a TransactionEvent meant: at most a beginning, details, readings, a state and an end, in this order."""
    evse, transaction_id = _evse(call) or NOWHERE, _transaction_id(call)
    timestamp = call.get("timestamp")
    told_ts = charger_ts(timestamp)
    measured = readings(call["meterValue"], (timestamp, told_ts)) if "meterValue" in call else ()
    if transaction_id is None:
        return (_measured(cp_id, received_ts, evse, None, measured, None),)
    seq_no = call.get("seqNo")
    if type(seq_no) is not int or not 0 <= seq_no <= _HIGHEST_SEQ_NO:
        seq_no = _seq_no(seq_no)
    told = ev.EventRef(seq_no, told_ts, "offline" in call and call["offline"] is True)
    kind, info = call.get("eventType"), call["transactionInfo"]
    state, has_details = info.get("chargingState"), "remoteStartId" in info or not _DETAILS.isdisjoint(call)
    events: list[ev.Event] = []
    if kind in _FRAMING or has_details or not (measured or state):
        about = _About(cp_id, received_ts, evse, transaction_id, told)
        if kind == STARTED:
            events.append(_started(call, answer, about, measured))
        if has_details or not (measured or state or kind == ENDED):
            events.append(_detailed(call, info, about))
        if kind == ENDED:
            return [*events, _stopped(call, info, about, measured)]
    if measured:
        events.append(_measured(cp_id, received_ts, evse, transaction_id, measured, told))
    if state:
        events.append(
            ev.ChargingStateChanged(
                cp_id=cp_id,
                received_ts=received_ts,
                connector_id=evse,
                transaction_id=transaction_id,
                state=state if type(state) is str and state in CHARGING_STATES else text(state, 50),
                ref=told,
            )
        )
    return events


def meter_values(call: Payload, cp: ChargePointContext) -> Payload:
    """MeterValuesResponse (J01). An error would only have the charger send it again."""
    return {}


def meter_values_received(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """What was measured at an EVSE; EVSE 0 is the grid connection."""
    evse = identifier(call.get("evseId")) or NOWHERE
    return (_measured(cp_id, received_ts, evse, None, readings(call.get("meterValue")), None),)


def _measured(
    cp_id: str,
    received_ts: float,
    evse: str,
    transaction_id: str | None,
    measured: tuple[ev.Reading, ...],
    ref: ev.EventRef | None,
) -> ev.MeterValuesReceived:
    return ev.MeterValuesReceived(
        cp_id=cp_id,
        received_ts=received_ts,
        connector_id=evse,
        transaction_id=transaction_id,
        readings=measured,
        ref=ref,
    )


def _started(call: Payload, answer: Payload, about: _About, measured: tuple[ev.Reading, ...]) -> ev.TransactionStarted:
    token = token_of(call)
    return ev.TransactionStarted(
        cp_id=about.cp_id,
        received_ts=about.received_ts,
        connector_id=about.evse,
        transaction_id=about.transaction_id,
        key=key_of(about.transaction_id),
        id_token=token.id_token if token else "",
        id_token_type=token.type if token else "",
        meter_start_wh=next((r.register_wh for r in measured if r.register_wh is not None), None),
        started_ts=about.ref.charger_ts,
        reservation_id=whole(call.get("reservationId")),
        status=status_of(answer) or ACCEPTED,
        ref=about.ref,
    )


def _detailed(call: Payload, info: Payload, about: _About) -> ev.TransactionDetailed:
    """The token of an end is of who stopped it, and told with the end."""
    token = None if call.get("eventType") == ENDED else token_of(call)
    return ev.TransactionDetailed(
        cp_id=about.cp_id,
        received_ts=about.received_ts,
        connector_id=about.evse,
        transaction_id=about.transaction_id,
        id_token=token.id_token if token else "",
        id_token_type=token.type if token else "",
        reservation_id=whole(call.get("reservationId")),
        remote_start_id=whole(info.get("remoteStartId")),
        phases_used=whole(call.get("numberOfPhasesUsed")),
        cable_max_a=number(call.get("cableMaxCurrent")),
        ref=about.ref,
    )


def _stopped(call: Payload, info: Payload, about: _About, measured: tuple[ev.Reading, ...]) -> ev.TransactionStopped:
    """The register at the end is the newest sent with it. Local is the reason that need not be told (§2.13.3)."""
    token = token_of(call)
    if all(reading.charger_ts is not None for reading in measured):
        measured = tuple(sorted(measured, key=lambda reading: reading.charger_ts or 0.0))
    registers = [reading.register_wh for reading in measured if reading.register_wh is not None and not reading.begins]
    return ev.TransactionStopped(
        cp_id=about.cp_id,
        received_ts=about.received_ts,
        connector_id=about.evse,
        transaction_id=about.transaction_id,
        meter_stop_wh=registers[-1] if registers else None,
        stopped_ts=about.ref.charger_ts,
        reason=text(info.get("stoppedReason"), 50) or "Local",
        id_token=token.id_token if token else None,
        readings=measured,
        ref=about.ref,
    )


def _evse(call: Payload) -> str | None:
    """The id of the EVSE, the connector of 1.6; None: not named (yet)."""
    evse = call.get("evse")
    return identifier(evse.get("id")) if type(evse) is dict else None


def _transaction_id(call: Payload) -> str | None:
    info = call.get("transactionInfo")
    if type(info) is not dict:
        return None
    told = info.get("transactionId")
    return told if type(told) is str and _PLAIN_ID(told) is not None else identifier(told)


def _id_as_sent(call: Payload) -> str:
    """The transaction's id as the message has it: one that is known needs no other look. "" where there is no text."""
    info = call.get("transactionInfo")
    told = info.get("transactionId") if type(info) is dict else None
    return told if type(told) is str else ""


def _seq_no(value: Any) -> int | None:
    found = whole(value)
    return found if found is not None and 0 <= found <= _HIGHEST_SEQ_NO else None
