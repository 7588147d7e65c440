"""Who is on the wire in the test of the fortnight: a fleet that charges, odd chargers, an operator.

Every trouble is by a script or in the simulator's books. What should be seen of it is not known here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from itertools import cycle

from stack.fortnight import Fortnight
from stack.process import eventually
from stack.test_dashboards import odd_charger
from support.central import Csms
from support.chargers import BOOT, START, Charger, energy, meter_values, status
from support.operators import admin, anonymous
from wattspan.simulator import MIX, ArrivalPattern, FaultRates, Ledger, Simulation

FLEET = [f"SIM{number:04}" for number in range(1, 6)]
ARRIVALS = ArrivalPattern(sessions_per_day=1500, busy_at_start=0.9, stay_s=(40, 150), meter_interval_s=10, quietest=1.0)
"""As many at night as by day, whenever the test runs."""
GUESSES = 6
"""One more than a name may have without being locked."""


def charging(csms: Csms, duration_s: float) -> Simulation:
    """A fleet in real time."""
    return Simulation(
        url=csms.url("/ws"),
        charge_points=len(FLEET),
        seed=4,
        faults=FaultRates(error=0.4, drop=0.3, repeat=0.2),
        arrivals=ARRIVALS,
        duration_s=duration_s,
    )


async def odd(fortnight: Fortnight) -> None:
    """One that leaves for good, and one for every kind of trouble, once both Prometheis know them."""
    for cp_id in ("GONE", "ODD"):
        async with fortnight.csms.charger(cp_id) as charger:
            await charger.call("BootNotification", BOOT)
    await known(fortnight, "ODD")
    await odd_charger(fortnight.csms, fortnight.stack.prometheus)


async def known(fortnight: Fortnight, cp_id: str) -> None:
    for page in fortnight.pages.values():
        await eventually(partial(page.query, f'ocpp_tx_total{{cp_id="{cp_id}"}}'), within_s=60)


async def faulty(fortnight: Fortnight) -> None:
    """Tells of the same fault every other second, until cancelled."""
    async with fortnight.csms.charger("FAULTY") as charger:
        await charger.call("BootNotification", BOOT)
        await known(fortnight, "FAULTY")
        while True:
            await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
            await asyncio.sleep(2)


async def near_its_limit(csms: Csms) -> None:
    """Draws nearly all it may, until cancelled."""
    async with csms.charger("NEAR") as charger:
        await charger.call("BootNotification", BOOT)
        transaction = (await charger.call("StartTransaction", START))["transactionId"]
        await draw(charger, transaction)


async def draw(charger: Charger, transaction: int) -> None:
    current = {"value": "31", "measurand": "Current.Import", "unit": "A"}
    offered = {"value": "32", "measurand": "Current.Offered", "unit": "A"}
    register_wh = 1000.0
    while True:
        register_wh += 10
        await charger.call("MeterValues", meter_values(transaction, energy(register_wh), current, offered))
        await asyncio.sleep(5)


async def operator(csms: Csms) -> None:
    """Looks at the fleet now and then, until cancelled; somebody else guesses the password until the name is locked."""
    async with anonymous(csms) as stranger, admin(csms) as someone:
        for _ in range(GUESSES):
            await stranger.send("POST", "/session", json={"name": "admin", "password": "guessed"})
            await asyncio.sleep(10)
        while True:
            await someone.ask("GET", "/charge-points")
            await asyncio.sleep(10)


def errors_told(ledger: Ledger) -> Counter[tuple[str, str]]:
    """How often which error of the fleet is to be counted, by charge point and type.

    In 2.x its status comes first and has no code: it counts as OtherError, and the event that tells its kind no more.
    """
    told: Counter[tuple[str, str]] = Counter()
    for cp_id, version in zip(FLEET, cycle(MIX), strict=False):
        for code, many in ledger.charge_points[cp_id].error_notices.items():
            told[cp_id, code if version == "1.6" else "OtherError"] += many
    return told
