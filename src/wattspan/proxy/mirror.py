"""Mirrors: other central systems that get copies of the charge points' CALLs and SENDs. Best effort and bounded.

A mirror's answers do not reach the charge point. They are compared, and the transaction ids that they assign replace
the central system's ids in the messages that follow.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from wattspan.domain.counters import ServerCounters
from wattspan.proxy.compare import Answer, Comparison
from wattspan.proxy.relay import Opened
from wattspan.proxy.target import Template, passed
from wattspan.telemetry.catalogue import EVENT_NAME, EXCEPTION_MESSAGE, MIRROR, MIRROR_EVENT
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

CALL, RESULT, ERROR, SEND = 2, 3, 4, 6
MAX_QUEUED = 500
"""Messages of one charge point that wait for one mirror; the mirror answers one CALL at a time."""
MAX_QUEUED_BYTES = 2 << 20
MAX_IDS = 50_000
"""Transaction ids of all mirrors that are remembered."""
ANSWER_TIMEOUT_S = 30.0
OPEN_TIMEOUT_S = 10.0
RETRY_S = (1.0, 5.0, 15.0, 60.0)
"""Seconds between attempts to connect to a mirror; the last value repeats."""
NOT_SUPPORTED = ["NotSupported", "commands of a mirror do not reach the charge point", {}]

Json = dict[str, Any]


class _Call(NamedTuple):
    """A CALL or, if `type` is SEND, an unanswered message of the charge point (OCPP-J 2.1 §4.2.5)."""

    type: int
    message_id: str
    action: str
    payload: Json
    size: int


class Mirror(NamedTuple):
    """A central system that gets copies. `label` names it in metrics."""

    template: Template
    label: str
    context: ssl.SSLContext | None

    @classmethod
    def all_of(cls, templates: Sequence[Template], context: ssl.SSLContext | None) -> list["Mirror"]:
        """Return the mirrors with these URLs. Those at the same host and port have their paths in their labels."""
        places = [f"{template.uri.host}:{template.uri.port}" for template in templates]
        return [
            cls(
                template,
                place if places.count(place) == 1 else f"{place}{template.target}",
                context if template.uri.secure else None,
            )
            for template, place in zip(templates, places, strict=True)
        ]


class Mirrors:
    """The mirrors of all charge points, and what they share. For the event loop's thread."""

    def __init__(
        self, mirrors: Sequence[Mirror], counters: ServerCounters, comparison: Comparison | None, max_message_bytes: int
    ) -> None:
        """`comparison` None: answers are not compared."""
        self.comparison = comparison
        self.max_message_bytes = max_message_bytes
        self._mirrors = mirrors
        self._counters = counters
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    def open(self, opened: Opened) -> "LinkMirrors":
        """Connect the mirrors for a charge point, and return what its messages are passed to."""
        copies = [MirrorConnection(self, mirror, opened) for mirror in self._mirrors]
        for copy in copies:
            task = asyncio.create_task(copy.run())
            copy.task = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return LinkMirrors(copies)

    def count(self, mirror: str, outcome: str) -> None:
        """Count a message for a mirror by its outcome."""
        counts, key = self._counters.mirror_messages, (mirror, outcome)
        counts[key] = counts.get(key, 0) + 1

    def learn(self, mirror: str, cp_id: str, primary_id: int, mirror_id: int) -> None:
        """Remember the transaction id of a mirror (`mirror_id`) for one of the central system."""
        self._ids[mirror, cp_id, primary_id] = mirror_id
        if len(self._ids) > MAX_IDS:
            self._ids.popitem(last=False)

    def mirror_id(self, mirror: str, cp_id: str, primary_id: int) -> int | None:
        """Return the mirror's transaction id, or None if it is not known."""
        return self._ids.get((mirror, cp_id, primary_id))

    async def stop(self) -> None:
        """Disconnect all mirrors."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=OPEN_TIMEOUT_S)


class LinkMirrors:
    """All mirrors of one charge point's connection."""

    def __init__(self, copies: "list[MirrorConnection]") -> None:
        self._copies = copies
        self._asked: OrderedDict[str, tuple[_Call, int]] = OrderedDict()

    def message(self, data: bytes, from_charge_point: bool, at_ns: int) -> None:
        """Pass on a message that was relayed."""
        try:
            frame = orjson.loads(data)
        except ValueError:
            return
        if not isinstance(frame, list) or len(frame) < 3 or not isinstance(frame[1], str):  # noqa: PLR2004
            return
        if from_charge_point:
            call = _call(frame, len(data))
            if call is None:
                return
            if call.type == CALL:
                self._asked[call.message_id] = (call, at_ns)
                if len(self._asked) > MAX_QUEUED:
                    self._asked.popitem(last=False)
            for copy in self._copies:
                copy.put(call)
        elif frame[0] in (RESULT, ERROR) and (asked := self._asked.pop(frame[1], None)) is not None:
            call, asked_ns = asked
            answer = Answer.of(frame, (at_ns - asked_ns) / 1e9)
            for copy in self._copies:
                copy.answered(call, frame, answer)

    def skip(self) -> None:
        """Count a message of the charge point that is too long to be copied."""
        for copy in self._copies:
            copy.skip()

    def close(self) -> None:
        """Disconnect the mirrors: the charge point has gone."""
        for copy in self._copies:
            copy.close()


