"""What happens on the tour: a fleet in the background, and one session whose every turn is known.

The charger of the story speaks OCPP 1.6 in real time: what it says of its meter is what 11 kW come to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx

from stack.wattspan_server import WattspanServer
from support.chargers import BOOT, Charger, Payload, energy, meter_values, status
from support.operators import Operator
from wattspan.simulator import ArrivalPattern, Simulation

CP_ID = "NORTH-01"
TAG = "04E1C9A2B7"
POWER_W = 11_040
CURRENT_A = 16
REGISTER_WH = 1_204_000.0
METER_S = 2.0
PASSWORD = "a long enough password"
ARRIVALS = ArrivalPattern(sessions_per_day=24, busy_at_start=0.7, stay_s=(1200, 3000), meter_interval_s=60)


async def fleet(server: WattspanServer) -> None:
    """Eight chargers whose cars come and go, sixty times as fast, until cancelled."""
    url = f"{server.url}/ws"
    await Simulation(url=url, charge_points=8, arrivals=ARRIVALS, time_factor=60, seed=7, prefix="SOUTH-").run()


class Session:
    """The one that is followed."""

    def __init__(self, server: WattspanServer) -> None:
        self._url = f"{server.url}/{CP_ID}"
        self._register_wh = REGISTER_WH
        self._transaction_id = 0

    async def happens(self, operator: Operator, pace_s: float) -> str:
        """From the cable to the operator's stop; the trace id of that command. `pace_s`: the shortest phase."""
        async with Charger(self._url) as charger:
            await charger.call("BootNotification", BOOT | {"chargePointModel": "Eleven"})
            await charger.call("StatusNotification", status("Preparing"))
            await asyncio.sleep(pace_s)
            await charger.call("Authorize", {"idTag": TAG})
            start = {"connectorId": 1, "idTag": TAG, "meterStart": round(self._register_wh), "timestamp": now()}
            self._transaction_id = (await charger.call("StartTransaction", start))["transactionId"]
            await charger.call("StatusNotification", status("Charging"))
            await self._charges(charger, 3 * pace_s)
            await charger.call("StatusNotification", status("SuspendedEV"))
            await self._charges(charger, pace_s, 0)
            await charger.call("StatusNotification", status("Charging"))
            await self._charges(charger, pace_s)
        await asyncio.sleep(pace_s / 2)
        async with Charger(self._url) as charger:
            await charger.call("StatusNotification", status("Charging", error_code="HighTemperature"))
            await self._charges(charger, 2 * pace_s)
            stopping = asyncio.create_task(self._is_stopped(charger))
            answer = await operator.ask("POST", f"/charge-points/{CP_ID}/stop", json={})
            await stopping
            await charger.call("StatusNotification", status("Available"))
            trace_id: str = answer["trace_id"]
            return trace_id

    async def _charges(self, charger: Charger, lasts_s: float, power_w: float = POWER_W) -> None:
        """Meter values every METER_S seconds."""
        end_s = time.monotonic() + lasts_s
        while time.monotonic() < end_s:
            await asyncio.sleep(METER_S)
            self._register_wh += power_w * METER_S / 3600
            await charger.call("MeterValues", meter_values(self._transaction_id, *self._readings(power_w)))

    def _readings(self, power_w: float) -> Sequence[Payload]:
        current = [
            {"value": str(CURRENT_A if power_w else 0), "measurand": "Current.Import", "unit": "A", "phase": f"L{n}"}
            for n in (1, 2, 3)
        ]
        power = {"value": str(power_w), "measurand": "Power.Active.Import", "unit": "W"}
        return [energy(round(self._register_wh, 1)), power, *current]

    async def _is_stopped(self, charger: Charger) -> None:
        await charger.reply(await charger.expect("RemoteStopTransaction"), {"status": "Accepted"})
        await charger.call("StatusNotification", status("Finishing"))
        told = {"transactionId": self._transaction_id, "meterStop": round(self._register_wh), "reason": "Remote"}
        await charger.call("StopTransaction", told | {"timestamp": now()})


def now() -> str:
    """This moment as a charger tells it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def operator(address: str) -> Operator:
    """Somebody at the API's `host:port`; not logged in yet."""
    return Operator(httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=30))
