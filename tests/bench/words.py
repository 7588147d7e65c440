"""What a charge point of the benchmark says, in each OCPP version's words: the same facts and four samples."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FIRST_WH = 100_000_000
"""Nine digits, like all that follow: a frame keeps its length."""

Call = tuple[str, Any]
TRANSACTION = "BENCH-{cp_id}"
TOKEN = {"idToken": "BENCH", "type": "ISO14443"}


def _moment() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One version. `measure(connector, transaction, register_wh, number)` is what is measured."""

    subprotocol: str
    boot: Callable[[], Call]
    status: Callable[[int], Call]
    start: Callable[[int, str], Call]
    transaction_id: Callable[[Any, str], Any]
    """(answer to the start, cp_id) to the transaction's id."""
    measure: Callable[[int, Any, int, int], Call]


def _boot_16() -> Call:
    return "BootNotification", {"chargePointVendor": "Bench", "chargePointModel": "One"}


def _status_16(connector: int) -> Call:
    told = {"connectorId": connector, "errorCode": "NoError", "status": "Charging", "timestamp": _moment()}
    return "StatusNotification", told


def _start_16(connector: int, _cp_id: str) -> Call:
    told = {"connectorId": connector, "idTag": "BENCH", "meterStart": FIRST_WH, "timestamp": _moment()}
    return "StartTransaction", told


_SAMPLES: tuple[tuple[str, str, str | None, str | None], ...] = (
    ("Current.Import", "A", "L1", "16.1"),
    ("Power.Active.Import", "W", None, "3703.0"),
    ("Voltage", "V", "L1-N", "230.1"),
)


def _samples_16(register_wh: int) -> list[dict[str, str]]:
    register = {"value": str(register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    found = [register | {"location": "Outlet"}]
    for measurand, unit, phase, value in _SAMPLES:
        sample = {"value": value, "measurand": measurand, "unit": unit}
        found.append(sample | ({"phase": phase} if phase else {}))  # type: ignore[arg-type]
    return found


def _meter_values_16(connector: int, transaction_id: Any, register_wh: int, _number: int) -> Call:
    reading = {"timestamp": _moment(), "sampledValue": _samples_16(register_wh)}
    return "MeterValues", {"connectorId": connector, "transactionId": transaction_id, "meterValue": [reading]}


def _boot_2x() -> Call:
    return "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "Bench", "model": "One"}}


def _status_2x(connector: int) -> Call:
    told = {"timestamp": _moment(), "connectorStatus": "Occupied", "evseId": connector, "connectorId": 1}
    return "StatusNotification", told


def _reading_2x(register_wh: int) -> dict[str, Any]:
    found = [
        {"value": float(s["value"]), "unitOfMeasure": {"unit": s["unit"]}} | {k: s[k] for k in s if k not in _OTHERWISE}
        for s in _samples_16(register_wh)
    ]
    found[0]["value"] = register_wh
    return {"timestamp": _moment(), "sampledValue": found}


_OTHERWISE = {"value", "unit"}


def _event(kind: str, trigger: str, transaction_id: str, number: int, **more: Any) -> Call:
    told = {"eventType": kind, "timestamp": _moment(), "triggerReason": trigger, "seqNo": number}
    return "TransactionEvent", told | {"transactionInfo": {"transactionId": transaction_id}} | more


def _start_2x(connector: int, cp_id: str) -> Call:
    more = {"evse": {"id": connector, "connectorId": 1}, "idToken": TOKEN, "meterValue": [_reading_2x(FIRST_WH)]}
    return _event("Started", "Authorized", TRANSACTION.format(cp_id=cp_id), 0, **more)


def _updated_2x(_connector: int, transaction_id: Any, register_wh: int, number: int) -> Call:
    return _event("Updated", "MeterValuePeriodic", transaction_id, number, meterValue=[_reading_2x(register_wh)])


def _meter_values_2x(connector: int, _transaction_id: Any, register_wh: int, _number: int) -> Call:
    return "MeterValues", {"evseId": connector, "meterValue": [_reading_2x(register_wh)]}


V16 = Words(
    subprotocol="ocpp1.6",
    boot=_boot_16,
    status=_status_16,
    start=_start_16,
    transaction_id=lambda answer, _: answer["transactionId"],
    measure=_meter_values_16,
)


def new(subprotocol: str, *, events: bool) -> Words:
    """2.0.1 or 2.1: readings by TransactionEvent, or by MeterValues."""
    return Words(
        subprotocol=subprotocol,
        boot=_boot_2x,
        status=_status_2x,
        start=_start_2x,
        transaction_id=lambda _, cp_id: TRANSACTION.format(cp_id=cp_id),
        measure=_updated_2x if events else _meter_values_2x,
    )
