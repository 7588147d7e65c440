"""`make bench`: Wattspan beside two other central systems, in a table with targets (docs/benchmarks.md)."""

import argparse
import asyncio
import gc
import os
import resource
import sys
import tempfile
from pathlib import Path

from bench import servers
from bench.cluster import NODES, cluster
from bench.figures import RESULTS, Results
from bench.fleets import fleets
from bench.flooder import beside_a_flooder
from bench.load import pin
from bench.proxied import proxied
from bench.rates import Times, rates
from bench.replays import FULL_BYTES, QUICK_BYTES, replays, simulated_replays
from bench.servers import LOAD_CORE, SERVER_CORE
from bench.storm import storm

FULL, QUICK = Times(warm_up=2, measured=8, turns=24), Times(warm_up=1, measured=2, turns=3)
SHORT = Times(warm_up=1, measured=0, turns=12)
IDLE = 5_000
FILES = 12_000
"""Open files that 10,000 connections want of each side."""


async def run(
    *, quick: bool, only: str | None, baseline: Path | None, log_bytes: int | None, simulated_s: float, idle: int
) -> Results:
    """Run all measurements, one after the other."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="wattspan-bench-") as name:
        folder = Path(name)
        async with servers.collector(folder) as collector:
            if only in (None, "rates"):
                await rates(folder, collector, QUICK if quick else FULL, results, baseline)
            if only in (None, "fleets"):
                few, many = (200, 1_000) if quick else (1_000, 10_000)
                await fleets(folder, collector, few, many, results)
            if only in (None, "replay"):
                size = log_bytes or (QUICK_BYTES if quick else FULL_BYTES)
                if simulated_s:
                    await simulated_replays(folder, simulated_s, size, results)
                else:
                    replays(folder, size, results)
            if only in (None, "proxy"):
                await proxied(folder, collector, QUICK if quick else FULL, 100 if quick else 1_000, results)
            if only in (None, "storm"):
                await storm(folder, collector, 500 if quick else 5_000, results)
            if only in (None, "cluster"):
                many, connected = (500, 600) if quick else (5_000, idle)
                await cluster(folder, collector, QUICK if quick else SHORT, many, connected, results)
            if only in (None, "flooder"):
                await beside_a_flooder(folder, collector, 2.0 if quick else 5.0, results)
    return results


def main() -> int:
    """Exit code 1 when a target is missed, 2 when it can't be measured here."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument(
        "--quick", action="store_true", help="a minute instead of six, for development; proves nothing"
    )
    parts = ["rates", "fleets", "proxy", "replay", "storm", "cluster", "flooder"]
    arguments.add_argument("--only", choices=parts, help="one part of it")
    arguments.add_argument(
        "--baseline", type=Path, help="another working tree of Wattspan, measured in the same turns (rates only)"
    )
    arguments.add_argument("--log-mib", type=int, help="size of the log that is replayed, in MiB (1024; --quick: 64)")
    arguments.add_argument(
        "--simulated-s",
        type=float,
        default=0.0,
        help="replay the audit log of a simulated fleet that charges for so many seconds, repeated up to --log-mib",
    )
    arguments.add_argument(
        "--idle",
        type=int,
        default=IDLE,
        help=f"idle charge points on three nodes ({IDLE}); 50000 need `ulimit -n 19000` and 3 GiB",
    )
    chosen = arguments.parse_args()
    if not hasattr(os, "sched_setaffinity") or not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        print(f"the benchmark needs Linux and the cores {SERVER_CORE} and {LOAD_CORE}", file=sys.stderr)
        return 2
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = max(FILES, chosen.idle // len(NODES) + 2_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, most) if most > 0 else files, most))
    pin(LOAD_CORE)
    gc.disable()  # the load generator must not pause; it ends before that matters
    results = asyncio.run(
        run(
            quick=chosen.quick,
            only=chosen.only,
            baseline=chosen.baseline,
            log_bytes=None if chosen.log_mib is None else chosen.log_mib << 20,
            simulated_s=chosen.simulated_s,
            idle=chosen.idle,
        )
    )
    results.write()
    print(f"written to {RESULTS}")
    return int(not all(figure.met for figure in results.figures))


if __name__ == "__main__":
    sys.exit(main())