class MirrorConnection:
    """One charge point's connection to one mirror. It reconnects while the charge point is connected."""

    def __init__(self, mirrors: Mirrors, mirror: Mirror, opened: Opened) -> None:
        self.task: asyncio.Task[None] | None = None
        self._mirrors = mirrors
        self._mirror = mirror
        self._opened = opened
        self._cp_id = opened.identity.cp_id
        self._queue: deque[_Call] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._boot: _Call | None = None
        """Sent again after a reconnect: central systems want to know whom they serve."""
        self._pending: OrderedDict[str, list[Any]] = OrderedDict()
        """By message id: [the central system's answer, the mirror's, and both transaction ids], None if not known."""

    def put(self, call: _Call) -> None:
        """Queue a message, or count it as dropped."""
        if call.action == "BootNotification":
            self._boot = call
        if len(self._queue) >= MAX_QUEUED or self._bytes + call.size > MAX_QUEUED_BYTES:
            self.skip()
            return
        self._queue.append(call)
        self._bytes += call.size
        self._filled.set()

    def skip(self) -> None:
        """Count a message as dropped."""
        self._mirrors.count(self._mirror.label, "dropped")

    def answered(self, call: _Call, frame: list[Any], answer: Answer) -> None:
        """Take the central system's own answer to a CALL."""
        entry = self._entry(call.message_id)
        entry[0], entry[2] = answer, _transaction_id(call.action, frame)
        self._settle(call)

    def close(self) -> None:
        """End, once the charge point has gone. What still waits is dropped."""
        if self.task is not None:
            self.task.cancel()
        for _ in self._queue:
            self.skip()
        self._queue.clear()

    async def run(self) -> None:
        """Connect, and send what is queued, until cancelled."""
        failures = 0
        while True:
            try:
                connection = await self._connect()
                try:
                    failures = 0
                    await self._serve(connection)
                finally:
                    await connection.close(1001)  # within its close time-out
            except (WebSocketException, OSError, TimeoutError) as exc:
                label, reason = self._mirror.label, str(exc) or type(exc).__name__
                fields = {EVENT_NAME: MIRROR_EVENT, MIRROR: label, EXCEPTION_MESSAGE: reason}
                limited(log, logging.WARNING, f"mirror {label}", "mirror %s: %s", label, reason, fields=fields)
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1
            if self._boot is not None and self._boot not in self._queue:
                self._queue.appendleft(self._boot)
                self._bytes += self._boot.size

    async def _connect(self) -> ClientConnection:
        opened, template = self._opened, self._mirror.template
        uri = template.uri
        host = f"[{uri.host}]" if ":" in uri.host else uri.host
        target = template.target_for(opened.identity.raw, opened.request.path)
        headers = [
            (name, value) for name, value in passed(opened.request.headers) if name.lower() not in _SET_BY_LIBRARY
        ]
        return await connect(
            f"{'wss' if uri.secure else 'ws'}://{host}:{uri.port}{target}",
            additional_headers=headers,
            subprotocols=[Subprotocol(opened.subprotocol)] if opened.subprotocol else None,
            ssl=self._mirror.context,
            compression=None,
            proxy=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=1.0,
            max_size=self._mirrors.max_message_bytes,
            user_agent_header=None,
        )

    async def _serve(self, connection: ClientConnection) -> None:
        """Send one message after the other. Raises when the connection is lost."""
        answers: asyncio.Queue[list[Any]] = asyncio.Queue(MAX_QUEUED)
        reading = asyncio.create_task(self._read(connection, answers))
        try:
            while True:
                call = await self._next(reading)
                if call.type == SEND:
                    await self._send(connection, call)
                else:
                    await self._exchange(connection, call, answers, reading)
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketException, OSError):
                await reading

    async def _next(self, reading: asyncio.Task[None]) -> _Call:
        """Return the next message. Raises what ended `reading`."""
        while not self._queue:
            self._filled.clear()
            filled = asyncio.ensure_future(self._filled.wait())
            try:
                await asyncio.wait((filled, reading), return_when=asyncio.FIRST_COMPLETED)
            finally:
                filled.cancel()
            if reading.done():
                await reading
        call = self._queue.popleft()
        self._bytes -= call.size
        return call

    async def _send(self, connection: ClientConnection, message: _Call) -> None:
        """Send a message that has no answer. Raises when the connection is lost."""
        text = orjson.dumps([SEND, message.message_id, message.action, message.payload])
        try:
            await connection.send(text, text=True)
        except (WebSocketException, OSError):
            self.skip()
            raise
        self._mirrors.count(self._mirror.label, "sent")

    async def _exchange(
        self,
        connection: ClientConnection,
        call: _Call,
        answers: "asyncio.Queue[list[Any]]",
        reading: asyncio.Task[None],
    ) -> None:
        payload = self._translated(call)
        label = self._mirror.label
        if payload is None:
            self.skip()
            return
        began = time.perf_counter()
        frame: list[Any] | None = None
        try:
            await connection.send(orjson.dumps([CALL, call.message_id, call.action, payload]), text=True)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while frame is None or frame[1] != call.message_id:
                    frame = await _first(answers, reading)
        except (TimeoutError, WebSocketException, OSError) as exc:
            self._mirrors.count(label, "unanswered")
            self._note(call, Answer.missing(), None)
            if not isinstance(exc, TimeoutError):
                raise
            return
        self._mirrors.count(label, "answered" if frame[0] == RESULT else "refused")
        self._note(call, Answer.of(frame, time.perf_counter() - began), frame)

    async def _read(self, connection: ClientConnection, answers: "asyncio.Queue[list[Any]]") -> None:
        """Sort what the mirror sends, until the connection is lost. What nobody waits for is dropped."""
        async for text in connection:
            try:
                frame = orjson.loads(text)
            except ValueError:
                continue
            if not isinstance(frame, list) or len(frame) < 3:  # noqa: PLR2004
                continue
            if frame[0] == CALL:
                await connection.send(orjson.dumps([ERROR, frame[1], *NOT_SUPPORTED]), text=True)
            elif frame[0] in (RESULT, ERROR) and not answers.full():
                answers.put_nowait(frame)
        raise ConnectionResetError("the mirror closed the connection")

    # transaction ids and comparison

    def _translated(self, call: _Call) -> Json | None:
        """Return the payload with the mirror's transaction id, or None if the message is useless without one."""
        primary_id = call.payload.get("transactionId")
        if type(primary_id) is not int:  # only OCPP 1.6 has ids that the central system assigns
            return call.payload
        mirror_id = self._mirrors.mirror_id(self._mirror.label, self._cp_id, primary_id)
        if mirror_id is not None:
            return {**call.payload, "transactionId": mirror_id}
        if call.action == "StopTransaction":
            return None
        return {name: value for name, value in call.payload.items() if name != "transactionId"}

    def _note(self, call: _Call, answer: Answer, frame: list[Any] | None) -> None:
        entry = self._entry(call.message_id)
        entry[1], entry[3] = answer, None if frame is None else _transaction_id(call.action, frame)
        self._settle(call)

    def _entry(self, message_id: str) -> list[Any]:
        entry = self._pending.get(message_id)
        if entry is None:
            entry = self._pending[message_id] = [None, None, None, None]
            if len(self._pending) > MAX_QUEUED:
                self._pending.popitem(last=False)
        return entry

    def _settle(self, call: _Call) -> None:
        """Compare both answers and learn the transaction ids, once both are known."""
        primary, mirror, primary_id, mirror_id = self._pending[call.message_id]
        if primary is None or mirror is None:
            return
        del self._pending[call.message_id]
        if primary_id is not None and mirror_id is not None:
            self._mirrors.learn(self._mirror.label, self._cp_id, primary_id, mirror_id)
        if self._mirrors.comparison is not None:
            self._mirrors.comparison.compare(self._mirror.label, call.action, primary, mirror)


