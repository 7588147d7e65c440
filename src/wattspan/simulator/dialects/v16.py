"""The messages of OCPP 1.6. Pure: it creates payloads from `model`, and must not know the connection."""

from collections.abc import Iterable, Mapping
from typing import Any

from wattspan.domain.timestamps import wire_time
from wattspan.ocppj.frames import FRAMING_16
from wattspan.simulator.dialects import v16_commands
from wattspan.simulator.dialects.base import Command, OutgoingCall
from wattspan.simulator.meter import REGISTER
from wattspan.simulator.model import ConnectorState, Hardware, Reading, Transaction
from wattspan.simulator.rpc import Payload


class V16:
    """OCPP 1.6-J."""

    name = "1.6"
    subprotocol = "ocpp1.6"
    framing = FRAMING_16

    @property
    def commands(self) -> Mapping[str, Command]:
        """Supported commands by action (OCPP 1.6 §5 and the security extension)."""
        return v16_commands.COMMANDS

    def boot(self, cp_id: str, hardware: Hardware, reason: str) -> OutgoingCall:
        """Return BootNotification.req (OCPP 1.6 §6.3)."""
        payload = {
            "chargePointVendor": hardware.vendor[:20],
            "chargePointModel": hardware.model[:20],
            "chargePointSerialNumber": cp_id[:25],
            "firmwareVersion": hardware.firmware[:50],
            "meterType": "Simulated",
        }
        return OutgoingCall("BootNotification", lambda: payload)

    def authorize(self, id_tag: str) -> OutgoingCall:
        """Return Authorize.req (OCPP 1.6 §6.1)."""
        return OutgoingCall("Authorize", lambda: {"idTag": id_tag})

    def token_status(self, answer: Payload) -> str | None:
        """Return the status of idTagInfo, or None if it is missing."""
        info = answer.get("idTagInfo")
        return info.get("status") if isinstance(info, dict) else None

    def station_status(self, ts: float) -> Iterable[OutgoingCall]:
        """Return the status of connector 0, which is the charge point itself."""
        return self.connector_status(0, ConnectorState("Available"), None, ts)

    def connector_status(
        self, number: int, now: ConnectorState, before: ConnectorState | None, ts: float
    ) -> Iterable[OutgoingCall]:
        """Return StatusNotification.req (OCPP 1.6 §6.47)."""
        payload = {
            "connectorId": number,
            "status": now.status,
            "errorCode": now.error_code,
            "timestamp": wire_time(ts),
        }
        return [OutgoingCall("StatusNotification", lambda: payload, now.error_code)]

    def new_transaction_id(self) -> str | None:
        """Return None: the central system assigns it."""
        return None

    def assigned_transaction_id(self, answer: Payload) -> int | None:
        """Return the transactionId of StartTransaction.conf. Raises KeyError, TypeError or ValueError without one."""
        return int(answer["transactionId"])

    def transaction_started(self, transaction: Transaction, begin: Reading, *, offline: bool) -> OutgoingCall:
        """Return StartTransaction.req (OCPP 1.6 §6.45)."""
        payload: Payload = {
            "connectorId": transaction.connector_id,
            "idTag": transaction.id_tag,
            "meterStart": begin.register_wh,
            "timestamp": wire_time(begin.ts),
        }
        if transaction.reservation_id is not None:
            payload["reservationId"] = transaction.reservation_id
        return OutgoingCall("StartTransaction", lambda: payload)

    def charging_state_changed(
        self, transaction: Transaction, status: str, ts: float, *, offline: bool
    ) -> OutgoingCall | None:
        """Return None: StatusNotification reports it."""
        return None

    def meter_reading(self, transaction: Transaction, reading: Reading, *, offline: bool) -> OutgoingCall:
        """Return MeterValues.req (OCPP 1.6 §6.31)."""
        return OutgoingCall(
            "MeterValues", lambda: _meter_values(transaction.connector_id, transaction, reading, "Sample.Periodic")
        )

    def transaction_stopped(
        self, transaction: Transaction, end: Reading, reason: str, *, offline: bool
    ) -> OutgoingCall:
        """Return StopTransaction.req (OCPP 1.6 §6.49)."""
        return OutgoingCall(
            "StopTransaction",
            lambda: {
                "transactionId": transaction.id,
                "idTag": transaction.id_tag,
                "meterStop": end.register_wh,
                "timestamp": wire_time(end.ts),
                "reason": reason,
            },
        )

    def meter_values(self, number: int, transaction: Transaction | None, reading: Reading) -> OutgoingCall:
        """Return MeterValues.req, requested by TriggerMessage."""
        payload = _meter_values(number, transaction, reading, "Trigger")
        return OutgoingCall("MeterValues", lambda: payload)


def _meter_values(number: int, transaction: Transaction | None, reading: Reading, context: str) -> Payload:
    sampled = [_sample(REGISTER, "Wh", "", str(reading.register_wh), context)]
    sampled += [
        _sample(measurand, unit, phase, f"{value:.2f}", context) for measurand, unit, phase, value in reading.samples
    ]
    payload: Payload = {
        "connectorId": number,
        "meterValue": [{"timestamp": wire_time(reading.ts), "sampledValue": sampled}],
    }
    if transaction is not None and transaction.id is not None:
        payload["transactionId"] = transaction.id
    return payload


def _sample(measurand: str, unit: str, phase: str, value: str, context: str) -> dict[str, Any]:
    sample = {"value": value, "context": context, "measurand": measurand, "unit": unit}
    if phase:
        sample["phase"] = phase
    sample["location"] = "EV" if measurand == "SoC" else "Outlet"
    return sample
