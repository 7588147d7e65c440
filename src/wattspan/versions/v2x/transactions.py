"""TransactionEvent and MeterValues of OCPP 2.0.1 and 2.1 (Part 2 E, J): the answers, and the events.

A TransactionEvent without a token, about a transaction in memory, is answered without waiting.
"""

import re
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.status import CHARGING_STATES, charging_state
from wattspan.domain.timestamps import charger_ts
from wattspan.domain.transactions.v2x import NO_EVSE, key_of
from wattspan.errors import CallFault
from wattspan.ocppj.schemas import CODES_2X
from wattspan.versions.base import ACCEPTED, ChargePointContext, Payload
from wattspan.versions.fields import MAX_ID, identifier, number, text, whole
from wattspan.versions.v2x.id_tokens import authorization, status_of, token_of
from wattspan.versions.v2x.readings import readings

STARTED, ENDED = "Started", "Ended"
_BOUNDARIES = (STARTED, ENDED)
_SPELLED = frozenset({STARTED, "Updated", ENDED})
_KINDS = {kind.casefold(): kind for kind in _SPELLED}
_DETAILS = frozenset({"idToken", "reservationId", "numberOfPhasesUsed", "cableMaxCurrent"})
_PLAIN_ID = re.compile(rf"[!-~]{{1,{MAX_ID}}}").fullmatch
"""Matches an id from which nothing has to be cut off or left out, as nearly all are."""
_HIGHEST_SEQ_NO = (1 << 63) - 1


def evse_place(call: Payload) -> tuple[str | None, str | None]:
    """Return (EVSE, None), for a message that names an EVSE and no transaction."""
    return identifier(call.get("evseId")), None


def transaction_event(call: Payload, cp: ChargePointContext) -> Payload | Awaitable[Payload]:
    """Answer TransactionEvent (E), with idTokenInfo if it has a token. No cost is computed.

    The transaction is recorded even if the token may not charge, because it exists (E02.FR.01). Raises CallFault if the
    message has neither a transactionId nor a meterValue.
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
    start_key = None if _kind(call) == ENDED else key_of(transaction_id)
    return {"idTokenInfo": await authorization(token, cp, connector_id=_evse(call), start_key=start_key)}


def transaction_event_received(
    call: Payload, answer: Payload, cp_id: str, received_ts: float
) -> tuple[ev.TransactionEventReceived | ev.MeterValuesReceived]:
    """Observe TransactionEvent: one event with all parts of the message, or its meter values if it has no id."""
    evse, transaction_id = _evse(call) or NO_EVSE, _transaction_id(call)
    timestamp = call.get("timestamp")
    event_ts = charger_ts(timestamp)
    measured = readings(call["meterValue"], (timestamp, event_ts)) if "meterValue" in call else ()
    if transaction_id is None:
        return (_meter_values(cp_id, received_ts, evse, measured),)
    seq_no = call.get("seqNo")
    if type(seq_no) is not int or not 0 <= seq_no <= _HIGHEST_SEQ_NO:
        seq_no = _seq_no(seq_no)
    ref = ev.EventRef(seq_no, event_ts, "offline" in call and call["offline"] is True)
    kind, info = _kind(call), call["transactionInfo"]
    state, has_details = info.get("chargingState"), "remoteStartId" in info or not _DETAILS.isdisjoint(call)
    if not state:
        state = ""
    elif type(state) is not str or state not in CHARGING_STATES:
        state = charging_state(text(state, 50))
    event = ev.TransactionEventReceived(
        cp_id=cp_id,
        received_ts=received_ts,
        connector_id=evse,
        transaction_id=transaction_id,
        ref=ref,
        readings=measured,
        charging_state=state,
    )
    if kind in _BOUNDARIES or has_details or not (measured or state):
        return (_with_rare_parts(event, call, answer, has_details=has_details),)
    return (event,)


def meter_values_received(
    call: Payload, answer: Payload, cp_id: str, received_ts: float
) -> Iterable[ev.MeterValuesReceived]:
    """Observe MeterValues (J01) at an EVSE; EVSE 0 is the grid connection."""
    evse = identifier(call.get("evseId")) or NO_EVSE
    return (_meter_values(cp_id, received_ts, evse, readings(call.get("meterValue"))),)


def _meter_values(
    cp_id: str, received_ts: float, evse: str, measured: tuple[ev.Reading, ...]
) -> ev.MeterValuesReceived:
    return ev.MeterValuesReceived(
        cp_id=cp_id, received_ts=received_ts, connector_id=evse, transaction_id=None, readings=measured
    )


def _kind(call: Payload) -> Any:
    """Return the eventType, in OCPP's own spelling where it differs in case."""
    kind = call.get("eventType")
    return _KINDS.get(kind.strip().casefold(), kind) if type(kind) is str and kind not in _SPELLED else kind


