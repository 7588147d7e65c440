"""A fleet of the simulator as a process of its own, for tests that disturb servers: `python -m stack.simulated_fleet`.

It writes its progress to standard output, and the ledger to a file when SIGTERM has ended it. It must not know what the
servers are.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from support.waiting import eventually
from wattspan.simulator import ArrivalPattern, FaultRates, Simulation, connection

PREFIX = "SIM"
TIME_FACTOR = 30.0
ARRIVALS = ArrivalPattern(
    sessions_per_day=40.0, busy_at_start=0.5, stay_s=(600.0, 3_600.0), meter_interval_s=120.0, quietest=1.0
)
"""As many at night as by day, whenever the test runs."""
FAULTS = FaultRates(drop=0.1, error=0.1, repeat=0.1, clock_off=0.05)
"""Nothing is offline by itself, because the servers are away often enough."""
MAX_BACK_OFF_S = 5.0
"""Instead of a minute, within which a short test would end."""
ANSWER_S = 15.0
BACK_S = 120.0
"""Everybody is connected again within this time after the last disturbance."""
REPORT_S = 2.0


async def simulate(url: str, charge_points: int, seed: int, ledger: Path) -> None:
    """Simulate until SIGTERM. Then every charge point connects, ends its sessions and sends what is queued."""
    connection._MAX_BACK_OFF_S, connection._ANSWER_TIMEOUT_S = MAX_BACK_OFF_S, ANSWER_S
    simulation = Simulation(
        url=url,
        charge_points=charge_points,
        connectors=1,
        time_factor=TIME_FACTOR,
        faults=FAULTS,
        arrivals=ARRIVALS,
        seed=seed,
        prefix=PREFIX,
    )
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    running = asyncio.create_task(simulation.run())
    reporting = asyncio.create_task(_report(simulation))
    await ending.wait()
    await _all_connected(simulation)
    simulation.finish()
    (await running).dump(ledger)
    reporting.cancel()


async def _all_connected(simulation: Simulation) -> None:
    """Return once each charge point has been seen connected: the back-off of none is long any more."""
    missing = set(simulation.fleet)

    def all_were() -> bool:
        missing.difference_update({each for each in missing if each.connected})
        return not missing

    await eventually(all_were, within_s=BACK_S)


async def _report(simulation: Simulation) -> None:
    while True:
        sys.stdout.write(f"{simulation.progress()}\n")
        sys.stdout.flush()
        await asyncio.sleep(REPORT_S)


def main() -> None:
    """Simulate what the command line names."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--charge-points", type=int, required=True)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--ledger", type=Path, required=True)
    chosen = arguments.parse_args()
    uvloop.run(simulate(chosen.url, chosen.charge_points, chosen.seed, chosen.ledger))


if __name__ == "__main__":
    main()
