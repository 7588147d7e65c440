"""What the `ocpp` package's own documentation builds: a central system without store and telemetry, on `websockets`.

`python tests/bench/plain.py PORT`. On uvloop, which its documentation does not ask for, so that the loop is no excuse.
"""

import itertools
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import uvloop
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_transaction_ids = itertools.count(1)


class PlainChargePoint(ChargePoint):  # type: ignore[misc]  # the package's way; it ships no types
    """Says yes to everything and keeps nothing."""

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

    @on(Action.start_transaction)
    def on_start(self, **_: Any) -> call_result.StartTransaction:
        accepted = {"status": AuthorizationStatus.accepted}
        return call_result.StartTransaction(transaction_id=next(_transaction_ids), id_tag_info=accepted)

    @on(Action.meter_values)
    def on_meter_values(self, **_: Any) -> call_result.MeterValues:
        return call_result.MeterValues()


async def accept(connection: ServerConnection) -> None:
    """From handshake to close of one charge point."""
    assert connection.request is not None
    with suppress(ConnectionClosed):
        await PlainChargePoint(connection.request.path.strip("/"), connection).start()


async def main(port: int) -> None:
    async with serve(accept, "127.0.0.1", port, subprotocols=["ocpp1.6"]) as server:  # type: ignore[list-item]
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
