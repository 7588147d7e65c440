"""Plays the records of logs to an observer, and collects what a report needs: sessions, answers, findings.

It owns the clock of the replay, which is the time of the log. It must not know formats or how results are shown.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from wattspan.domain import events as ev
from wattspan.domain.changes import Changes
from wattspan.domain.fleet import UNMATCHED, Fleet
from wattspan.domain.model import FIRST_CREDIBLE_TS, ChargePoint, Transaction
from wattspan.domain.status import NO_ERROR
from wattspan.observe import Conversation, Limits, Observer
from wattspan.replay.findings import Findings
from wattspan.replay.records import Closed, Connected, Frame, Located
from wattspan.telemetry.recorder import Recorder

NS = 1_000_000_000
MAX_CHARGE_POINTS = 100_000
MAX_FRAME_BYTES = 64 << 20
SLOW_ANSWER_S = 5.0
CLOCK_OFF_S = 120.0
GAP_S = 3 * 3600.0
MAX_CALLS = 64
"""CALLs of a connection whose line is kept until their answer."""
MAX_CURVE_POINTS = 600
"""Points of a session's meter curve; beyond it, every second one is dropped."""
MAX_SESSIONS = 100_000
FORGET_CHANGES_EVERY = 1_000
"""Messages between two times that the changes of the fleet are dropped: there is no store that would write them."""

_HEAD = re.compile(r'\s*\[\s*([2-6])\s*,\s*(?:"([^"]*)"|([^,"]*))\s*(?:,\s*"(\w+)")?')
_CALL, _SEND = "2", "6"


class CurvePoint(NamedTuple):
    """A point of a session's meter curve. None: not measured."""

    ts: float
    energy_wh: float
    power_w: float | None
    current_a: float | None
    soc_percent: float | None


@dataclass(slots=True)
class Session:
    """A session of the log, with its meter curve if curves are kept."""

    transaction: Transaction
    where: str
    errors: int = 0
    curve: list[CurvePoint] = field(default_factory=list)
    every: int = 1
    """Of how many points one is kept."""
    seen: int = 0

    def add(self, point: CurvePoint) -> None:
        """Add a point; thin the curve out when it is long."""
        self.seen += 1
        if self.seen % self.every:
            return
        self.curve.append(point)
        if len(self.curve) > MAX_CURVE_POINTS:
            self.curve = self.curve[::2]
            self.every *= 2


@dataclass(slots=True)
class Answers:
    """How long answers to one action took, s. `slowest_where` is the line of the CALL."""

    count: int = 0
    total_s: float = 0.0
    slowest_s: float = 0.0
    slowest_where: str = ""

    def add(self, seconds: float, where: str) -> None:
        """Count an answer."""
        self.count += 1
        self.total_s += seconds
        if seconds > self.slowest_s or not self.slowest_where:
            self.slowest_s, self.slowest_where = seconds, where


class _Call(NamedTuple):
    action: str
    at_ts: float
    where: str


class _Connection:
    """One conversation of the log and what is known of it beyond the observer."""

    __slots__ = ("calls", "conversation", "last_ts")

    def __init__(self, conversation: Conversation, now_ts: float) -> None:
        self.conversation = conversation
        self.calls: dict[tuple[bool, str], _Call] = {}
        self.last_ts = now_ts


