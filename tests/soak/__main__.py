"""`make soak`: a mixed fleet with faults against `wattspan serve`; flat memory and tasks, and totals to the Wh."""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil
import uvloop

from soak import tasks
from stack.wattspan_server import WattspanServer
from wattspan.simulator import ArrivalPattern, FaultRates, Ledger, Simulation

ARRIVALS = ArrivalPattern(sessions_per_day=40.0, busy_at_start=0.5, stay_s=(600.0, 3_600.0), meter_interval_s=60.0)
FAULTS = FaultRates(drop=0.2, offline=0.1, error=0.1, repeat=0.1, late_answer=0.1, late_answer_s=1.0, clock_off=0.05)
TIME_FACTOR = 30.0
SAMPLES = 12
"""Looks at the server in a run."""
SETTLED = 0.35
"""Share of the looks that come before everybody is connected and has charged; growth is judged from there."""
GROWTH = 1.10
SLACK_BYTES = 24 << 20
PAGE_S = 120.0
"""A machine that is too busy for the fleet shows late, and is no reason to give up."""
SLACK_TASKS = 50
"""Messages under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The server at one moment."""

    after_s: float
    resident: int
    threads: int
    files: int
    tasks: int
    connected: int
    waiting: int

    def __str__(self) -> str:
        memory = f"{self.resident / (1 << 20):.1f} MiB, {self.threads} threads, {self.files} files"
        return f"{self.after_s:6.0f} s  {memory}, {self.tasks} tasks, {self.waiting} answers waiting"


async def soak(charge_points: int, seconds: float, time_factor: float, folder: Path) -> list[str]:
    """What did not hold, a line each."""
    async with WattspanServer.run(folder, tasks.environment(folder)) as server:
        simulation = Simulation(
            url=f"{server.url}/ws",
            charge_points=charge_points,
            connectors=1,
            time_factor=time_factor,
            faults=FAULTS,
            arrivals=ARRIVALS,
            duration_s=seconds,
            prefix="SOAK",
        )
        running = asyncio.create_task(simulation.run())
        looks = await _watch(server, simulation, seconds)
        ledger = await running
        total = ledger.total
        print(
            f"{total.starts} starts, {total.stops} stops, {total.energy_wh} Wh, {total.meter_values} readings, "
            f"{total.drops} drops, {total.repeats} repeats, {total.offline_sessions} offline, {total.errors} errors"
        )
        page = await _page(server)
        return [*_grown(looks), *_unequal(ledger, page), *_errors(ledger)]


async def _watch(server: WattspanServer, simulation: Simulation, seconds: float) -> list[Look]:
    process, began = psutil.Process(server.program.child.pid), time.monotonic()
    looks: list[Look] = []
    for number in range(1, SAMPLES + 1):
        await asyncio.sleep(max(0.0, began + seconds * number / (SAMPLES + 1) - time.monotonic()))
        now = simulation.progress()
        shown = _whole(await _page(server))
        looks.append(
            Look(
                after_s=time.monotonic() - began,
                resident=process.memory_info().rss,
                threads=process.num_threads(),
                files=process.num_fds(),
                tasks=shown[tasks.NAME],
                connected=now.connected,
                waiting=shown["ocpp_store_waiting"],
            )
        )
        print(f"{looks[-1]}; {now.connected} connected, {now.charging} charging, {now.sessions} sessions", flush=True)
    return looks


async def _page(server: WattspanServer) -> list[str]:
    """The lines of /metrics, read and cut off this loop, which has a fleet to run; they are some hundred thousand."""

    def read() -> list[str]:
        with urlopen(f"http://{server.metrics}/metrics", timeout=PAGE_S) as answer:
            return str(answer.read(), "utf-8").splitlines()

    return await asyncio.to_thread(read)


def _grown(looks: Sequence[Look]) -> list[str]:
    """Compares the best of the settled looks' first half with that of the second."""
    settled = looks[int(len(looks) * SETTLED) :]
    early, late = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    before, after = (min(look.resident for look in half) for half in (early, late))
    found = [f"memory grew from {before:,} to {after:,}"] if after > before * GROWTH + SLACK_BYTES else []
    before, after = (max(look.threads for look in half) for half in (early, late))
    found += [f"threads grew from {before} to {after}"] if after > before + 2 else []
    before, after = (min(look.tasks - look.connected for look in half) for half in (early, late))
    return [
        *found,
        *([f"tasks beside connections grew from {before} to {after}"] if after > before + SLACK_TASKS else []),
    ]


def _unequal(ledger: Ledger, page: Sequence[str]) -> list[str]:
    """Every charge point's totals on the page beside the ledger's."""
    found = []
    for name, of in (("ocpp_tx_total", "starts"), ("ocpp_cp_energy_total_wh", "energy_wh"), ("ocpp_tx_active", None)):
        shown = _by_charge_point(page, name)
        for cp_id, did in ledger.charge_points.items():
            expected = 0 if of is None else getattr(did, of)
            if shown.get(cp_id, 0.0) != expected:
                found.append(f"{name} of {cp_id}: {shown.get(cp_id)} on the page, {expected} in the ledger")
    return found[:20]


def _whole(page: Sequence[str]) -> dict[str, int]:
    """The series without labels."""
    pairs = (line.split(" ") for line in page if not line.startswith("#") and "{" not in line)
    return {name: int(float(value)) for name, value, *_ in pairs}


def _by_charge_point(page: Sequence[str], name: str) -> dict[str, float]:
    wanted, sums = re.compile(rf'{name}{{cp_id="([^"]+)"[^}}]*}} (\S+)'), dict[str, float]()
    for line in page:
        if match := wanted.match(line):
            sums[match[1]] = sums.get(match[1], 0.0) + float(match[2])
    return sums


def _errors(ledger: Ledger) -> list[str]:
    total = ledger.total
    return [f"{total.errors} errors: {total}"] if total.errors else []


def main() -> int:
    """Exit code 1 when anything did not hold."""
    arguments = argparse.ArgumentParser(prog="make soak", description=__doc__)
    arguments.add_argument("--charge-points", type=int, default=2_000)
    arguments.add_argument("--seconds", type=float, default=600.0)
    arguments.add_argument("--time-factor", type=float, default=TIME_FACTOR, help="simulated seconds in a real one")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="wattspan-soak-") as folder:
        faults = uvloop.run(soak(chosen.charge_points, chosen.seconds, chosen.time_factor, Path(folder)))
    print(*faults, f"{len(faults)} faults", sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
