"""One WebSocket of a charge point: CALLs out and in, one outstanding a direction. Knows frames, not what is in them."""

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


class LinkDown(WattspanError):
    """The connection is gone, or was given up because an answer took too long (`timed_out`)."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Reply(NamedTuple):
    """What the central system answered: a result, or a CALLERROR of this `code`."""

    payload: Payload
    code: str | None = None


class Answer(NamedTuple):
    """Our answer to a command. `then` is called once it is sent."""

    payload: Payload
    then: Callable[[], None] | None = None


class Link:
    """Owns a connected socket until it closes.

    `answer(action, payload)` answers commands, at once, and may raise CallFault; `delay_s()` says how long to hold an
    answer back, in real seconds. `run` reads; `call` may be used while it runs.
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
        self._awaited: tuple[str, asyncio.Future[Reply]] | None = None
        self._down = False

    async def run(self) -> None:
        """Reads until the connection is gone, then raises LinkDown."""
        try:
            async with asyncio.TaskGroup() as late:
                async for frame in self._socket:
                    await self._take(frame, late)
                raise LinkDown("closed")  # cancels what is late
        except* (ConnectionClosed, LinkDown):
            pass
        finally:
            self._down = True
            if self._awaited is not None and not self._awaited[1].done():
                self._awaited[1].set_exception(LinkDown("the connection closed before the answer"))
                self._awaited[1].exception()  # whoever waited may be cancelled before they could look
        raise LinkDown("the connection closed")

    async def call(self, action: str, payload: Payload) -> Reply:
        """Sends a CALL when it is its turn and waits for the answer. Raises LinkDown; cancellation leaves no trace."""
        async with self._turn:
            if self._down:
                raise LinkDown("closed")
            message_id = uuid4().hex
            answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            self._awaited = (message_id, answer)
            try:
                await self._send([_CALL, message_id, action, payload])
                async with asyncio.timeout(self._timeout_s):
                    return await answer
            except ConnectionClosed as exc:
                raise LinkDown(str(exc)) from exc
            except TimeoutError as exc:
                self.abort()
                raise LinkDown(f"no answer to {action} within {self._timeout_s:g} s", timed_out=True) from exc
            finally:
                self._awaited = None

    async def close(self) -> None:
        """Says goodbye properly."""
        await self._socket.close()

    def abort(self) -> None:
        """Drops the TCP connection without a word, as a power cut or a lost radio would."""
        self._socket.transport.abort()

    async def _send(self, frame: list[Any]) -> None:
        await self._socket.send(orjson.dumps(frame), text=True)

    async def _take(self, text: str | bytes, late: asyncio.TaskGroup) -> None:
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
                self._settle(message_id, Reply(payload))
            case [4, message_id, str(code), _, dict(details)]:
                self._settle(message_id, Reply(details, code))

    def _settle(self, message_id: object, reply: Reply) -> None:
        if self._awaited is not None and self._awaited[0] == message_id and not self._awaited[1].done():
            self._awaited[1].set_result(reply)

    async def _answer_call(self, message_id: str, action: str, payload: Payload, delay_s: float = 0.0) -> None:
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        try:
            answer = self._answer(action, payload)
        except CallFault as fault:
            await self._send([_ERROR, message_id, fault.code, fault.description, fault.details])
            return
        await self._send([_RESULT, message_id, answer.payload])
        if answer.then is not None:
            answer.then()
