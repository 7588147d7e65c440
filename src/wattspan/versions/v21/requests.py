"""Requests of OCPP 2.1, as changes to 2.0.1: new messages, one of them never answered.

Costs and tariffs are passed on, not computed. There is no certificate authority for vehicles, energy planner, tax
office or payment provider; a request that needs one gets the status that the specification defines for that case.
"""

from collections.abc import Iterable, Mapping

from wattspan.domain import events as ev
from wattspan.domain.model import credible
from wattspan.domain.timestamps import charger_ts, wire_time
from wattspan.errors import CallFault
from wattspan.ocppj.frames import FRAMING_21
from wattspan.ocppj.schemas import CODES_2X, Schemas
from wattspan.versions.base import ChargePointContext, Payload, Request, Version
from wattspan.versions.fields import number, text, whole
from wattspan.versions.v2x import device_model as variables
from wattspan.versions.v2x.reports import NOT_ENABLED, request
from wattspan.versions.v2x.requests import REQUESTS as REQUESTS_201
from wattspan.versions.v21.commands import COMMANDS, stream_opened

STREAM = "NotifyPeriodicEventStream"
_HIGHEST_EVSE = 2**31 - 1
_HASH_FIELDS = {"hashAlgorithm": 6, "issuerNameHash": 128, "issuerKeyHash": 128, "serialNumber": 40}
"""Fields of CertificateHashDataType, with their maximum lengths."""
_ALGORITHMS = ("SHA256", "SHA384", "SHA512")


def _chain_status(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer GetCertificateChainStatus (OCPP 2.1 M07) with Failed: no OCSP responder is configured."""
    requested = [
        entry
        for entry in variables.objects(call.get("certificateStatusRequests"))
        if isinstance(data := entry.get("certificateHashData"), dict) and data.get("hashAlgorithm") in _ALGORITHMS
    ]
    if not requested:
        raise CallFault(CODES_2X.occurrence, "there is no certificateHashData of an algorithm that OCPP defines")
    return {
        "certificateStatus": [
            {
                "certificateHashData": _hash_data(entry["certificateHashData"]),
                "source": "CRL" if entry.get("source") == "CRL" else "OCSP",
                "status": "Failed",
                "nextUpdate": wire_time(cp.now_ts),
            }
            for entry in requested[:4]
        ]
    }


def _hash_data(data: Payload) -> Payload:
    return {name: text(data.get(name), limit) for name, limit in _HASH_FIELDS.items()}


def _dynamic_update(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer PullDynamicScheduleUpdate (OCPP 2.1 K28) with Rejected: there is no energy planner."""
    return {"status": "Rejected", "statusInfo": NOT_ENABLED}


def _vat_number(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer VatNumberValidation (OCPP 2.1 C23) with Rejected: no tax office is configured."""
    answer: Payload = {"status": "Rejected", "statusInfo": NOT_ENABLED, "vatNumber": text(call.get("vatNumber"), 20)}
    evse_id = whole(call.get("evseId"))
    return {**answer, "evseId": evse_id} if evse_id is not None and 0 <= evse_id <= _HIGHEST_EVSE else answer


def _open_stream(call: Payload, cp: ChargePointContext) -> Payload:
    """Accept OpenPeriodicEventStream (OCPP 2.1 N11)."""
    return {"status": "Accepted"}


def _stream_opened(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    stream = call.get("constantStreamData")
    return stream_opened(stream, cp_id, received_ts) if isinstance(stream, dict) else ()


def _stream_closed(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    stream_id = whole(call.get("id"))
    return (
        () if stream_id is None else (ev.EventStreamClosed(cp_id=cp_id, received_ts=received_ts, stream_id=stream_id),)
    )


def _stream_received(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe NotifyPeriodicEventStream: values with offsets from `basetime`. The newest is kept, all are counted."""
    stream_id = whole(call.get("id"))
    values = [entry for entry in variables.objects(call.get("data")) if text(entry.get("v"), 2500)]
    if stream_id is None or not values:
        return
    newest = max(values, key=_offset_s)
    base_ts = charger_ts(call.get("basetime"))
    at_ts = None if base_ts is None else credible(base_ts + _offset_s(newest), received_ts)
    yield ev.EventStreamReceived(
        cp_id=cp_id,
        received_ts=received_ts,
        stream_id=stream_id,
        value=text(newest.get("v"), 2500),
        reported_ts=received_ts if at_ts is None else min(at_ts, received_ts),
        count=len(values),
    )


def _offset_s(entry: Payload) -> float:
    return number(entry.get("t")) or 0.0


NEW: Mapping[str, Request] = {
    row.action: row
    for row in (
        request("BatterySwap"),
        request("ClosePeriodicEventStream", observe=_stream_closed),
        request("GetCertificateChainStatus", _chain_status),
        request("NotifyDERAlarm"),
        request("NotifyDERStartStop"),
        request(STREAM, observe=_stream_received),
        request("NotifyPriorityCharging"),
        request("NotifySettlement"),
        request("OpenPeriodicEventStream", _open_stream, observe=_stream_opened),
        request("PullDynamicScheduleUpdate", _dynamic_update),
        request("ReportDERControl"),
        request("VatNumberValidation", _vat_number),
    )
}

v21 = Version(
    subprotocol="ocpp2.1",
    name="2.1",
    schemas=Schemas.load("v21"),
    codes=CODES_2X,
    framing=FRAMING_21,
    requests={**REQUESTS_201, **NEW},
    commands=dict(COMMANDS),
    unconfirmed=frozenset({STREAM}),
)
