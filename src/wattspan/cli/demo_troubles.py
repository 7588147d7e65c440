"""The demo's charge points in trouble: one that reports a fault, one that loses its connection every now and then."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from wattspan.simulator import Hardware

HEARTBEAT_S = 60.0
RETRY_S = 5.0
UP_S, DOWN_S = (40.0, 150.0), (8.0, 40.0)
CALL, CALL_ERROR = 2, 4


async def run_faulted(url: str, cp_id: str, since_ts: float, boots_as: Hardware | None) -> None:
    """Stay connected with a ground fault at connector 1, until cancelled. It reported the fault at `since_ts`.

    `boots_as`: what it says of itself in a BootNotification; None: it has booted before.
    """
    while True:
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            async with _connected(url, cp_id) as connection:
                statuses = [("1", "Faulted", "GroundFailure"), ("2", "Available", "NoError")]
                await _serve(connection, _boot(cp_id, boots_as), statuses, since_ts)
        await asyncio.sleep(RETRY_S)


async def run_flapping(url: str, cp_id: str, since_ts: float, boots_as: Hardware | None) -> None:
    """Connect and lose the connection again and again, until cancelled."""
    drawn = random.Random(cp_id)  # noqa: S311
    while True:
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            async with _connected(url, cp_id) as connection:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(drawn.uniform(*UP_S)):
                        free = [("1", "Available", "NoError"), ("2", "Available", "NoError")]
                        await _serve(connection, _boot(cp_id, boots_as), free, since_ts)
                connection.transport.abort()
        await asyncio.sleep(drawn.uniform(*DOWN_S))


def _connected(url: str, cp_id: str) -> connect:
    return connect(f"{url}/{cp_id}", subprotocols=[Subprotocol("ocpp1.6")], proxy=None, close_timeout=1)


def _boot(cp_id: str, hardware: Hardware | None) -> dict[str, str] | None:
    if hardware is None:
        return None
    return {
        "chargePointVendor": hardware.vendor,
        "chargePointModel": hardware.model,
        "chargePointSerialNumber": cp_id,
        "firmwareVersion": hardware.firmware,
    }


async def _serve(
    connection: ClientConnection, boot: dict[str, str] | None, statuses: Sequence[tuple[str, str, str]], since_ts: float
) -> None:
    """Report the statuses since `since_ts` and send heartbeats; commands are answered with NotSupported."""
    numbers = count(1)

    async def call(action: str, payload: dict[str, Any]) -> None:
        await connection.send(orjson.dumps([CALL, str(next(numbers)), action, payload]).decode())

    if boot is not None:
        await call("BootNotification", boot)
    for connector_id, status, error_code in statuses:
        since = datetime.fromtimestamp(since_ts, UTC).isoformat()
        report = {"connectorId": int(connector_id), "status": status, "errorCode": error_code, "timestamp": since}
        await call("StatusNotification", report)
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(_beat(call))
        try:
            async for text in connection:
                frame = orjson.loads(text)
                if frame[0] == CALL:
                    answer = [CALL_ERROR, frame[1], "NotSupported", "a charge point of the demo", {}]
                    await connection.send(orjson.dumps(answer).decode())
        finally:
            beating.cancel()


async def _beat(call: Any) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        await call("Heartbeat", {})
