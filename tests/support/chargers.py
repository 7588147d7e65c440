"""A charge point on a real WebSocket, as polite or as rude as a test wants it."""

import asyncio
import itertools
import json
from collections import deque
from datetime import UTC, datetime
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from support.waiting import WITHIN_S

Payload = dict[str, Any]
Frame = list[Any]

BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One", "firmwareVersion": "1.0"}
START = {"connectorId": 1, "idTag": "TAG1", "meterStart": 1000, "timestamp": "2026-11-21T10:00:00Z"}


def stop(transaction_id: int, meter_stop: int = 8500, **more: Any) -> Payload:
    """A StopTransaction.req an hour and a half after START."""
    return {"transactionId": transaction_id, "meterStop": meter_stop, "timestamp": "2026-11-21T11:30:00Z", **more}


def status(word: str, connector_id: int = 1, error_code: str = "NoError") -> Payload:
    """A StatusNotification.req."""
    return {"connectorId": connector_id, "status": word, "errorCode": error_code}


def meter_values(transaction_id: int | None, *sampled: Payload, connector_id: int = 1, **more: Any) -> Payload:
    """A MeterValues.req with one MeterValue of this moment."""
    named = {} if transaction_id is None else {"transactionId": transaction_id}
    value = {"timestamp": datetime.now(UTC).isoformat(), "sampledValue": list(sampled)}
    return {"connectorId": connector_id, **named, "meterValue": [value], **more}


def energy(wh: float) -> Payload:
    """A sampled energy register, in Wh."""
    return {"value": str(wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}


class CallErrorReceived(Exception):
    """The central system answered a CALL with a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class Charger:
    """One connection, from entering to leaving. Made by `Csms.charger`; its keywords are those of `connect`."""

    def __init__(self, url: str, **options: Any) -> None:
        options.setdefault("subprotocols", [Subprotocol("ocpp1.6")])
        options.setdefault("compression", None)
        self._connecting = connect(url, ping_interval=None, close_timeout=1, proxy=None, **options)
        self._ids = itertools.count(1)
        self._unread: deque[Frame] = deque()

    socket: ClientConnection

    async def __aenter__(self) -> Self:
        self.socket = await self._connecting
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.socket.close()

    async def call(self, action: str, payload: Payload | None = None) -> Payload:
        """Send a CALL and return its result. Raises CallErrorReceived. What comes meanwhile is kept for `expect`."""
        message_id = await self.send(action, payload or {})
        return await self.answer_to(message_id)

    async def send(self, action: str, payload: Payload) -> str:
        """Send a CALL without waiting; its message id."""
        message_id = f"m{next(self._ids)}"
        await self.send_raw(json.dumps([2, message_id, action, payload]))
        return message_id

    async def answer_to(self, message_id: str) -> Payload:
        """The result of the CALL of that id. Raises CallErrorReceived."""
        while True:
            frame = await self._read()
            if frame[0] in (3, 4) and frame[1] == message_id:
                break
            self._unread.append(frame)
        if frame[0] == 4:
            raise CallErrorReceived(frame[2], frame[3])
        payload: Payload = frame[2]
        return payload

    async def send_raw(self, data: str | bytes) -> None:
        """Send a message as it is: text, or binary for bytes."""
        await self.socket.send(data)

    async def raw(self, data: str | bytes) -> Frame:
        """Send a message as it is, and return the next frame that comes."""
        await self.send_raw(data)
        return await self.expect()

    async def expect(self, action: str | None = None) -> Frame:
        """The next frame that is no answer to `call`; with `action`, it must be that command."""
        frame = self._unread.popleft() if self._unread else await self._read()
        assert action is None or frame[:1] + frame[2:3] == [2, action], frame
        return frame

    async def reply(self, command: Frame, payload: Payload) -> None:
        """Answer a command that `expect` returned."""
        await self.send_raw(json.dumps([3, command[1], payload]))

    async def closed(self) -> int | None:
        """Read until the connection is closed; the close code, 1006 where none was sent. What came is kept."""
        try:
            while True:
                self._unread.append(await self._read())
        except ConnectionClosed:
            return self.socket.close_code

    def vanish(self) -> None:
        """The TCP connection is gone at once, without a close frame."""
        self.socket.transport.abort()

    @property
    def unread(self) -> list[Frame]:
        """What came and nobody asked for yet."""
        return list(self._unread)

    async def _read(self) -> Frame:
        async with asyncio.timeout(WITHIN_S):
            frame: Frame = json.loads(await self.socket.recv())
        return frame
