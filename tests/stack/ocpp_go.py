"""ocpp-go's example charge point and central system, which nobody here wrote, as children of a test.

Both act by themselves; what they do when is in their docstrings. Knows nothing of Wattspan's code.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stack.process import LOOPBACK, Program, on_free_ports, running
from stack.toolchain import tool


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppGoCharger:
    """ocpp-go's example charge point. By itself, on connector 1 with token `12345`:

    BootNotification, StatusNotification (0, Available), SecurityEventNotification, LogStatusNotification,
    SignCertificate, 5 s, Authorize, Preparing, StartTransaction at 0 Wh, Charging, five MeterValues of 10 Wh more each
    (Energy.Active.Export.Register, no transactionId) at MeterValueSampleInterval, first 5 s, Finishing, StopTransaction
    at 52 Wh with transactionData, Available; then it idles 5 minutes. ChangeConfiguration of that interval in the
    first seconds makes it quicker. A CALLERROR ends it at once with exit code 1, an answer
    that its schema forbids within 30 s; the log has such complaints and nothing else.
    """

    program: Program

    TOKEN = "12345"
    ENERGY_WH = 52

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, *, url: str, identity: str) -> AsyncIterator[OcppGoCharger]:
        """A charge point that was started; `url` is without the identity."""
        environment: Mapping[str, str] = {"CLIENT_ID": identity, "CENTRAL_SYSTEM_URL": url}
        async with running(f"ocpp-go-{identity}", [tool("ocpp-go")], folder=folder, environment=environment) as program:
            yield cls(program=program)


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppGoStation:
    """ocpp-go's example charging station, OCPP 2.0.1. By itself, on EVSE 1 with token `12345` of type KeyCode:

    BootNotification, StatusNotification (EVSE 1, connector 0, Available), 5 s, Occupied, TransactionEvent Started with
    neither token nor meter value, Authorize, Updated with the token twice, five Updated with a reading each, 10 more of
    Energy.Active.Export.Register on phase L3 each, 5 s apart, Available, Ended with an empty list of meter values; then
    it idles 5 minutes. A CALLERROR ends it at once with exit code 1.
    """

    program: Program

    TOKEN = "12345"

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, *, url: str, identity: str) -> AsyncIterator[OcppGoStation]:
        """A charging station that was started; `url` is without the identity."""
        environment: Mapping[str, str] = {"CLIENT_ID": identity, "CSMS_URL": url}
        binary = tool("ocpp-go").with_name("charging-station-201")
        async with running(f"ocpp-go-201-{identity}", [binary], folder=folder, environment=environment) as program:
            yield cls(program=program)


class RunOcppGo(Protocol):
    """Starts a charge point, as `OcppGoCharger.run` does, in a test's own folder."""

    def __call__(self, *, url: str, identity: str) -> AbstractAsyncContextManager[OcppGoCharger]: ...


def central_system_binary() -> Path:
    """ocpp-go's example central system; SERVER_LISTEN_PORT says where it listens."""
    return tool("ocpp-go").with_name("central-system-16")


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppGoCentralSystem:
    """ocpp-go's example central system: no store, no telemetry. It listens on all interfaces, at `/{identity}`.

    Two seconds after a charge point connects it begins to send it commands, ReserveNow first.
    """

    program: Program
    url: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, *, port: int | None = None) -> AsyncIterator[OcppGoCentralSystem]:
        """A central system that takes connections at `url`; on a free port unless told which."""
        binary = central_system_binary()

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            return [binary], {"SERVER_LISTEN_PORT": str(port or ports[0])}

        async def healthy(ports: Sequence[int]) -> bool:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port or ports[0])
            except ConnectionError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        async with on_free_ports("ocpp-go-cs", launch, healthy, ports=1, folder=folder) as (program, ports):
            yield cls(program=program, url=f"ws://{LOOPBACK}:{port or ports[0]}")
