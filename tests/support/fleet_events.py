"""Events of a small fleet, for tests to apply."""

from collections.abc import Iterator
from typing import Any

from wattspan.domain import events as ev

NOW = 1_790_000_000.0


def samples(register_wh: float) -> list[dict[str, str]]:
    return [
        {"value": str(register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "16.1", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
    ]


def connected(cp_id: str = "CP1", at: float = NOW) -> ev.Event:
    return ev.ChargePointConnected(cp_id=cp_id, received_ts=at, protocol="ocpp1.6")


def started(cp_id: str = "CP1", transaction_id: str = "1", connector_id: str = "1", at: float = NOW) -> ev.Event:
    return ev.TransactionStarted(
        cp_id=cp_id,
        received_ts=at,
        connector_id=connector_id,
        transaction_id=transaction_id,
        key=f"start {transaction_id}",
        id_token="TOKEN",
        meter_start_wh=1000.0,
        started_ts=at,
    )


def metered(
    register_wh: float, at: float, cp_id: str = "CP1", transaction_id: str | None = "1", **figures: object
) -> ev.Event:
    fields: dict[str, Any] = {
        "current_a": 16.1,
        "power_w": 11_000.5,
        "offered_a": 32.0,
        "soc_percent": 41.0,
        "charger_ts": at,
        **figures,
    }
    reading = ev.Reading(register_wh=register_wh, samples=samples(register_wh), **fields)
    connector_id = str(fields.get("connector_id", "1"))
    return ev.MeterValuesReceived(
        cp_id=cp_id, received_ts=at, connector_id=connector_id, transaction_id=transaction_id, readings=(reading,)
    )


def stopped(cp_id: str = "CP1", transaction_id: str = "1", meter_stop_wh: float = 9000.0, at: float = NOW) -> ev.Event:
    return ev.TransactionStopped(
        cp_id=cp_id, received_ts=at, transaction_id=transaction_id, meter_stop_wh=meter_stop_wh, stopped_ts=at
    )


def day() -> Iterator[ev.Event]:
    """Yield events that change every figure: sessions, faults, commands, profiles, a reservation."""
    profile = {"chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile"}
    at: dict[str, Any] = {"cp_id": "CP1", "received_ts": NOW + 1}
    yield connected()
    yield ev.ChargePointBooted(**at, vendor="Volt", model="Two", serial_number="77", firmware="1.2")
    yield ev.HeartbeatReceived(**at)
    yield ev.ConnectorStatusChanged(**at, connector_id="0", status="Available")
    yield ev.ConnectorStatusChanged(
        **at, connector_id="1", status="Faulted", error_code="GroundFailure", charger_ts=NOW
    )
    yield ev.Authorized(**at, status="Accepted")
    yield ev.ProtocolFaulted(**at, code="FormationViolation")
    yield ev.SchemaFaulted(**at, action="MeterValues")
    yield ev.CommandAnswered(**at, action="Reset", status="Rejected", accepted=False, duration_s=0.1)
    yield ev.CommandFailed(**at, action="Reset", error_type="Timeout", duration_s=30.0)
    yield ev.ChargingProfileSet(**at, connector_id="1", profile=profile)
    yield ev.FirmwareStatusChanged(**at, status="Installed")
    yield ev.LogStatusChanged(**at, status="Uploaded")
    yield ev.SecurityEventReported(**at, type="FirmwareUpdated", charger_ts=NOW)
    yield ev.ReservationMade(
        **at, reservation_id=5, connector_id="1", id_token="T", parent_id_token=None, expires_ts=NOW + 9999
    )
    yield started()
    yield metered(3000.0, NOW + 60)
    yield stopped(at=NOW + 120)
    yield started(transaction_id="2", at=NOW + 200)
    yield ev.ConnectorStatusChanged(cp_id="CP1", received_ts=NOW + 210, connector_id="1", status="Charging")
    yield metered(1500.0, NOW + 220, transaction_id="2", begins=True)
    yield metered(2500.0, NOW + 260, transaction_id="2")
    yield metered(17_500.0, NOW + 320, transaction_id="2", current_a=None, offered_a=20.0)
    yield ev.ChargePointDisconnected(cp_id="CP1", received_ts=NOW + 330, code=1006)
    yield connected(at=NOW + 340)
    yield connected("CP2")
    yield metered(5.0, NOW + 400, "CP2", None)
