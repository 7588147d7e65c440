"""Plays the records of logs to an observer, and collects what a report needs: sessions, answers, findings.

It owns the clock of the replay, which is the time of the log. It must not know formats or how results are shown.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from orjson import JSONDecodeError, loads

from wattspan.domain import events as ev
from wattspan.domain.changes import Changes
from wattspan.domain.fleet import UNMATCHED, Fleet
from wattspan.domain.model import FIRST_CREDIBLE_TS, ChargePoint, Transaction
from wattspan.domain.status import NO_ERROR
from wattspan.observe import Conversation, Limits, Observer
from wattspan.ocppj.frames import CALL, SEND
from wattspan.replay.findings import CORRECTIONS, Findings
from wattspan.replay.records import Closed, Connected, Frame, Located, Record
from wattspan.telemetry.recorder import Recorder

NS = 1_000_000_000
MAX_CHARGE_POINTS = 100_000
MAX_FRAME_BYTES = 64 << 20
SLOW_ANSWER_NS = 5 * NS
CLOCK_OFF_S = 120.0
GAP_NS = 3 * 3600 * NS
MAX_CALLS = 64
"""CALLs of a connection whose line is kept until their answer."""
MAX_CURVE_POINTS = 600
"""Points of a session's meter curve; beyond it, every second one is dropped."""
MAX_SESSIONS = 100_000
FORGET_CHANGES_EVERY = 1_000
"""Messages between two times that the changes of the fleet are dropped: there is no store that would write them."""

_HEAD = re.compile(r'\s*\[\s*([2-6])\s*,\s*(?:"([^"]*)"|([^,"]*))\s*(?:,\s*"(\w+)")?')
"""The beginning of a message whose JSON cannot be read."""
_WORD = re.compile(r"\w+")
_new = tuple.__new__
"""Makes a named tuple in half of the time of its own constructor."""
_OTHER_ACTION = "other"
_END = 1 << 62
"""The place of what is found at the end of the log."""


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
    place: int = 0
    """The number of the record that began it."""
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
    """How long answers to one action took, ns. `slowest_where` is the line of the CALL, `slowest_place` its record."""

    count: int = 0
    total_ns: int = 0
    slowest_ns: int = -1
    slowest_where: str = ""
    slowest_place: int = 0

    def merge(self, other: "Answers") -> None:
        """Add the answers of other charge points."""
        self.count += other.count
        self.total_ns += other.total_ns
        if (other.slowest_ns, -other.slowest_place) > (self.slowest_ns, -self.slowest_place):
            self.slowest_ns, self.slowest_where = other.slowest_ns, other.slowest_where
            self.slowest_place = other.slowest_place


class _Call(NamedTuple):
    action: str
    at_ns: int
    file: str
    line: int
    place: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


