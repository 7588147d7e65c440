"""A central system of the `ocpp` package on FastAPI, with the two lines that instrument it.

Charge points connect to ws://localhost:9000/CP1; `POST /CP1/clear-cache` sends a command. If FastAPI is instrumented as
well, leave out the WebSocket: it would make one span of the whole connection (`excluded_urls`).
"""

import asyncio
import sys
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI, HTTPException, WebSocket
from ocpp.routing import on
from ocpp.v16 import ChargePoint as BaseChargePoint
from ocpp.v16 import call, call_result
from ocpp.v16.enums import Action, RegistrationStatus

from wattspan.instrumentation import OcppInstrumentor

OcppInstrumentor().instrument()

app = FastAPI()
connected: dict[str, "ChargePoint"] = {}


class ChargePoint(BaseChargePoint):
    """A charge point that is connected."""

    @on(Action.boot_notification)
    def on_boot_notification(self, charge_point_vendor: str, charge_point_model: str, **_: object) -> object:
        """Accept every charge point."""
        now = datetime.now(UTC).isoformat()
        return call_result.BootNotification(current_time=now, interval=10, status=RegistrationStatus.accepted)


class Adapter:
    """Gives a WebSocket of FastAPI the two methods that the `ocpp` package calls."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def recv(self) -> str:
        """Return the next message."""
        return await self._socket.receive_text()

    async def send(self, message: str) -> None:
        """Send a message."""
        await self._socket.send_text(message)


@app.websocket("/{cp_id}")
async def charge_point(socket: WebSocket, cp_id: str) -> None:
    """Serve one charge point until it leaves."""
    await socket.accept(subprotocol="ocpp1.6")
    connected[cp_id] = ChargePoint(cp_id, Adapter(socket))
    try:
        await connected[cp_id].start()
    finally:
        del connected[cp_id]


@app.post("/{cp_id}/clear-cache")
async def clear_cache(cp_id: str) -> str:
    """Send ClearCache, and return the status of the answer."""
    if cp_id not in connected:
        raise HTTPException(404)
    return (await connected[cp_id].call(call.ClearCache())).status


async def main(port: int = 9000) -> None:
    """Listen until cancelled."""
    await uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")).serve()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
