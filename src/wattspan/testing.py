"""Helpers for tests of programs that embed Wattspan or extend it by a plugin. Needs the `server` extra.

    from wattspan.testing import Charger, central_system

    async with central_system(plugins=[MyPlugin()]) as csms, Charger(csms.port, "CP1") as charger:
        await charger.call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "One"})
        charger.answers["Reset"] = {"status": "Accepted"}
        result = await csms.call("CP1", ocpp.v16.call.Reset(type="Soft"))

Everything runs in the test's event loop, on 127.0.0.1 and on free ports.
"""

import asyncio
import itertools
import json
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from wattspan._extras import missing_extra
from wattspan.errors import WattspanError

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed
    from websockets.typing import Subprotocol

    from wattspan.app import CentralSystem
except ModuleNotFoundError as error:
    raise ImportError(missing_extra(error.name, __name__) or str(error), name=error.name) from error

__all__ = ["CallErrorReceived", "Charger", "ReceivedCommand", "central_system"]

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
"""OCPP-J message types."""


class CallErrorReceived(WattspanError):
    """The central system answered a CALL with a CALLERROR. `code` is its error code."""

    def __init__(self, code: str, description: str, details: Any = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.details = details


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedCommand:
    """A CALL that the central system sent. Answer it with `Charger.reply` or `Charger.refuse`."""

    message_id: str
    action: str
    payload: dict[str, Any]


class Charger:
    """A charge point on a real WebSocket, connected from entering to leaving the `async with` block.

    `port` is the OCPP port of a central system on 127.0.0.1, or a whole address such as `ws://host:9000/ws`, to which
    the identity is added. `password` is sent as basic credentials. `timeout_s` bounds every wait. Further keywords go
    to `websockets.asyncio.client.connect`.

    Raises on entering: the errors of `websockets` if the connection is refused, e.g. `InvalidStatus`.
    """

    def __init__(
        self,
        port: int | str,
        cp_id: str,
        *,
        subprotocol: str = "ocpp1.6",
        password: str | None = None,
        timeout_s: float = 10.0,
        **options: Any,
    ) -> None:
        base = port if isinstance(port, str) else f"ws://127.0.0.1:{port}/ws"
        if password is not None:
            secret = b64encode(f"{cp_id}:{password}".encode()).decode()
            options["additional_headers"] = {
                "Authorization": f"Basic {secret}",
                **options.get("additional_headers", {}),
            }
        self.cp_id = cp_id
        self.answers: dict[str, dict[str, Any]] = {}
        """Payloads by action: a command of such an action is answered at once and is not seen by `receive`."""
        self._timeout_s = timeout_s
        self._connecting = connect(
            f"{base}/{quote(cp_id, safe='')}", subprotocols=[Subprotocol(subprotocol)], proxy=None, **options
        )
        self._message_ids = (f"m{number}" for number in itertools.count(1))
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._commands: asyncio.Queue[ReceivedCommand] = asyncio.Queue()

    socket: ClientConnection
    """The connection itself, once entered: for what this class does not offer."""
    _reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(self._timeout_s):
            self.socket = await self._connecting
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()
        await self._reading

    async def call(self, action: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a CALL and return the payload of its result.

        Cancellation: safe; a late answer is dropped.

        Raises:
            CallErrorReceived: the answer is a CALLERROR.
            TimeoutError: no answer within `timeout_s`.
            ConnectionError: the connection is closed.
        """
        message_id = next(self._message_ids)
        answer = self._waiting[message_id] = asyncio.get_running_loop().create_future()
        try:
            await self._send([CALL, message_id, action, payload or {}])
            async with asyncio.timeout(self._timeout_s):
                result: dict[str, Any] = await answer
                return result
        finally:
            del self._waiting[message_id]

    async def receive(self, action: str | None = None) -> ReceivedCommand:
        """Return the next command of the central system; with `action`, the next of that action, others are dropped.

        Raises TimeoutError if none arrives within `timeout_s`.
        """
        async with asyncio.timeout(self._timeout_s):
            while True:
                command = await self._commands.get()
                if action is None or command.action == action:
                    return command

    async def reply(self, command: ReceivedCommand, payload: dict[str, Any]) -> None:
        """Answer a command with a CALLRESULT. Raises ConnectionError if the connection is closed."""
        await self._send([CALL_RESULT, command.message_id, payload])

    async def refuse(self, command: ReceivedCommand, code: str, description: str = "") -> None:
        """Answer a command with a CALLERROR. Raises ConnectionError if the connection is closed."""
        await self._send([CALL_ERROR, command.message_id, code, description, {}])

    async def _send(self, frame: list[Any]) -> None:
        try:
            await self.socket.send(json.dumps(frame))
        except ConnectionClosed as exc:
            raise ConnectionError(f"{self.cp_id}: {exc}") from exc

    async def _read(self) -> None:
        try:
            async for message in self.socket:
                frame: list[Any] = json.loads(message)
                if frame[0] == CALL:
                    await self._received(ReceivedCommand(message_id=frame[1], action=frame[2], payload=frame[3]))
                elif (answer := self._waiting.get(frame[1])) is not None and not answer.done():
                    if frame[0] == CALL_RESULT:
                        answer.set_result(frame[2])
                    else:
                        answer.set_exception(CallErrorReceived(*frame[2:5]))
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError(f"{self.cp_id}: the connection closed before the answer"))

    async def _received(self, command: ReceivedCommand) -> None:
        if command.action not in self.answers:
            self._commands.put_nowait(command)
            return
        with suppress(ConnectionError):
            await self.reply(command, self.answers[command.action])


@asynccontextmanager
async def central_system(**keywords: Any) -> AsyncIterator[CentralSystem]:
    """Run a CentralSystem on free ports with a temporary database, and remove both at the end.

    `keywords` are those of CentralSystem and override what is chosen here. Raises as CentralSystem does.
    """
    with tempfile.TemporaryDirectory(prefix="wattspan-") as name:
        chosen: dict[str, Any] = {
            "port": 0,
            "metrics_port": 0,
            "api_port": 0,
            "database": str(Path(name) / "wattspan.db"),
            "files": Path(name) / "files",
        }
        async with CentralSystem(**{**chosen, **keywords}) as csms:
            yield csms