class _Connection:
    """One conversation of the log and what is known of it beyond the observer."""

    __slots__ = ("calls", "conversation", "last_ns")

    def __init__(self, conversation: Conversation, now_ns: int) -> None:
        self.conversation = conversation
        self.calls: dict[tuple[bool, str], _Call] = {}
        self.last_ns = now_ns


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
        on_time: Callable[[float], None] | None = None,
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
        self._place = 0
        """The number of the current record, among those of all charge points."""
        self._file = ""
        self._line = 0
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
            limits=Limits(max_frame_bytes=MAX_FRAME_BYTES, max_readings=MAX_FRAME_BYTES),
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
        record, self._file, self._line = located
        self._place += 1
        cp_id = record.cp_id
        at_ns = round(record.ts * NS)
        if at_ns < self._now_ns:
            if self._now_ns - at_ns > NS:
                self.findings.add("time_order", cp_id, self._where, record.ts, place=self._place)
            at_ns = self._now_ns
        self._now_ns = at_ns
        if self.first_ts is None:
            self.first_ts = at_ns / NS
        if self._on_time is not None:
            self._on_time(at_ns / NS)
        connection = self._live.get(cp_id)
        if type(record) is Frame:
            if connection is None:
                connection = self._connect(cp_id, record.protocol, at_ns)
            self._frame(connection, record, at_ns)
        elif type(record) is Connected:
            if connection is not None:
                self._unanswered(cp_id, connection)
            self._connect(cp_id, record.protocol, at_ns)
        elif type(record) is Closed and connection is not None:
            self._unanswered(cp_id, connection)
            connection.conversation.close(1006 if record.code is None else record.code, record.reason, at_ns)
            del self._live[cp_id]

    def pass_over(self, record: Record) -> None:
        """Let the clock go on for a record that another player plays."""
        self._place += 1
        at_ns = round(record.ts * NS)
        self._now_ns = max(self._now_ns, at_ns)
        if self.first_ts is None:
            self.first_ts = at_ns / NS

    def finish(self) -> None:
        """End the replay: report CALLs without an answer. Sessions and connections stay as the log leaves them."""
        self._place = _END
        for cp_id, connection in sorted(self._live.items()):
            self._unanswered(cp_id, connection, ended=True)

    @property
    def _where(self) -> str:
        return f"{self._file}:{self._line}"

    def _connect(self, cp_id: str, protocol: str | None, at_ns: int) -> _Connection:
        old = self._live.get(cp_id)
        connection = _Connection(self.observer.connect(cp_id, protocol, at_ns), at_ns)
        if old is not None:
            old.conversation.close(1006, "", at_ns)
        self._live[cp_id] = connection
        self.connections[cp_id] = self.connections.get(cp_id, 0) + 1
        return connection

    def _frame(self, connection: _Connection, frame: Frame, at_ns: int) -> None:
        _, cp_id, from_charge_point, data, _ = frame
        self.messages += 1
        if self.messages % FORGET_CHANGES_EVERY == 0:
            self._fleet.changes = Changes()
        if at_ns - connection.last_ns > GAP_NS:
            self.findings.add("gap", cp_id, self._where, at_ns / NS, place=self._place)
        connection.last_ns = at_ns
        message = data
        if type(data) is str:
            try:
                message = loads(data)
            except JSONDecodeError:
                message = None
        if type(message) is list and len(message) > 1 and type(kind := message[0]) is int and 2 <= kind <= 6:  # noqa: PLR2004
            message_id = message[1]
            action = message[2] if len(message) > 2 else None  # noqa: PLR2004
            self._pair(connection, cp_id, from_charge_point, kind, message_id, action, at_ns)
            connection.conversation.decoded(message, from_charge_point, at_ns)
            return
        text = data if type(data) is str else orjson.dumps(data).decode()
        found = _HEAD.match(text)
        if found is not None:
            message_id = found[2] or found[3] or ""
            self._pair(connection, cp_id, from_charge_point, int(found[1]), message_id, found[4], at_ns)
        connection.conversation.frame(text, from_charge_point, at_ns)

    def _pair(
        self,
        connection: _Connection,
        cp_id: str,
        from_charge_point: bool,
        kind: int,
        message_id: Any,
        action: Any,
        at_ns: int,
    ) -> None:
        """Find the CALL of an answer. It is done by the lines alone, as a reader of the log would."""
        calls = connection.calls
        if type(message_id) is not str:
            message_id = str(message_id)
        if kind == CALL:
            if len(calls) >= MAX_CALLS:
                self._no_answer(cp_id, calls.pop(next(iter(calls))))
            if type(action) is not str or not (action.isalnum() or _WORD.fullmatch(action)):
                action = _OTHER_ACTION
            calls[from_charge_point, message_id] = _new(_Call, (action, at_ns, self._file, self._line, self._place))
        elif kind != SEND and (call := calls.pop((not from_charge_point, message_id), None)) is not None:
            took_ns = at_ns - call.at_ns
            key = ("out" if from_charge_point else "in", call.action)
            answers = self.answers.get(key)
            if answers is None:
                answers = self.answers[key] = Answers()
            answers.count += 1
            answers.total_ns += took_ns
            if took_ns >= answers.slowest_ns and (
                took_ns > answers.slowest_ns or call.place < answers.slowest_place  # as in `Answers.merge`
            ):
                answers.slowest_ns, answers.slowest_where = took_ns, call.where
                answers.slowest_place = call.place
            if took_ns > SLOW_ANSWER_NS:
                at_ts = call.at_ns / NS
                self.findings.add("slow_answer", cp_id, call.where, at_ts, call.action, place=self._place)

    def _unanswered(self, cp_id: str, connection: _Connection, *, ended: bool = False) -> None:
        for call in connection.calls.values():
            if not ended or self._now_ns - call.at_ns > SLOW_ANSWER_NS:
                self._no_answer(cp_id, call)
        connection.calls.clear()

    def _no_answer(self, cp_id: str, call: _Call) -> None:
        self.findings.add("no_answer", cp_id, call.where, call.at_ns / NS, call.action, place=self._place)

    def _on_events(self, events: Sequence[ev.Event], at_ns: int) -> None:
        """Derive findings and sessions from the events of one message."""
        for event in events:
            if (handle := _HANDLERS.get(type(event))) is not None:
                handle(self, event)

    def _add(self, kind: str, event: ev.Event, detail: str = "") -> None:
        self.findings.add(kind, event.cp_id, self._where, event.received_ts, detail, place=self._place)

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
            if transaction.number > self._last_number:
                self._keep(transaction)
        self._last_number = self._fleet.last_number

    def _keep(self, transaction: Transaction) -> None:
        if len(self.sessions) >= MAX_SESSIONS:
            return
        session = self.sessions[transaction.number] = Session(transaction, self._where, self._place)
        if self._keeps_curves:
            session.curve.append(CurvePoint(transaction.began_ts, 0.0, None, None, None))

    def _ended(self, transaction: Transaction) -> None:
        """Keep a session that only its stop is known of."""
        if transaction.number not in self.sessions:
            self._keep(transaction)
        session, ended_ts = self.sessions.get(transaction.number), transaction.ended_ts
        if self._keeps_curves and session is not None and ended_ts is not None:
            session.curve.append(CurvePoint(ended_ts, transaction.meter.energy_wh, None, None, None))
        if transaction.key.startswith(UNMATCHED):
            self.findings.add("unmatched_stop", transaction.cp_id, self._where, self.now_ts, place=self._place)
        elif transaction.energy_correction:
            detail = CORRECTIONS[transaction.energy_correction]
            self.findings.add(
                "energy_corrected", transaction.cp_id, self._where, self.now_ts, detail, place=self._place
            )

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
