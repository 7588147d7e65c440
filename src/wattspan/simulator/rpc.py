"""The charge point's end of OCPP-J on one WebSocket: CALLs in both directions, one outstanding in each.

It owns frames and time-outs. It must not know what messages mean.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from wattspan.errors import CallFault, WattspanError

Payload = dict[str, Any]
_CALL, _RESULT, _ERROR = 2, 3, 4  # OCPP-J 1.6 §4.1.3


class ConnectionDown(WattspanError):
    """The connection closed, or was aborted because an answer took too long (`timed_out`)."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Reply(NamedTuple):
    """The central system's answer: a result, or a CALLERROR with this `code`."""

    payload: Payload
    code: str | None = None


class Answer(NamedTuple):
    """The answer to a command. `follow_up` is called once it is sent."""

    payload: Payload
    follow_up: Callable[[], None] | None = None


class RpcClient:
    """Owns a connected socket until it closes.

    `answer(action, payload)` returns the answer to a command and may raise CallFault; `delay_s()` returns the delay of
    an answer in real seconds. `run` reads; `call` may be used while it runs.
    """

    def __init__(
        self,
        socket: ClientConnection,
        answer: Callable[[str, Payload], Answer],
        *,
        delay_s: Callable[[], float],
        timeout_s: float,
    ) -> None:
        self._socket = socket
        self._answer = answer
        self._delay_s = delay_s
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._pending: tuple[str, asyncio.Future[Reply]] | None = None
        self._closed = False

    async def run(self) -> None:
        """Read until the connection closes, then raise ConnectionDown."""
        try:
            async with asyncio.TaskGroup() as late:
                async for frame in self._socket:
                    await self._receive(frame, late)
                raise ConnectionDown("closed")  # cancels delayed answers
        except* (ConnectionClosed, ConnectionDown):
            pass
        finally:
            self._closed = True
            if self._pending is not None and not self._pending[1].done():
                self._pending[1].set_exception(ConnectionDown("the connection closed before the answer"))
                self._pending[1].exception()  # the waiting task may be cancelled before it reads it
        raise ConnectionDown("the connection closed")

    async def call(self, action: str, payload: Payload) -> Reply:
        """Send a CALL when no other is outstanding, and return the reply. Raises ConnectionDown. Cancellation: safe."""
        async with self._turn:
            if self._closed:
                raise ConnectionDown("closed")
            message_id = uuid4().hex
            answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            self._pending = (message_id, answer)
            try:
                await self._send([_CALL, message_id, action, payload])
                async with asyncio.timeout(self._timeout_s):
                    return await answer
            except ConnectionClosed as exc:
                raise ConnectionDown(str(exc)) from exc
            except TimeoutError as exc:
                self.abort()
                raise ConnectionDown(f"no answer to {action} within {self._timeout_s:g} s", timed_out=True) from exc
            finally:
                self._pending = None

    async def close(self) -> None:
        """Close the WebSocket with a close frame."""
        await self._socket.close()

    def abort(self) -> None:
        """Abort the TCP connection without a close frame, as a power cut or a lost radio link would."""
        self._socket.transport.abort()

    async def _send(self, frame: list[Any]) -> None:
        await self._socket.send(orjson.dumps(frame), text=True)

    async def _receive(self, text: str | bytes, late: asyncio.TaskGroup) -> None:
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            return
        match frame:
            case [2, str(message_id), str(action), dict(payload)]:
                delay_s = self._delay_s()
                if delay_s > 0:
                    late.create_task(self._answer_call(message_id, action, payload, delay_s))
                else:
                    await self._answer_call(message_id, action, payload)
            case [3, message_id, dict(payload)]:
                self._complete_call(message_id, Reply(payload))
            case [4, message_id, str(code), _, dict(details)]:
                self._complete_call(message_id, Reply(details, code))

    def _complete_call(self, message_id: object, reply: Reply) -> None:
        if self._pending is not None and self._pending[0] == message_id and not self._pending[1].done():
            self._pending[1].set_result(reply)

    async def _answer_call(self, message_id: str, action: str, payload: Payload, delay_s: float = 0.0) -> None:
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        try:
            answer = self._answer(action, payload)
        except CallFault as fault:
            await self._send([_ERROR, message_id, fault.code, fault.description, fault.details])
            return
        await self._send([_RESULT, message_id, answer.payload])
        if answer.follow_up is not None:
            answer.follow_up()
