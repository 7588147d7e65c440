"""A session of 3000 Wh in OCPP 2.x's words, the same facts as `ocpp_rpc.charge` tells in 1.6's."""

from __future__ import annotations

from itertools import count
from typing import Any
from uuid import uuid4

from stack.ocpp_rpc import OcppRpcCharger, Payload, now

EVSE = {"id": 1, "connectorId": 1}


def meter_value(energy_wh: int, context: str, current_a: float | None = None) -> list[Payload]:
    """A meter value of an outlet (2.0.1 Part 2 §2.28)."""
    energy: Payload = {
        "value": energy_wh,
        "context": context,
        "measurand": "Energy.Active.Import.Register",
        "location": "Outlet",
        "unitOfMeasure": {"unit": "Wh"},
    }
    current = {"value": current_a, "context": context, "measurand": "Current.Import", "phase": "L1"}
    return [{"timestamp": now(), "sampledValue": [energy] if current_a is None else [energy, current]}]


async def boot(charger: OcppRpcCharger) -> None:
    """From power-on to an idle connector."""
    station = {"vendorName": "npm", "model": "ocpp-rpc", "firmwareVersion": "2.2.1"}
    answer = await charger.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})
    assert answer["status"] == "Accepted", answer
    await status(charger, "Available")


async def status(charger: OcppRpcCharger, word: str) -> None:
    facts = {"timestamp": now(), "connectorStatus": word, "evseId": 1, "connectorId": 1}
    assert await charger.call("StatusNotification", facts) == {}


class Told:
    """One transaction; each call sends its next event."""

    def __init__(self, charger: OcppRpcCharger, id_tag: str) -> None:
        self._charger = charger
        self._token = {"idToken": id_tag, "type": "ISO14443"}
        self._numbers = count()
        self.id = str(uuid4())

    async def start(self, meter_wh: int) -> None:
        """From plugged-in to charging."""
        answer = await self._charger.call("Authorize", {"idToken": self._token})
        assert answer["idTokenInfo"]["status"] == "Accepted", answer
        await status(self._charger, "Occupied")
        begin = {"meterValue": meter_value(meter_wh, "Transaction.Begin"), "idToken": self._token, "evse": EVSE}
        answer = await self._event("Started", "Authorized", {"chargingState": "EVConnected"}, **begin)
        assert answer["idTokenInfo"]["status"] == "Accepted", answer
        await self._event("Updated", "ChargingStateChanged", {"chargingState": "Charging"})

    async def meter(self, energy_wh: int) -> None:
        """A reading with the register and 16 A."""
        reading = meter_value(energy_wh, "Sample.Periodic", 16.0)
        await self._event("Updated", "MeterValuePeriodic", {}, meterValue=reading)

    async def stop(self, meter_wh: int) -> None:
        """From charging to idle, then a heartbeat."""
        end = {"meterValue": meter_value(meter_wh, "Transaction.End"), "idToken": self._token}
        info = {"stoppedReason": "Local", "chargingState": "EVConnected"}
        await self._event("Ended", "StopAuthorized", info, **end)
        await status(self._charger, "Available")
        assert "currentTime" in await self._charger.call("Heartbeat")

    async def _event(self, kind: str, trigger: str, info: Payload, **more: Any) -> Payload:
        facts = {
            "eventType": kind,
            "timestamp": now(),
            "triggerReason": trigger,
            "seqNo": next(self._numbers),
            "transactionInfo": {"transactionId": self.id, **info},
        }
        return await self._charger.call("TransactionEvent", facts | more)