def _with_rare_parts(
    event: ev.TransactionEventReceived, call: Payload, answer: Payload, *, has_details: bool
) -> ev.TransactionEventReceived:
    """Return the event with its start, details or end. An end has the readings, and no charging state."""
    kind = _kind(call)
    is_end = kind == ENDED
    is_bare = not (event.readings or event.charging_state or is_end)
    return replace(
        event,
        started=_started(event, call, answer) if kind == STARTED else None,
        details=_detailed(event, call) if has_details or is_bare else None,
        stopped=_stopped(event, call) if is_end else None,
        readings=() if is_end else event.readings,
        charging_state="" if is_end else event.charging_state,
    )


def _started(event: ev.TransactionEventReceived, call: Payload, answer: Payload) -> ev.TransactionStarted:
    token = token_of(call)
    return ev.TransactionStarted(
        cp_id=event.cp_id,
        received_ts=event.received_ts,
        connector_id=event.connector_id,
        transaction_id=event.transaction_id,
        key=key_of(event.transaction_id),
        id_token=token.id_token if token else "",
        id_token_type=token.type if token else "",
        meter_start_wh=_first_register(event.readings),
        started_ts=event.ref.charger_ts,
        reservation_id=whole(call.get("reservationId")),
        status=status_of(answer) or ACCEPTED,
        ref=event.ref,
    )


def _first_register(readings: tuple[ev.Reading, ...]) -> float | None:
    """Return the register of Transaction.Begin, or else of the earliest reading; None if there is none."""
    measured = [reading for reading in readings if reading.register_wh is not None]
    first = next((reading for reading in measured if reading.begins), measured[0] if measured else None)
    return None if first is None else first.register_wh


def _detailed(event: ev.TransactionEventReceived, call: Payload) -> ev.TransactionDetailed:
    """Return the details. The token of an end is left out: it belongs to the driver who stopped the transaction."""
    token = None if _kind(call) == ENDED else token_of(call)
    return ev.TransactionDetailed(
        cp_id=event.cp_id,
        received_ts=event.received_ts,
        connector_id=event.connector_id,
        transaction_id=event.transaction_id,
        id_token=token.id_token if token else "",
        id_token_type=token.type if token else "",
        reservation_id=whole(call.get("reservationId")),
        remote_start_id=whole(call["transactionInfo"].get("remoteStartId")),
        phases_used=whole(call.get("numberOfPhasesUsed")),
        cable_max_a=number(call.get("cableMaxCurrent")),
        ref=event.ref,
    )


def _stopped(event: ev.TransactionEventReceived, call: Payload) -> ev.TransactionStopped:
    """Return the end. A missing reason is Local (§2.13.3).

    Its register is that of Transaction.End, else the newest one in the message.
    """
    token, measured = token_of(call), event.readings
    if all(reading.charger_ts is not None for reading in measured):
        measured = tuple(sorted(measured, key=lambda reading: reading.charger_ts or 0.0))
    registers = [reading for reading in measured if reading.register_wh is not None and not reading.begins]
    registers = [reading for reading in registers if reading.ends] or registers
    return ev.TransactionStopped(
        cp_id=event.cp_id,
        received_ts=event.received_ts,
        connector_id=event.connector_id,
        transaction_id=event.transaction_id,
        meter_stop_wh=registers[-1].register_wh if registers else None,
        stopped_ts=event.ref.charger_ts,
        reason=text(call["transactionInfo"].get("stoppedReason"), 50) or "Local",
        id_token=token.id_token if token else None,
        readings=measured,
        ref=event.ref,
    )


def _evse(call: Payload) -> str | None:
    """Return the id of the EVSE; None: not named (yet)."""
    evse = call.get("evse")
    return identifier(evse.get("id")) if type(evse) is dict else None


def _transaction_id(call: Payload) -> str | None:
    info = call.get("transactionInfo")
    if type(info) is not dict:
        return None
    sent = info.get("transactionId")
    return sent if type(sent) is str and _PLAIN_ID(sent) is not None else identifier(sent)


def _id_as_sent(call: Payload) -> str:
    """Return the transaction's id unchanged, which is enough to look up a known one; "" if it is no text."""
    info = call.get("transactionInfo")
    sent = info.get("transactionId") if type(info) is dict else None
    return sent if type(sent) is str else ""


def _seq_no(value: Any) -> int | None:
    found = whole(value)
    return found if found is not None and 0 <= found <= _HIGHEST_SEQ_NO else None