_SET_BY_LIBRARY = frozenset({"sec-websocket-protocol", "user-agent"})
"""Headers that `websockets` writes itself."""


async def _first(answers: "asyncio.Queue[list[Any]]", reading: asyncio.Task[None]) -> list[Any]:
    """Return the next answer. Raises what ended `reading`."""
    getting = asyncio.ensure_future(answers.get())
    try:
        await asyncio.wait((getting, reading), return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
    finally:
        getting.cancel()
    await reading
    raise ConnectionResetError("the mirror closed the connection")


def _call(frame: list[Any], size: int) -> _Call | None:
    """Return a frame of the charge point as what mirrors get, or None if it answers something or is malformed."""
    if frame[0] not in (CALL, SEND) or len(frame) != 4:  # noqa: PLR2004 - OCPP-J §4.2.1, OCPP-J 2.1 §4.2.5
        return None
    if not isinstance(frame[2], str) or not isinstance(frame[3], dict):
        return None
    return _Call(frame[0], frame[1], frame[2], frame[3], size)


def _transaction_id(action: str, frame: list[Any]) -> int | None:
    """Return the transaction id that an answer to StartTransaction (1.6) assigns."""
    if action != "StartTransaction" or frame[0] != RESULT or not isinstance(frame[2], dict):
        return None
    found = frame[2].get("transactionId")
    return found if type(found) is int else None
