"""What operators ask, as OCPP says it: a row a wish, with action and payload for 1.6 and for 2.x. It sends nothing."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wattspan.api.models import operations as asks
from wattspan.api.models.common import Body, Payload, moment
from wattspan.api.problems import Problem
from wattspan.domain.model import ChargePoint
from wattspan.store.records import IdTag

OcppCall = tuple[str, Payload]
"""OCPP's action, and its payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationContext:
    """What a wish may need to know besides itself."""

    cp: ChargePoint
    now_ts: float
    upload_to: Callable[[], str]
    """Makes an address for one upload."""
    firmware_at: str
    """The address of the firmware that was asked for; "" for none."""
    id_tags: Sequence[IdTag]
    """Those on file; only for a wish that `sends_id_tags`."""

    @property
    def now(self) -> str:
        return _text(datetime.fromtimestamp(self.now_ts, UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the table."""

    summary: str
    model: type[Body]
    v16: Callable[[Any, OperationContext], OcppCall]
    v2: Callable[[Any, OperationContext], OcppCall]
    sends_id_tags: bool = False


def _without_none(**fields: Any) -> Payload:
    return {name: value for name, value in fields.items() if value is not None}


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else _text(at)


def _number() -> int:
    """A request's or a profile's id, drawn: above those that people give by hand."""
    return 1_000_000 + secrets.randbelow(2**31 - 1_000_000)


def _token(id_tag: str) -> Payload:
    """2.x says where a token is from; ours are known here alone (2.0.1 Part 2 §2.42)."""
    return {"idToken": id_tag, "type": "Central"}


def _evse(connector_id: int | None) -> Payload | None:
    return {"id": connector_id} if connector_id else None


def _transaction(asked: asks.Stop, around: OperationContext) -> str:
    """OCPP's id of the transaction that is meant. Raises Problem 409 where that is not clear."""
    running = [tx for tx in around.cp.transactions.values() if asked.transaction in (None, tx.number)]
    if len(running) != 1:
        which = "no such transaction runs here" if not running else "several transactions run here: say which"
        raise Problem(409, which, kind="transaction")
    return running[0].transaction_id


def _stop_16(asked: asks.Stop, around: OperationContext) -> OcppCall:
    text = _transaction(asked, around)
    if not text.lstrip("-").isdigit():
        raise Problem(409, "the transaction began under another OCPP version", kind="transaction")
    return "RemoteStopTransaction", {"transactionId": int(text)}


def _purpose(asked: asks.Limit, whole: str) -> str:
    return whole if asked.connector_id == 0 else "TxDefaultProfile"


def _schedule(asked: asks.Limit, around: OperationContext) -> Payload:
    period = _without_none(startPeriod=0, limit=asked.limit, numberPhases=asked.phases)
    return _without_none(
        startSchedule=around.now,
        duration=asked.lasts_s,
        chargingRateUnit=asked.unit.value,
        chargingSchedulePeriod=[period],
    )


def _limit_16(asked: asks.Limit, around: OperationContext) -> OcppCall:
    profile = {
        "chargingProfileId": asked.profile_id if asked.profile_id is not None else _number(),
        "stackLevel": asked.stack_level,
        "chargingProfilePurpose": _purpose(asked, "ChargePointMaxProfile"),
        "chargingProfileKind": "Absolute",
        "chargingSchedule": _schedule(asked, around),
    }
    return "SetChargingProfile", {"connectorId": asked.connector_id, "csChargingProfiles": profile}


def _limit_2(asked: asks.Limit, around: OperationContext) -> OcppCall:
    profile = {
        "id": asked.profile_id if asked.profile_id is not None else _number(),
        "stackLevel": asked.stack_level,
        "chargingProfilePurpose": _purpose(asked, "ChargingStationMaxProfile"),
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [{"id": 1, **_schedule(asked, around)}],
    }
    return "SetChargingProfile", {"evseId": asked.connector_id, "chargingProfile": profile}


def _clear_2(asked: asks.ClearLimit, _around: OperationContext) -> OcppCall:
    criteria = _without_none(evseId=asked.connector_id, stackLevel=asked.stack_level)
    return "ClearChargingProfile", _without_none(
        chargingProfileId=asked.profile_id, chargingProfileCriteria=criteria or None
    )


def _chosen(asked: asks.SendLocalList, around: OperationContext) -> Sequence[IdTag]:
    if asked.id_tags is None:
        return around.id_tags
    wanted = {each.casefold() for each in asked.id_tags}
    return [tag for tag in around.id_tags if tag.id_token.casefold() in wanted]


def _list_16(asked: asks.SendLocalList, around: OperationContext) -> OcppCall:
    entries = [
        {
            "idTag": tag.id_token,
            "idTagInfo": _without_none(
                status=tag.status, expiryDate=_maybe(moment(tag.expiry_ts)), parentIdTag=tag.parent
            ),
        }
        for tag in _chosen(asked, around)
    ]
    version = asked.version or int(around.now_ts)
    fields = {"listVersion": version, "updateType": asked.update.value, "localAuthorizationList": entries}
    return "SendLocalList", fields


def _list_2(asked: asks.SendLocalList, around: OperationContext) -> OcppCall:
    entries = [
        {
            "idToken": _token(tag.id_token),
            "idTokenInfo": _without_none(
                status=tag.status,
                cacheExpiryDateTime=_maybe(moment(tag.expiry_ts)),
                groupIdToken=_token(tag.parent) if tag.parent else None,
            ),
        }
        for tag in _chosen(asked, around)
    ]
    fields: Payload = {"versionNumber": asked.version or int(around.now_ts), "updateType": asked.update.value}
    # 2.x wants at least one entry where the list is given; without it, Full empties the charger's.
    return "SendLocalList", {**fields, **({"localAuthorizationList": entries} if entries else {})}


def _logs_16(asked: asks.Logs, around: OperationContext) -> OcppCall:
    if asked.kind is asks.LogKind.SECURITY:
        return _logs_2(asked, around)  # 1.6's security extension took the message from 2.x
    return "GetDiagnostics", _without_none(
        location=asked.location or around.upload_to(),
        startTime=_maybe(asked.from_at),
        stopTime=_maybe(asked.until_at),
    )


def _logs_2(asked: asks.Logs, around: OperationContext) -> OcppCall:
    log = _without_none(
        remoteLocation=asked.location or around.upload_to(),
        oldestTimestamp=_maybe(asked.from_at),
        latestTimestamp=_maybe(asked.until_at),
    )
    kind = {asks.LogKind.DIAGNOSTICS: "DiagnosticsLog", asks.LogKind.SECURITY: "SecurityLog"}[asked.kind]
    return "GetLog", {"logType": kind, "requestId": _number(), "log": log}


def _source(asked: asks.Firmware, around: OperationContext) -> str:
    found = asked.location or around.firmware_at
    if not found:
        raise Problem(422, "say where the firmware is", faults=[("/location", "or give firmware_id")])
    return found


def _firmware_16(asked: asks.Firmware, around: OperationContext) -> OcppCall:
    fields = {"location": _source(asked, around), "retrieveDate": _maybe(asked.retrieve_at) or around.now}
    return "UpdateFirmware", fields


def _firmware_2(asked: asks.Firmware, around: OperationContext) -> OcppCall:
    firmware = {"location": _source(asked, around), "retrieveDateTime": _maybe(asked.retrieve_at) or around.now}
    return "UpdateFirmware", {"requestId": _number(), "firmware": firmware}


def _reservation(asked: asks.Reserve) -> int:
    return asked.reservation_id if asked.reservation_id is not None else _number()


OPERATIONS: Mapping[str, Operation] = {
    "start": Operation(
        summary="Start charging",
        model=asks.Start,
        v16=lambda ask, _: (
            "RemoteStartTransaction",
            _without_none(idTag=ask.id_tag, connectorId=ask.connector_id),
        ),
        v2=lambda ask, _: (
            "RequestStartTransaction",
            _without_none(idToken=_token(ask.id_tag), remoteStartId=_number(), evseId=ask.connector_id),
        ),
    ),
    "stop": Operation(
        summary="Stop charging",
        model=asks.Stop,
        v16=_stop_16,
        v2=lambda ask, around: ("RequestStopTransaction", {"transactionId": _transaction(ask, around)}),
    ),
    "unlock": Operation(
        summary="Unlock a connector",
        model=asks.Unlock,
        v16=lambda ask, _: ("UnlockConnector", {"connectorId": ask.connector_id}),
        v2=lambda ask, _: ("UnlockConnector", {"evseId": ask.connector_id, "connectorId": 1}),
    ),
    "reset": Operation(
        summary="Restart the charge point",
        model=asks.Reset,
        v16=lambda ask, _: ("Reset", {"type": "Hard" if ask.hard else "Soft"}),
        v2=lambda ask, _: ("Reset", {"type": "Immediate" if ask.hard else "OnIdle"}),
    ),
    "reserve": Operation(
        summary="Reserve a connector",
        model=asks.Reserve,
        v16=lambda ask, _: (
            "ReserveNow",
            _without_none(
                connectorId=ask.connector_id,
                expiryDate=_text(ask.expires_at),
                idTag=ask.id_tag,
                parentIdTag=ask.parent_id_tag,
                reservationId=_reservation(ask),
            ),
        ),
        v2=lambda ask, _: (
            "ReserveNow",
            _without_none(
                id=_reservation(ask),
                expiryDateTime=_text(ask.expires_at),
                idToken=_token(ask.id_tag),
                groupIdToken=_token(ask.parent_id_tag) if ask.parent_id_tag else None,
                evseId=ask.connector_id or None,
            ),
        ),
    ),
    "cancel-reservation": Operation(
        summary="Cancel a reservation",
        model=asks.CancelReservation,
        v16=lambda ask, _: ("CancelReservation", {"reservationId": ask.reservation_id}),
        v2=lambda ask, _: ("CancelReservation", {"reservationId": ask.reservation_id}),
    ),
    "limit": Operation(summary="Limit current or power", model=asks.Limit, v16=_limit_16, v2=_limit_2),
    "clear-limit": Operation(
        summary="Clear charging profiles",
        model=asks.ClearLimit,
        v16=lambda ask, _: (
            "ClearChargingProfile",
            _without_none(id=ask.profile_id, connectorId=ask.connector_id, stackLevel=ask.stack_level),
        ),
        v2=_clear_2,
    ),
    "availability": Operation(
        summary="Take into or out of service",
        model=asks.Availability,
        v16=lambda ask, _: (
            "ChangeAvailability",
            {"connectorId": ask.connector_id, "type": "Operative" if ask.operative else "Inoperative"},
        ),
        v2=lambda ask, _: (
            "ChangeAvailability",
            _without_none(
                operationalStatus="Operative" if ask.operative else "Inoperative", evse=_evse(ask.connector_id)
            ),
        ),
    ),
    "trigger": Operation(
        summary="Have it send a message",
        model=asks.Trigger,
        v16=lambda ask, _: (
            "TriggerMessage",
            _without_none(requestedMessage=ask.message, connectorId=ask.connector_id),
        ),
        v2=lambda ask, _: (
            "TriggerMessage",
            _without_none(requestedMessage=ask.message, evse=_evse(ask.connector_id)),
        ),
    ),
    "local-list": Operation(
        summary="Send the local list of id tags", model=asks.SendLocalList, v16=_list_16, v2=_list_2, sends_id_tags=True
    ),
    "logs": Operation(summary="Have it upload a log", model=asks.Logs, v16=_logs_16, v2=_logs_2),
    "firmware": Operation(summary="Update its firmware", model=asks.Firmware, v16=_firmware_16, v2=_firmware_2),
}
"""By the name of the route."""
