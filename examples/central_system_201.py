"""The central system of the `ocpp` package's README, for OCPP 2.0.1, with the two lines that instrument it.

Spans and metrics go to the process's providers: set up OpenTelemetry's SDK before, as in any other program.
Charge points connect to ws://localhost:9000/CP1.
"""

import asyncio
import sys
from datetime import UTC, datetime

from ocpp.routing import on
from ocpp.v201 import ChargePoint as BaseChargePoint
from ocpp.v201 import call_result
from ocpp.v201.enums import Action, RegistrationStatusEnumType
from websockets.asyncio.server import ServerConnection, serve

from wattspan.instrumentation import OcppInstrumentor

OcppInstrumentor().instrument()


class ChargePoint(BaseChargePoint):
    """A charging station that is connected."""

    @on(Action.boot_notification)
    def on_boot_notification(self, charging_station: dict[str, object], reason: str, **_: object) -> object:
        """Accept every charging station."""
        now = datetime.now(UTC).isoformat()
        return call_result.BootNotification(current_time=now, interval=10, status=RegistrationStatusEnumType.accepted)


async def on_connect(connection: ServerConnection) -> None:
    """Serve one charging station until it leaves."""
    await ChargePoint(connection.request.path.strip("/"), connection).start()


async def main(port: int = 9000) -> None:
    """Listen until cancelled."""
    async with serve(on_connect, "127.0.0.1", port, subprotocols=["ocpp2.0.1"]) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
