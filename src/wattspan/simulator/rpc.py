"""The charge point's end of OCPP-J on one WebSocket.

It owns the socket, the delay of answers, and what a time-out does; `ocppj` owns frames, order and matching. It must not
know what messages mean.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from wattspan.errors import CallFault, CommandRefused, CommandTimeout, ConnectionLost, FrameError, WattspanError
from wattspan.ocppj.frames import Call, Framing, ResultError, Send
from wattspan.ocppj.rpc import RpcConnection

Payload = dict[str, Any]


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
    """The answer to a command. `follow_up` is called once it is queued for sending."""

    payload: Payload
    follow_up: Callable[[], None] | None = None


class RpcClient:
    """Owns a connected socket until it closes. It is the `Wire` and the `Handler` of an `RpcConnection`.

    `answer(action, payload)` returns the answer to a command and may raise CallFault; `delay_s()` returns the delay of
    an answer in real seconds. `call` may be used while `run` runs.
    """

    def __init__(
        self,
        cp_id: str,
        socket: ClientConnection,
        framing: Framing,
        answer: Callable[[str, Payload], Answer],
        *,
        delay_s: Callable[[], float],
        timeout_s: float,
    ) -> None:
        self._socket = socket
        self._answer = answer
        self._delay_s = delay_s
        self._timeout_s = timeout_s
        self._connection = RpcConnection(cp_id, self, self, framing)
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        """Messages to send; None: close the WebSocket."""
        self._readable = asyncio.Event()
        self._readable.set()

    async def run(self) -> None:
        """Read and write until the connection closes, then raise ConnectionDown."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._write())
                while True:
                    await self._readable.wait()
                    self._connection.receive(await self._socket.recv(decode=False))
        except* ConnectionClosed:
            pass
        finally:
            self._connection.close()
        raise ConnectionDown("the connection closed")

    async def call(self, action: str, payload: Payload) -> Reply:
        """Send a CALL when no other is outstanding, and return the reply. Raises ConnectionDown. Cancellation: safe."""
        try:
            return Reply(await self._connection.call(action, payload, timeout_s=self._timeout_s))
        except CommandRefused as exc:
            return Reply(exc.details, exc.code)
        except CommandTimeout as exc:
            self.abort()
            raise ConnectionDown(f"no answer to {action} within {self._timeout_s:g} s", timed_out=True) from exc
        except ConnectionLost as exc:
            raise ConnectionDown("the connection closed before the answer") from exc

    async def close(self) -> None:
        """Send what is queued and close the WebSocket with a close frame."""
        self._outgoing.put_nowait(None)
        await self._socket.wait_closed()

    def abort(self) -> None:
        """Abort the TCP connection without a close frame, as a power cut or a lost radio link would."""
        self._socket.transport.abort()

    def send(self, data: bytes) -> None:
        """Queue a text message. `RpcConnection` bounds them: one CALL, and the answers to waiting CALLs."""
        self._outgoing.put_nowait(data)

    def pause_reading(self) -> None:
        """Stop reading from the socket."""
        self._readable.clear()

    def resume_reading(self) -> None:
        """Read from the socket again."""
        self._readable.set()

    def on_call(self, call: Call) -> None:
        """Answer a command, now or after the injected delay."""
        if call.fault is not None:
            self._connection.refuse(call, call.fault.code, call.fault.description, {})
            return
        delay_s = self._delay_s()
        if delay_s > 0:
            self._tasks.create_task(self._answer_later(call, delay_s))
        else:
            # A turn of the loop later, so that whoever awaits a result that came just before acts on it first.
            asyncio.get_running_loop().call_soon(self._answer_call, call)

    def on_joined(self, messages: int) -> None:
        """Ignore it: each of them is processed."""

    def on_fault(self, fault: FrameError) -> None:
        """Ignore an invalid message: `RpcConnection` answers it."""

    def on_send(self, send: Send) -> None:
        """Ignore a SEND: no virtual charge point uses one."""

    def on_result_error(self, error: ResultError) -> None:
        """Ignore a CALLRESULTERROR."""

    def on_unexpected_result(self) -> None:
        """Ignore a result that matches no outstanding CALL."""

    async def _write(self) -> None:
        while (data := await self._outgoing.get()) is not None:
            await self._socket.send(data, text=True)
        await self._socket.close()

    async def _answer_later(self, call: Call, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self._answer_call(call)

    def _answer_call(self, call: Call) -> None:
        try:
            answer = self._answer(call.action, call.payload)
        except CallFault as fault:
            self._connection.refuse(call, fault.code, fault.description, fault.details)
            return
        self._connection.answer(call, answer.payload)
        if answer.follow_up is not None:
            answer.follow_up()
