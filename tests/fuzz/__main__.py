"""`make fuzz`: a million broken frames into the real session and service."""

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import uvloop

from fuzz import labels
from fuzz.drive import Drive, FuzzFault, Level
from support.central import Csms
from wattspan.api import events as api_events
from wattspan.domain import fleet, readings
from wattspan.store import samples, sqlite

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
"""The database lies in memory where that can be: what a disk costs is no finding here."""
CHARGERS = 10
"""Of each version."""
WARM = 0.5
"""Share of the run after which nothing may grow: by then every bounded structure is full."""
LOOKS = 10
GROWTH = 1.05
SLACK_BYTES, SLACK_OBJECTS = 6 << 20, 10_000
FILLED_EARLY = (
    (fleet, "RECALLED_LIMIT", 1_000),
    (readings, "MAX_PLANS", 100),
    (samples, "SHAPES_LIMIT", 400),
    (api_events, "RING", 1_000),
)
"""What is bounded by a large number gets a small one, so that it is full at WARM and a leak can't hide behind it."""
CACHE_KIB = "-1024"
"""SQLite's cache for each connection, negative as SQLite takes KiB. The usual 32 MiB fill for more than a minute."""
MAX_LINES = 4_000
"""Of a charge point on the page: 65 connectors, and a histogram for every action."""


class Crashes(logging.Handler):
    """Every traceback and every error in the log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def run(frames: int, seconds: float, seed: int) -> list[str]:
    """What did not hold, a line each."""
    crashes = Crashes()
    for module, name, least in FILLED_EARLY:
        assert hasattr(module, name), name
        setattr(module, name, least)
    sqlite.PRAGMAS["cache_size"] = CACHE_KIB
    logging.getLogger().addHandler(crashes)
    logging.getLogger("wattspan").setLevel(logging.ERROR)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wattspan-fuzz-", dir=MEMORY) as folder:
        csms = Csms(Path(folder, "fuzz.db"), log_level="error")
        await csms.start()
        try:
            found = await _drive(csms, frames, began + seconds, seed)
        finally:
            await csms.stop()
    formatter = logging.Formatter("%(message)s")
    logged = Counter(formatter.format(record) for record in crashes.records)
    return [*found, *(f"logged {times} times: {text}" for text, times in logged.most_common(20))]


async def _drive(csms: Csms, frames: int, until_s: float, seed: int) -> list[str]:
    drive = Drive(csms, seed=seed, chargers=CHARGERS)
    levels: list[Level] = []
    began_s, looks = time.monotonic(), range(1, LOOKS + 1)
    try:
        for look in looks:
            await drive.run(frames * look // LOOKS - drive.frames, began_s + (until_s - began_s) * look / LOOKS)
            levels.append(await drive.level())
            print(levels[-1], flush=True)
        await drive.serves()
    except FuzzFault as fault:
        return [str(fault), *drive.misfits()]
    warm, done = levels[int(LOOKS * WARM) - 1], levels[-1]
    most = MAX_LINES * len(drive.chargers)
    crowded = [f"{done.lines:,} lines on the page, where {most:,} would be many"] if done.lines > most else []
    page = labels.faults(await csms.page())[:20]
    return [*drive.misfits(), *_grown(warm, done), *crowded, *drive.beyond(), *page]


def _grown(warm: Level, done: Level) -> list[str]:
    pairs = {
        "memory": (warm.resident, done.resident, SLACK_BYTES),
        "objects": (warm.objects, done.objects, SLACK_OBJECTS),
        "tasks": (warm.tasks, done.tasks, 2),
    }
    return [
        f"{name} grew from {before:,} to {after:,}"
        for name, (before, after, slack) in pairs.items()
        if after > before * GROWTH + slack
    ]


def main() -> int:
    """Exit code 1 when anything did not hold; it is told with the seed, which gives the same frames again."""
    arguments = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    arguments.add_argument("--frames", type=int, default=1_000_000, help="how many at most (default: a million)")
    arguments.add_argument("--seconds", type=float, default=3_600.0, help="how long at most (default: an hour)")
    arguments.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    chosen = arguments.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    began = time.monotonic()
    faults = uvloop.run(run(chosen.frames, chosen.seconds, chosen.seed))
    print(*faults, f"{time.monotonic() - began:.0f} s, {len(faults)} faults", sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
