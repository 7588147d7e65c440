"""A real program as a child of a test: started with its own log, waited for until healthy, stopped for sure.

Owns processes and ports. Knows nothing of what the programs are (`servers.py`, `ocpp_rpc.py`, `ocpp_go.py`).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from support import ports

Answer = TypeVar("Answer")

LOOPBACK, free_ports = ports.LOOPBACK, ports.free_ports
POLL_S = 0.05
START_S = 120.0
"""How long a server may take until it is healthy; on a machine at work on a build `wattspan serve` took 20 s."""
STOP_S = 30.0
"""How long after SIGTERM until SIGKILL, as the shipped unit has it."""
PORT_TRIES = 3


class ProgramError(AssertionError):
    """A real program did not do what a test needs of it; the message ends with the end of its log."""

    def __init__(self, program: str, what: str, log_tail: str) -> None:
        super().__init__(f"{program} {what}\n--- end of its log ---\n{log_tail}")
        self.program = program
        self.log_tail = log_tail


class Program:
    """A running child process; standard output and error go to `log`. Made by `running`, which also stops it."""

    def __init__(self, name: str, child: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self.child = child

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below 0 the signal that ended it."""
        return self.child.returncode

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def error(self, what: str) -> ProgramError:
        """The exception to raise when this program fails a test."""
        return ProgramError(self.name, what, self.log_tail())

    def pause(self) -> None:
        """Stops it in its tracks: sockets stay open, nothing is answered."""
        self.child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undoes `pause`."""
        self.child.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM, after STOP_S SIGKILL; its exit code. Harmless when it has ended by itself."""
        if self.child.returncode is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                return await self.child.wait()
        except TimeoutError:
            self.child.kill()
            return await self.child.wait()

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str, within_s: float = START_S) -> None:
        """Returns when `holds` does; ProgramError when the program ends before, or the time is up."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not await holds():
            if self.child.returncode is not None:
                raise self.error(f"ended with exit code {self.child.returncode} before it was {what}")
            if asyncio.get_running_loop().time() > deadline:
                raise self.error(f"was not {what} within {within_s:g} s")
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def running(
    name: str,
    command: Sequence[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    stdio: tuple[int, int] | None = None,
) -> AsyncIterator[Program]:
    """A child process in `folder`, stopped at the end. What fails inside gets the end of its log as a note.

    It inherits the environment without OTEL…, which a test may have set for the program under test.

    `stdio`, when given, connects standard input and output (say, `asyncio.subprocess.PIPE`); the log has the errors.
    """
    log = folder / f"{name}.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    stdin, stdout = stdio or (asyncio.subprocess.DEVNULL, None)
    with log.open("ab") as output:
        child = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=folder,
            env=inherited | dict(environment or {}),
            stdin=stdin,
            stdout=output if stdout is None else stdout,
            stderr=output,
        )
    program = Program(name, child, log)
    try:
        yield program
    except BaseException as exc:
        if not isinstance(exc, ProgramError):
            exc.add_note(f"--- end of the log of {name} ---\n{program.log_tail()}")
        raise
    finally:
        await program.stop()


async def eventually(ask: Callable[[], Awaitable[Answer]], within_s: float = START_S) -> Answer:
    """The first answer that is true; AssertionError with the last one when the time is up."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not (answer := await ask()):
        assert asyncio.get_running_loop().time() < deadline, f"nothing within {within_s} s, last answer {answer!r}"
        await asyncio.sleep(POLL_S)
    return answer


@asynccontextmanager
async def on_free_ports(
    name: str,
    launch: Callable[[Sequence[int]], tuple[Sequence[str | Path], Mapping[str, str]]],
    healthy: Callable[[Sequence[int]], Awaitable[bool]],
    *,
    ports: int,
    folder: Path,
    fixed: Sequence[int] | None = None,
) -> AsyncIterator[tuple[Program, Sequence[int]]]:
    """A healthy server whose command and environment `launch` gives for the ports it gets.

    `fixed`: those of one that ran before, in its place. Else any: a program cannot be handed a bound socket, so a port
    may be taken between choice and use; then it tries others.
    """
    for attempt in range(1, PORT_TRIES + 1):
        chosen = fixed or free_ports(ports)
        command, environment = launch(chosen)
        async with running(name, command, folder=folder, environment=environment) as program:
            try:
                await program.until(partial(healthy, chosen), "healthy")
            except ProgramError as error:
                if "address already in use" in error.log_tail.lower() and attempt < PORT_TRIES:
                    continue
                raise
            yield program, chosen
            return
