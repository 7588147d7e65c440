"""Idle charge points: connected and booted, they answer pings. `python -m bench.idle PORT NAME COUNT` holds some.

One process can't hold those of a large fleet, because its open files are limited (`share`).
"""

import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from bench.load import ANSWER_S, Fleet, LoadError
from bench.words import V16
from stack.process import Program, running

GROUP = 50
"""Charge points that connect and boot at once."""
SPARE = 500
"""Open files that a process has beside its connections."""
POLL_S = 0.05
"""It never spins: PostgreSQL and the other generators are on the same core."""
UP = "all connected"
LONGEST_S = 3_600.0


def share() -> int:
    """Return how many connections one process may hold."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE


def shares(count: int, each: int) -> Sequence[int]:
    """Return how many charge points each of several processes holds: `count` in all, and at most `each`."""
    processes = -(-count // each)
    return [count // processes + (number < count % processes) for number in range(processes)]


@asynccontextmanager
async def connected(folder: Path, ports: Sequence[int], count: int) -> AsyncIterator[float]:
    """Hold `count` charge points on each port; yields the seconds until all of them have booted.

    Raises ProgramError if one loses its connection.
    """
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        held: list[Program] = []
        for port in ports:
            for number, some in enumerate(shares(count, share())):
                command = [sys.executable, "-m", "bench.idle", str(port), f"IDLE-{port}-{number}-", str(some)]
                name, path = f"idle-{port}-{number}", {"PYTHONPATH": os.pathsep.join(sys.path)}
                held.append(await stack.enter_async_context(running(name, command, folder=folder, environment=path)))
        for each in held:
            await each.until(partial(_is_up, each), UP, within_s=LONGEST_S)
        yield time.perf_counter() - began
        for each in held:
            if each.exit_code is not None:
                raise each.error("has lost connections")


async def _is_up(program: Program) -> bool:
    return UP in program.log_tail()


def main(port: int, name: str, count: int) -> None:
    """Connect and boot, say so, and stay until terminated."""
    fleet = Fleet(port, name=name)
    while (known := len(fleet.chargers)) < count:
        fleet.connect(min(known + GROUP, count))
        for charger in fleet.chargers[known:]:
            charger.ask(*V16.boot())
        deadline = time.perf_counter() + ANSWER_S
        while any(charger.waiting for charger in fleet.chargers[known:]):
            fleet.spin_once(POLL_S)
            if time.perf_counter() > deadline:
                raise LoadError("no answer in time")
    print(UP, flush=True)
    while True:
        fleet.spin_once(POLL_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
