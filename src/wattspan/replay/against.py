"""Plays the charge points' side of a log to a central system, and compares its answers with those of the log.

It owns the connections, the pace and the mapping of transaction ids. It must not know formats or how results are shown.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from wattspan.errors import WattspanError
from wattspan.observe.guess import VersionGuess
from wattspan.ocppj.frames import Call
from wattspan.replay.findings import Finding
from wattspan.replay.records import Frame, Located

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
ANSWER_TIMEOUT_S = 30.0
MAX_SHOWN = 1_000
STATUS_FIELDS = ("status", "idTagInfo", "idTokenInfo")
"""Fields of an answer that say what was decided. Times, ids and texts differ between any two systems."""
NAMES_A_TRANSACTION = frozenset({"StopTransaction", "MeterValues"})


class Unreachable(WattspanError):
    """The central system cannot be reached, or refuses the charge point."""


@dataclass(slots=True)
class Comparison:
    """What came of it. `differences` are counted by charge point and text."""

    calls: int = 0
    equal: int = 0
    commands: int = 0
    """CALLs of the central system, which were answered as in the log or as not supported."""
    differences: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(self, located: Located, detail: str) -> None:
        """Count a difference."""
        record = located.record
        known = self.differences.get((record.cp_id, detail))
        if known is not None:
            known.count += 1
        elif len(self.differences) < MAX_SHOWN:
            where = f"{located.file}:{located.line}"
            self.differences[record.cp_id, detail] = Finding("difference", record.cp_id, detail, where, record.ts)


@dataclass(frozen=True, slots=True)
class _Call:
    located: Located
    message: list[Any]
    answer: list[Any] | None


async def play_against(url: str, records: Iterable[Located], *, speed: float = 0.0) -> Comparison:
    """Play all charge points of the log at once, each in its order, and return how the answers differ.

    `url` has `{cp_id}`, or the id is appended to it. `speed`: 1 is the pace of the log, 10 ten times as fast; 0 does
    not wait. The log is read into memory. Raises Unreachable.
    """
    comparison = Comparison()
    players = [_ChargePoint(url, cp_id, calls, comparison, speed) for cp_id, calls in _by_charge_point(records).items()]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each.play()) for each in players]
    for task in running:
        if (fault := task.result()) is not None:
            raise fault
    return comparison


def _by_charge_point(records: Iterable[Located]) -> dict[str, "_Log"]:
    """Return the messages of each charge point, with the answers of the log."""
    logs: dict[str, _Log] = {}
    for located in records:
        if isinstance(frame := located.record, Frame):
            logs.setdefault(frame.cp_id, _Log()).add(located, frame)
    return logs


class _Log:
    """The log of one charge point: its CALLs with their answers, and its answers to commands by action."""

    def __init__(self) -> None:
        self._protocol: str | None = None
        self._guess = VersionGuess()
        self.calls: list[_Call] = []
        self.command_answers: dict[str, deque[list[Any]]] = {}
        self._open: dict[str, int] = {}
        self._commands: dict[str, str] = {}

    @property
    def protocol(self) -> str:
        """The subprotocol that the log names, or else the version that its messages fit."""
        return self._protocol or self._guess.version.subprotocol

    def add(self, located: Located, frame: Frame) -> None:
        """Add a message. What cannot be parsed is left out."""
        try:
            message = frame.data if isinstance(frame.data, list) else orjson.loads(frame.data)
            kind, message_id = message[0], str(message[1])
        except (orjson.JSONDecodeError, IndexError, TypeError):
            return
        self._protocol = self._protocol or frame.protocol
        if kind == CALL and len(message) > 3:  # noqa: PLR2004  with a payload
            if self._protocol is None and not self._guess.certain:
                self._guess.add(Call("", str(message[2]), message[3]), from_charge_point=frame.from_charge_point)
            if frame.from_charge_point:
                self._open[message_id] = len(self.calls)
                self.calls.append(_Call(located, message, None))
            else:
                self._commands[message_id] = str(message[2])
        elif frame.from_charge_point:
            if (action := self._commands.pop(message_id, None)) is not None:
                self.command_answers.setdefault(action, deque()).append(message)
        elif (index := self._open.pop(message_id, None)) is not None:
            call = self.calls[index]
            self.calls[index] = _Call(call.located, call.message, message)


class _ChargePoint:
    """One charge point of the log, connected to the other central system."""

    def __init__(self, url: str, cp_id: str, log: _Log, comparison: Comparison, speed: float) -> None:
        template = url if "{cp_id}" in url else f"{url.rstrip('/')}/{{cp_id}}"
        self._url = template.replace("{cp_id}", quote(cp_id, safe=""))
        self._cp_id = cp_id
        self._log = log
        self._comparison = comparison
        self._speed = speed
        self._transactions: dict[Any, Any] = {}
        """The other system's transaction ids by those of the log (OCPP 1.6)."""
        self._answers: asyncio.Queue[list[Any]] = asyncio.Queue()

    async def play(self) -> Unreachable | None:
        """Play the charge point's CALLs; return why it could not be done, if so."""
        try:
            async with connect(self._url, subprotocols=[Subprotocol(self._log.protocol)], max_size=None) as socket:
                reading = asyncio.create_task(self._read(socket))
                try:
                    async for call in self._paced():
                        await self._call(socket, call)
                finally:
                    reading.cancel()
                    with suppress(asyncio.CancelledError):
                        await reading
        except (OSError, InvalidHandshake) as fault:
            return Unreachable(f"{self._url}: {fault}")
        except ConnectionClosed as fault:
            return Unreachable(f"{self._url}: closed the connection: {fault}")
        return None

    async def _paced(self) -> AsyncIterator[_Call]:
        began_s, first_ts = asyncio.get_running_loop().time(), None
        for call in self._log.calls:
            first_ts = call.located.record.ts if first_ts is None else first_ts
            if self._speed:
                due_s = began_s + (call.located.record.ts - first_ts) / self._speed
                await asyncio.sleep(max(due_s - asyncio.get_running_loop().time(), 0.0))
            yield call

    async def _call(self, socket: ClientConnection, call: _Call) -> None:
        _, message_id, action, payload, *_ = call.message
        await socket.send(orjson.dumps([CALL, message_id, action, self._mapped(action, payload)]), text=True)
        self._comparison.calls += 1
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while str((answer := await self._answers.get())[1]) != str(message_id):
                    pass
        except TimeoutError:
            self._comparison.add(call.located, f"{action}: no answer")
            return
        if action == "StartTransaction" and call.answer is not None:
            with suppress(KeyError, TypeError, IndexError):
                self._transactions[call.answer[2]["transactionId"]] = answer[2]["transactionId"]
        self._compare(call, action, answer)

    def _mapped(self, action: str, payload: Any) -> Any:
        """Return the payload with the other system's transaction id."""
        if action in NAMES_A_TRANSACTION and isinstance(payload, dict):
            new_id = self._transactions.get(payload.get("transactionId"))
            if new_id is not None:
                return payload | {"transactionId": new_id}
        return payload

    def _compare(self, call: _Call, action: str, answer: list[Any]) -> None:
        if call.answer is None:
            return  # the log has no answer to compare with
        differences = _differences(call.answer, answer)
        for detail in differences:
            self._comparison.add(call.located, f"{action}: {detail}")
        self._comparison.equal += not differences

    async def _read(self, socket: ClientConnection) -> None:
        """Answer commands as the charge point did, and pass answers on."""
        with suppress(ConnectionClosed):
            async for data in socket:
                try:
                    message = orjson.loads(data)
                    kind, message_id = message[0], message[1]
                except (orjson.JSONDecodeError, IndexError, TypeError):
                    continue
                if kind != CALL:
                    self._answers.put_nowait(message)
                    continue
                self._comparison.commands += 1
                known = self._log.command_answers.get(str(message[2])) or None
                answer = [CALL_ERROR, message_id, "NotSupported", "", {}] if known is None else known.popleft()
                await socket.send(orjson.dumps([answer[0], message_id, *answer[2:]]), text=True)


def _differences(logged: list[Any], answer: list[Any]) -> list[str]:
    """Return how an answer differs in what it decides: its kind, its status, the fields that it lacks."""
    if logged[0] != answer[0]:
        return [f"{_kind(logged)} in the log, {_kind(answer)} now"]
    if logged[0] == CALL_ERROR:
        return [] if logged[2] == answer[2] else [f"{logged[2]} in the log, {answer[2]} now"]
    old, new = logged[2], answer[2]
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if type(old) is type(new) else ["another kind of payload"]
    found = [f"{name} is missing now" for name in old if name not in new]
    statuses = [(_status(old[name]), _status(new[name])) for name in STATUS_FIELDS if name in old and name in new]
    return found + [f"{was} in the log, {now} now" for was, now in statuses if was != now]


def _kind(message: list[Any]) -> str:
    return f"CALLERROR {message[2]}" if message[0] == CALL_ERROR else "CALLRESULT"


def _status(value: Any) -> Any:
    return value.get("status") if isinstance(value, dict) else value
