"""The messages of a charge point in OCPP 1.6's words. Pure: facts in, payload out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wattspan.simulator.link import Payload
from wattspan.simulator.vehicle import VOLTAGE_V, Vehicle

SUBPROTOCOL = "ocpp1.6"
NO_ERROR = "NoError"


def timestamp(ts: float) -> str:
    """Unix seconds as OCPP writes them."""
    return datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True, kw_only=True, eq=False)
class Transaction:
    """A transaction as the charge point knows it. `id` None: the start is not answered yet."""

    connector_id: int
    id_tag: str
    meter_start_wh: int
    started_ts: float
    """By the charge point's clock."""
    reservation_id: int | None = None
    id: int | None = None
    abandoned: bool = False
    """The central system would not take the start; it will not hear the rest."""


def boot_notification(cp_id: str, firmware: str) -> Payload:
    """BootNotification.req (OCPP 1.6 §6.3)."""
    return {
        "chargePointVendor": "Wattspan",
        "chargePointModel": "Virtual AC 22",
        "chargePointSerialNumber": cp_id[:25],
        "firmwareVersion": firmware[:50],
        "meterType": "Simulated",
    }


def status_notification(connector_id: int, status: str, error_code: str, ts: float) -> Payload:
    """StatusNotification.req (OCPP 1.6 §6.47)."""
    return {"connectorId": connector_id, "status": status, "errorCode": error_code, "timestamp": timestamp(ts)}


def start_transaction(transaction: Transaction) -> Payload:
    """StartTransaction.req (OCPP 1.6 §6.45)."""
    payload: Payload = {
        "connectorId": transaction.connector_id,
        "idTag": transaction.id_tag,
        "meterStart": transaction.meter_start_wh,
        "timestamp": timestamp(transaction.started_ts),
    }
    if transaction.reservation_id is not None:
        payload["reservationId"] = transaction.reservation_id
    return payload


def stop_transaction(transaction: Transaction, *, meter_stop_wh: int, ts: float, reason: str) -> Payload:
    """StopTransaction.req (OCPP 1.6 §6.49). `transaction.id` must be known."""
    return {
        "transactionId": transaction.id,
        "idTag": transaction.id_tag,
        "meterStop": meter_stop_wh,
        "timestamp": timestamp(ts),
        "reason": reason,
    }


def meter_values(connector_id: int, transaction_id: int | None, ts: float, samples: list[dict[str, str]]) -> Payload:
    """MeterValues.req (OCPP 1.6 §6.31). None: outside a transaction."""
    payload: Payload = {
        "connectorId": connector_id,
        "meterValue": [{"timestamp": timestamp(ts), "sampledValue": samples}],
    }
    if transaction_id is not None:
        payload["transactionId"] = transaction_id
    return payload


def samples(
    *, register_wh: int, vehicle: Vehicle | None, offered_a: float, context: str, measurands: set[str], jitter: float
) -> list[dict[str, str]]:
    """What the meter shows: register, current and voltage a phase, power, offered current, state of charge.

    `measurands` is the configured choice; the register is always among them. `jitter` is how unlike
    the phases are, e.g. 0.01.
    """
    phases = vehicle.phases if vehicle else 3
    current_a = vehicle.current_a if vehicle else 0.0
    found: list[tuple[str, str, str, float]] = []
    for phase in range(phases):
        unlike = 1 + jitter * (phase - 1)
        found.append(("Current.Import", "A", f"L{phase + 1}", current_a * unlike))
        found.append(("Voltage", "V", f"L{phase + 1}-N", VOLTAGE_V / unlike))
    found.append(("Power.Active.Import", "W", "", current_a * VOLTAGE_V * phases))
    found.append(("Current.Offered", "A", "", offered_a))
    if vehicle:
        found.append(("SoC", "Percent", "", vehicle.soc * 100))
    shown = [_sample("Energy.Active.Import.Register", "Wh", "", str(register_wh), context)]
    shown += [
        _sample(what, unit, phase, f"{value:.2f}", context) for what, unit, phase, value in found if what in measurands
    ]
    return shown


MEASURANDS = (
    "Energy.Active.Import.Register", "Current.Import", "Voltage", "Power.Active.Import", "Current.Offered", "SoC",
)  # fmt: skip


def _sample(measurand: str, unit: str, phase: str, value: str, context: str) -> dict[str, Any]:
    sample = {"value": value, "context": context, "measurand": measurand, "unit": unit}
    if phase:
        sample["phase"] = phase
    sample["location"] = "EV" if measurand == "SoC" else "Outlet"
    return sample
