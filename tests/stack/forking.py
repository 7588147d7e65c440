"""Servers that start at once: one process imports the package, and each server is a fork of it, ended by SIGKILL.

Run as a program it is that process; `Nursery` is its end in a test. To import everything takes far longer than all
else a start does, and a chaos test starts a hundred times. Knows one command line, and nothing of what it runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

NOTED_CHARACTERS = 3_000


class Nursery:
    """At most one server at a time. Made by `nursery`."""

    def __init__(self, mother: asyncio.subprocess.Process, log: Path) -> None:
        self._mother = mother
        self.log = log

    async def start(self, *arguments: str) -> None:
        """Fork `wattspan ARGUMENTS`; returns when the process is there, long before it serves."""
        await self._ask(["start", *arguments])

    async def kill(self) -> int:
        """SIGKILL, and wait until it is gone; its exit code, -9 unless it had ended by itself."""
        return int(await self._ask(["kill"]))

    async def _ask(self, request: Sequence[str]) -> str:
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        self._mother.stdin.write(json.dumps(request).encode() + b"\n")
        answer = await self._mother.stdout.readline()
        assert answer, f"the forking process is gone\n{self.log.read_text()}"
        return answer.decode().strip()


@asynccontextmanager
async def nursery(folder: Path) -> AsyncIterator[Nursery]:
    """What it starts writes to one log in `folder`, and is killed at the end. A failure gets its end as a note."""
    log = folder / "server.log"
    with log.open("ab") as output:
        mother = await asyncio.create_subprocess_exec(
            sys.executable,
            Path(__file__),
            cwd=folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    try:
        yield Nursery(mother, log)
    except BaseException as exc:
        exc.add_note(f"--- end of {log} ---\n{log.read_text(errors='replace')[-NOTED_CHARACTERS:]}")
        raise
    finally:
        assert mother.stdin is not None
        mother.stdin.close()
        await mother.wait()


def main() -> None:
    """Read a request a line; answer each with a line. At the end of input the server is killed."""
    from wattspan.cli.main import main as wattspan  # noqa: PLC0415 - the test that imports this module needs none of it

    child = 0
    while line := sys.stdin.readline():
        kind, *arguments = json.loads(line)
        if kind == "start":
            child = os.fork()
            if child == 0:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(2, 1)
                wattspan(arguments)
            answer = child
        else:
            answer, child = _killed(child), 0
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    if child:
        _killed(child)


def _killed(child: int) -> int:
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
