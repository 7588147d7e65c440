"""A central system on the `ocpp` package alone, as its documentation builds one: no store, no telemetry.

Run as a program with a port it is that server; `OcppPackageServer` is its end in a test. Knows nothing of Wattspan.
"""

# The package ships no types.
# mypy: disable-error-code="no-untyped-call, untyped-decorator"
from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import Action, AuthorizationStatus, GenericStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from stack.process import LOOPBACK, Program, on_free_ports

_transaction_ids = itertools.count(4711)
_ACCEPTED = IdTagInfo(status=AuthorizationStatus.accepted)


class AcceptingChargePoint(ChargePoint):
    """Accepts everything and keeps nothing."""

    @on(Action.boot_notification)
    def on_boot(self, **_: Any) -> call_result.BootNotification:
        now = datetime.now(UTC).isoformat()
        return call_result.BootNotification(current_time=now, interval=120, status=RegistrationStatus.accepted)

    @on(Action.heartbeat)
    def on_heartbeat(self, **_: Any) -> call_result.Heartbeat:
        return call_result.Heartbeat(current_time=datetime.now(UTC).isoformat())

    @on(Action.status_notification)
    def on_status(self, **_: Any) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @on(Action.authorize)
    def on_authorize(self, **_: Any) -> call_result.Authorize:
        return call_result.Authorize(id_tag_info=_ACCEPTED)

    @on(Action.start_transaction)
    def on_start(self, **_: Any) -> call_result.StartTransaction:
        return call_result.StartTransaction(transaction_id=next(_transaction_ids), id_tag_info=_ACCEPTED)

    @on(Action.meter_values)
    def on_meter_values(self, **_: Any) -> call_result.MeterValues:
        return call_result.MeterValues()

    @on(Action.stop_transaction)
    def on_stop(self, **_: Any) -> call_result.StopTransaction:
        return call_result.StopTransaction(id_tag_info=_ACCEPTED)

    @on(Action.security_event_notification)
    def on_security_event(self, **_: Any) -> call_result.SecurityEventNotification:
        return call_result.SecurityEventNotification()

    @on(Action.log_status_notification)
    def on_log_status(self, **_: Any) -> call_result.LogStatusNotification:
        return call_result.LogStatusNotification()

    @on(Action.sign_certificate)
    def on_sign_certificate(self, **_: Any) -> call_result.SignCertificate:
        return call_result.SignCertificate(status=GenericStatus.rejected)


async def accept(connection: ServerConnection) -> None:
    """Serve one charge point from handshake to close."""
    assert connection.request is not None
    with suppress(ConnectionClosed):
        await AcceptingChargePoint(connection.request.path.strip("/"), connection).start()


async def main(port: int) -> None:
    async with serve(accept, LOOPBACK, port, subprotocols=["ocpp1.6"]) as server:  # type: ignore[list-item]
        await server.serve_forever()


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppPackageServer:
    """The server as a child of a test."""

    program: Program
    url: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path) -> AsyncIterator[OcppPackageServer]:
        """One that takes connections at `url`, with the identity as its path."""
        tests = str(Path(__file__).parent.parent)

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            return [sys.executable, "-m", "stack.ocpp_package", str(ports[0])], {"PYTHONPATH": tests}

        async def healthy(ports: Sequence[int]) -> bool:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, ports[0])
            except ConnectionError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        async with on_free_ports("ocpp-package", launch, healthy, ports=1, folder=folder) as (program, ports):
            yield cls(program=program, url=f"ws://{LOOPBACK}:{ports[0]}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
