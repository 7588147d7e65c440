"""OCPP 1.6's words. Pure: facts in, payload out."""

from collections.abc import Iterable, Mapping
from typing import Any

from wattspan.simulator.dialects import v16_commands
from wattspan.simulator.dialects.base import Command, EventRef
from wattspan.simulator.facts import Reading, State, Transaction, timestamp
from wattspan.simulator.link import Payload
from wattspan.simulator.meter import REGISTER


class V16:
    """OCPP 1.6-J."""

    name = "1.6"
    subprotocol = "ocpp1.6"
    unreadable = "FormationViolation"

    @property
    def commands(self) -> Mapping[str, Command]:
        """OCPP 1.6 §5 and the security extension."""
        return v16_commands.COMMANDS

    def boot(self, cp_id: str, firmware: str, reason: str) -> EventRef:
        """BootNotification.req (OCPP 1.6 §6.3)."""
        payload = {
            "chargePointVendor": "Wattspan",
            "chargePointModel": "Virtual AC 22",
            "chargePointSerialNumber": cp_id[:25],
            "firmwareVersion": firmware[:50],
            "meterType": "Simulated",
        }
        return EventRef("BootNotification", lambda: payload)

    def authorize(self, id_tag: str) -> EventRef:
        """Authorize.req (OCPP 1.6 §6.1)."""
        return EventRef("Authorize", lambda: {"idTag": id_tag})

    def token_status(self, answer: Payload) -> str | None:
        """The status of idTagInfo."""
        info = answer.get("idTagInfo")
        return info.get("status") if isinstance(info, dict) else None

    def station_state(self, ts: float) -> Iterable[EventRef]:
        """Connector 0 is the charge point itself."""
        return self.state(0, State("Available"), None, ts)

    def state(self, number: int, now: State, before: State | None, ts: float) -> Iterable[EventRef]:
        """StatusNotification.req (OCPP 1.6 §6.47)."""
        payload = {
            "connectorId": number,
            "status": now.status,
            "errorCode": now.error_code,
            "timestamp": timestamp(ts),
        }
        return [EventRef("StatusNotification", lambda: payload, now.error_code)]

    def new_transaction_id(self) -> str | None:
        """The central system's to give."""
        return None

    def given_transaction_id(self, answer: Payload) -> int | None:
        """StartTransaction.conf's."""
        return int(answer["transactionId"])

    def started(self, of: Transaction, begin: Reading, *, offline: bool) -> EventRef:
        """StartTransaction.req (OCPP 1.6 §6.45)."""
        payload: Payload = {
            "connectorId": of.connector_id,
            "idTag": of.id_tag,
            "meterStart": begin.register_wh,
            "timestamp": timestamp(begin.ts),
        }
        if of.reservation_id is not None:
            payload["reservationId"] = of.reservation_id
        return EventRef("StartTransaction", lambda: payload)

    def changed(self, of: Transaction, status: str, ts: float, *, offline: bool) -> EventRef | None:
        """StatusNotification tells it."""
        return None

    def metered(self, of: Transaction, reading: Reading, *, offline: bool) -> EventRef:
        """MeterValues.req (OCPP 1.6 §6.31)."""
        return EventRef("MeterValues", lambda: _meter_values(of.connector_id, of, reading, "Sample.Periodic"))

    def stopped(self, of: Transaction, end: Reading, reason: str, *, offline: bool) -> EventRef:
        """StopTransaction.req (OCPP 1.6 §6.49)."""
        return EventRef(
            "StopTransaction",
            lambda: {
                "transactionId": of.id,
                "idTag": of.id_tag,
                "meterStop": end.register_wh,
                "timestamp": timestamp(end.ts),
                "reason": reason,
            },
        )

    def meter_values(self, number: int, of: Transaction | None, reading: Reading) -> EventRef:
        """MeterValues.req, asked for by TriggerMessage."""
        payload = _meter_values(number, of, reading, "Trigger")
        return EventRef("MeterValues", lambda: payload)


def _meter_values(number: int, of: Transaction | None, reading: Reading, context: str) -> Payload:
    shown = [_sample(REGISTER, "Wh", "", str(reading.register_wh), context)]
    shown += [_sample(what, unit, phase, f"{value:.2f}", context) for what, unit, phase, value in reading.samples]
    payload: Payload = {
        "connectorId": number,
        "meterValue": [{"timestamp": timestamp(reading.ts), "sampledValue": shown}],
    }
    if of is not None and of.id is not None:
        payload["transactionId"] = of.id
    return payload


def _sample(measurand: str, unit: str, phase: str, value: str, context: str) -> dict[str, Any]:
    sample = {"value": value, "context": context, "measurand": measurand, "unit": unit}
    if phase:
        sample["phase"] = phase
    sample["location"] = "EV" if measurand == "SoC" else "Outlet"
    return sample