class Player:
    """Plays records in order. `keeps_curves`: keep the meter curve of each session.

    `on_time` is called with the time of the log before each record, so that samples can be taken in between.
    """

    def __init__(
        self,
        fleet: Fleet,
        counters: Any,
        recorder: Recorder,
        *,
        keeps_curves: bool = False,
        on_time: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.findings = Findings()
        self.answers: dict[tuple[str, str], Answers] = {}
        """By ("in" for requests of charge points, "out" for commands, action)."""
        self.sessions: dict[int, Session] = {}
        """By transaction number."""
        self.connections: dict[str, int] = {}
        """Connections by charge point."""
        self.messages = 0
        self.first_ts: float | None = None
        self._now_ns = 0
        self._where = ""
        self._on_time = on_time
        self._keeps_curves = keeps_curves
        self._live: dict[str, _Connection] = {}
        self._fleet = fleet
        self._last_number = fleet.last_number
        fleet.on_stopped.append(self._ended)
        self._jumps: dict[str, int] = {}
        self.observer = Observer(
            fleet,
            recorder=recorder,
            counters=counters,
            clock_ns=lambda: self._now_ns,
            on_event=self._on_events,
            max_charge_points=MAX_CHARGE_POINTS,
            limits=Limits(max_frame_bytes=MAX_FRAME_BYTES),
        )

    @property
    def now_ts(self) -> float:
        """The time of the log, Unix seconds."""
        return self._now_ns / NS

    def play(self, records: Iterable[Located]) -> None:
        """Play all records."""
        for located in records:
            self.record(located)

    def record(self, located: Located) -> None:
        """Play one record."""
        record, file, line = located
        self._where = where = f"{file}:{line}"
        at_ns = round(record.ts * NS)
        if at_ns < self._now_ns:
            if self._now_ns - at_ns > NS:
                self.findings.add("time_order", record.cp_id, where, record.ts)
            at_ns = self._now_ns
        self._now_ns = at_ns
        if self.first_ts is None:
            self.first_ts = at_ns / NS
        self._on_time(at_ns / NS)
        connection = self._live.get(record.cp_id)
        if type(record) is Frame:
            if connection is None:
                connection = self._connect(record.cp_id, record.protocol, at_ns)
            self._frame(connection, record, at_ns)
        elif type(record) is Connected:
            if connection is not None:
                self._unanswered(record.cp_id, connection)
            self._connect(record.cp_id, record.protocol, at_ns)
        elif type(record) is Closed and connection is not None:
            self._unanswered(record.cp_id, connection)
            connection.conversation.close(1006 if record.code is None else record.code, record.reason, at_ns)
            del self._live[record.cp_id]

    def finish(self) -> None:
        """End the replay: report CALLs without an answer. Sessions and connections stay as the log leaves them."""
        for cp_id, connection in self._live.items():
            self._unanswered(cp_id, connection, ended=True)

    def _connect(self, cp_id: str, protocol: str | None, at_ns: int) -> _Connection:
        old = self._live.get(cp_id)
        connection = _Connection(self.observer.connect(cp_id, protocol, at_ns), at_ns / NS)
        if old is not None:
            old.conversation.close(1006, "", at_ns)
        self._live[cp_id] = connection
        self.connections[cp_id] = self.connections.get(cp_id, 0) + 1
        return connection

    def _frame(self, connection: _Connection, frame: Frame, at_ns: int) -> None:
        self.messages += 1
        if self.messages % FORGET_CHANGES_EVERY == 0:
            self._fleet.changes = Changes()
        now_ts = at_ns / NS
        data = frame.data if isinstance(frame.data, str) else orjson.dumps(frame.data).decode()
        found = _HEAD.match(data)
        if found is not None:
            self._pair(connection, frame, found, now_ts)
        if now_ts - connection.last_ts > GAP_S:
            self.findings.add("gap", frame.cp_id, self._where, now_ts)
        connection.last_ts = now_ts
        connection.conversation.frame(data, frame.from_charge_point, at_ns)

    def _pair(self, connection: _Connection, frame: Frame, head: re.Match[str], now_ts: float) -> None:
        kind, message_id, action = head[1], head[2] or head[3] or "", head[4]
        if kind == _CALL:
            if len(connection.calls) >= MAX_CALLS:
                oldest = next(iter(connection.calls))
                self._no_answer(frame.cp_id, connection.calls.pop(oldest))
            connection.calls[frame.from_charge_point, message_id] = _Call(action or "other", now_ts, self._where)
        elif kind != _SEND and (call := connection.calls.pop((not frame.from_charge_point, message_id), None)):
            seconds = now_ts - call.at_ts
            key = ("out" if frame.from_charge_point else "in", call.action)
            self.answers.setdefault(key, Answers()).add(seconds, call.where)
            if seconds > SLOW_ANSWER_S:
                self.findings.add("slow_answer", frame.cp_id, call.where, call.at_ts, call.action)

    def _unanswered(self, cp_id: str, connection: _Connection, *, ended: bool = False) -> None:
        for call in connection.calls.values():
            if not ended or self.now_ts - call.at_ts > SLOW_ANSWER_S:
                self._no_answer(cp_id, call)
        connection.calls.clear()

    def _no_answer(self, cp_id: str, call: _Call) -> None:
        self.findings.add("no_answer", cp_id, call.where, call.at_ts, call.action)

    def _on_events(self, events: Sequence[ev.Event], at_ns: int) -> None:
        """Derive findings and sessions from the events of one message."""
        for event in events:
            if (handle := _HANDLERS.get(type(event))) is not None:
                handle(self, event)

    def _add(self, kind: str, event: ev.Event, detail: str = "") -> None:
        self.findings.add(kind, event.cp_id, self._where, event.received_ts, detail)

    def _connected(self, e: ev.ChargePointConnected) -> None:
        if (cp := self._fleet.charge_points.get(e.cp_id)) is not None and cp.transactions:
            self._add("reconnect", e)

    def _status(self, e: ev.ConnectorStatusChanged) -> None:
        self._check_clock(e, e.charger_ts)
        if e.error_code != NO_ERROR:
            self._add("fault", e, e.error_code)
            for transaction in self._fleet.charge_points[e.cp_id].transactions.values():
                if transaction.number in self.sessions:
                    self.sessions[transaction.number].errors += 1

    def _started(self, e: ev.TransactionStarted) -> None:
        self._check_clock(e, e.started_ts)
        if self._fleet.last_number == self._last_number:
            self._add("repeated_start", e)
        self._new_sessions(e.cp_id)

    def _new_sessions(self, cp_id: str) -> None:
        """Keep the sessions that a message began."""
        if self._fleet.last_number == self._last_number:
            return
        for transaction in self._fleet.charge_points[cp_id].transactions.values():
            if transaction.number > self._last_number and len(self.sessions) < MAX_SESSIONS:
                self.sessions[transaction.number] = Session(transaction, self._where)
        self._last_number = self._fleet.last_number

    def _ended(self, transaction: Transaction) -> None:
        """Keep a session that only its stop is known of."""
        if transaction.number not in self.sessions and len(self.sessions) < MAX_SESSIONS:
            self.sessions[transaction.number] = Session(transaction, self._where)
        if transaction.key.startswith(UNMATCHED):
            self.findings.add("unmatched_stop", transaction.cp_id, self._where, self.now_ts)

    def _stopped(self, e: ev.TransactionStopped) -> None:
        self._check_clock(e, e.stopped_ts)
        self._new_sessions(e.cp_id)
        self._measured(e)

    def _transaction_event(self, e: ev.TransactionEventReceived) -> None:
        self._check_clock(e, e.ref.charger_ts)
        self._new_sessions(e.cp_id)
        self._measured(e)

    def _measured(self, e: Any) -> None:
        cp = self._fleet.charge_points.get(e.cp_id)
        if cp is None:
            return
        if cp.energy_jumps > self._jumps.get(cp.cp_id, 0):
            self._jumps[cp.cp_id] = cp.energy_jumps
            self._add("energy", e)
        if self._keeps_curves and e.readings:
            self._add_point(cp, e)

    def _add_point(self, cp: ChargePoint, e: Any) -> None:
        transaction = self._fleet.session_of(cp.cp_id, e.connector_id, e.transaction_id)
        session = None if transaction is None else self.sessions.get(transaction.number)
        if session is None or transaction is None:
            return
        last = e.readings[-1]
        ts = last.charger_ts if last.charger_ts and last.charger_ts >= FIRST_CREDIBLE_TS else e.received_ts
        session.add(CurvePoint(ts, transaction.meter.energy_wh, last.power_w, last.current_a, last.soc_percent))

    def _check_clock(self, e: ev.Event, charger_ts: float | None) -> None:
        """A replay after an outage has old timestamps rightly; a timestamp ahead, or one never set, is wrong."""
        if charger_ts is not None and (charger_ts > e.received_ts + CLOCK_OFF_S or charger_ts < FIRST_CREDIBLE_TS):
            self._add("clock", e)

    def _rejected(self, e: ev.CommandAnswered) -> None:
        if not e.accepted:
            self._add("command_rejected", e, f"{e.action} ({e.status})")

    def _failed(self, e: ev.CommandFailed) -> None:
        if e.error_type not in ("Timeout", "ConnectionLost"):
            self._add("command_failed", e, f"{e.action} ({e.error_type})")


_HANDLERS: dict[type[ev.Event], Callable[[Player, Any], None]] = {
    ev.ChargePointConnected: Player._connected,
    ev.ConnectorStatusChanged: Player._status,
    ev.TransactionStarted: Player._started,
    ev.TransactionStopped: Player._stopped,
    ev.TransactionEventReceived: Player._transaction_event,
    ev.MeterValuesReceived: Player._measured,
    ev.CommandAnswered: Player._rejected,
    ev.CommandFailed: Player._failed,
    ev.SchemaFaulted: lambda player, e: player._add("schema_fault", e, e.action),
    ev.ProtocolFaulted: lambda player, e: player._add("protocol_fault", e, e.code),
    ev.VersionMixed: lambda player, e: player._add("other_version", e, e.action),
    ev.ProblemReported: lambda player, e: player._add("fault", e, e.error_type),
}
