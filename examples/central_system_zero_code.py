"""A central system of the `ocpp` package without a line of telemetry.

    pip install wattspan opentelemetry-distro
    export OTEL_SERVICE_NAME=my-csms OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
    opentelemetry-instrument python central_system_zero_code.py

Spans and metrics go to a Collector on http://localhost:4318. Charge points connect to ws://localhost:9000/CP1.
"""

import asyncio
import itertools
import sys
from datetime import UTC, datetime

from ocpp.routing import on
from ocpp.v16 import ChargePoint as BaseChargePoint
from ocpp.v16 import call_result
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve

transaction_ids = itertools.count(1)


class ChargePoint(BaseChargePoint):
    """A charge point that is connected."""

    @on(Action.boot_notification)
    def on_boot_notification(self, **_: object) -> object:
        """Accept every charge point."""
        now = datetime.now(UTC).isoformat()
        return call_result.BootNotification(current_time=now, interval=10, status=RegistrationStatus.accepted)

    @on(Action.start_transaction)
    def on_start(self, **_: object) -> object:
        """Give the transaction a number."""
        accepted = {"status": AuthorizationStatus.accepted}
        return call_result.StartTransaction(transaction_id=next(transaction_ids), id_tag_info=accepted)

    @on(Action.stop_transaction)
    def on_stop(self, **_: object) -> object:
        """Acknowledge the end of a transaction."""
        return call_result.StopTransaction()


async def on_connect(connection: ServerConnection) -> None:
    """Serve one charge point until it leaves."""
    await ChargePoint(connection.request.path.strip("/"), connection).start()


async def main(port: int = 9000) -> None:
    """Listen until cancelled."""
    async with serve(on_connect, "127.0.0.1", port, subprotocols=["ocpp1.6"]) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
