"""The state of a fleet: charge points, connectors, transactions. It holds values; `domain.apply` changes them.

`*_ts` is Unix seconds, UTC; `*_received_ts` is our clock. None: not known yet, so it is not shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from wattspan.domain.clock_skew import REPLAY_S as REPLAY_S  # noqa: PLC0414  re-exported
from wattspan.domain.clock_skew import ClockOffset, ClockSkew
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.repeats import LastMeterValues
from wattspan.domain.sequence import SeqNos

MAX_CONNECTORS = 64
"""Maximum number of connectors per charge point, because chargers send any number; further ones are "other"."""
OTHER_CONNECTOR = "other"
MAX_UNENDED = 16
"""Open transactions per charge point beyond one per connector, for those that the charger never ended."""
STANDSTILL_S = 10.0
"""A clock that shows the same time after so many seconds stands still."""
MAX_UNNAMED = 64
"""Transactions per charge point that are known to be stopped under no id of their own."""
MAX_TIMELINE_ENTRIES = 200
"""Entries kept per transaction; the timeline of a long session with an unstable connection stays bounded."""

FIRST_CREDIBLE_TS = 1_577_836_800.0
"""2020-01-01: a charger whose clock is before this never synchronised it."""
ZONES_S = 86_400.0
"""How far a clock that shows another zone's time, or has drifted, may be ahead of ours."""


def when(charger_ts: float | None, received_ts: float) -> float:
    """Return when something happened: our time, or the charger's where that is credible and long before (a replay)."""
    if charger_ts is not None and FIRST_CREDIBLE_TS <= charger_ts < received_ts - REPLAY_S:
        return charger_ts
    return received_ts


def distinguishes(charger_ts: float | None, received_ts: float) -> bool:
    """Return whether the charger's time can tell two events apart: its clock was set, whatever its zone."""
    return charger_ts is not None and FIRST_CREDIBLE_TS <= charger_ts <= received_ts + ZONES_S


def credible(charger_ts: float | None, received_ts: float) -> float | None:
    """Return the charger's time where its order can be trusted; None for a clock never set, or ahead of ours."""
    if charger_ts is not None and FIRST_CREDIBLE_TS <= charger_ts <= received_ts + REPLAY_S:
        return charger_ts
    return None


NO_TIME = 0.0
"""In the place of a charger's time, for a message without one."""


class TimelineEntry(NamedTuple):
    """Something that happened during a session. An entry with `phase` becomes a child span, any other a span event."""

    ts: float
    name: str
    attributes: Mapping[str, str | int | float | bool]
    phase: bool = False


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One charging session, open until `stopped_received_ts` is set.

    `number` is ours and unique in the store; `transaction_id` is OCPP's. `trace_id`, `span_id`: its session span.
    The fields from `id_token_type` to `cable_max_a` are set by OCPP 2.x only; "" and None: not received.
    `newest_charger_ts` is the newest timestamp of the messages about it.
    """

    number: int
    cp_id: str
    connector_id: str
    transaction_id: str
    key: str
    id_token: str
    meter: EnergyMeter
    started_ts: float | None
    started_received_ts: float
    reservation_id: int | None = None
    stopped_ts: float | None = None
    stopped_received_ts: float | None = None
    meter_stop_wh: float | None = None
    reason: str = ""
    last_reading_ts: float | None = None
    timeline: list[TimelineEntry] = field(default_factory=list)
    trace_id: int = 0
    span_id: int = 0
    id_token_type: str = ""
    charging_state: str = ""
    remote_start_id: int | None = None
    phases_used: int | None = None
    cable_max_a: float | None = None
    seq_nos: SeqNos = field(default_factory=SeqNos)
    newest_charger_ts: float | None = None
    booked_wh: float = 0.0
    """The part of its energy that is in the charge point's total already: from its first end, if it was reopened."""
    first_span_id: int = 0
    """If it was reopened, the span that was emitted at its first end, which its last one links to; otherwise 0."""
    messages: int = field(default=0, repr=False, compare=False)
    """Messages about it so far, commands included: those whose spans link to its span. Counted where spans begin."""
    sampled: bool | None = field(default=None, repr=False, compare=False)
    """Whether its trace is kept, as the sampler decided at its start; None: not asked."""
    energy_correction: str = ""
    """Why the energy is not the difference of the registers that the charger sent for start and stop; "": it is."""

    def __post_init__(self) -> None:
        if not self.trace_id:
            digest = blake2b(
                f"{self.cp_id}\0{self.transaction_id}\0{self.started_received_ts!r}".encode(), digest_size=24
            ).digest()
            self.trace_id = int.from_bytes(digest[:16]) or 1
            self.span_id = int.from_bytes(digest[16:]) or 1

    @property
    def open(self) -> bool:
        return self.stopped_received_ts is None

    @property
    def began_ts(self) -> float:
        """When it began: our time, or the charger's if the start was replayed."""
        return when(self.started_ts, self.started_received_ts)

    @property
    def ended_ts(self) -> float | None:
        """When it ended, never before it began; None while it is open."""
        if self.stopped_received_ts is None:
            return None
        return max(self.began_ts, when(self.stopped_ts, self.stopped_received_ts))

    @property
    def clock_stood_still(self) -> bool:
        """Return whether the charger dated start and stop alike although time passed: energy, or seconds of ours."""
        if self.stopped_ts is None or self.stopped_ts != self.started_ts or self.stopped_received_ts is None:
            return False
        has_energy = self.meter_stop_wh is not None and self.meter_stop_wh > self.meter.start_wh
        return has_energy or self.stopped_received_ts - self.started_received_ts >= STANDSTILL_S

    def reopen(self) -> None:
        """Undo the end that we recorded. The next end is a span of its own, because this one was emitted already."""
        self.first_span_id = self.first_span_id or self.span_id
        digest = blake2b(f"{self.trace_id:032x}\0{self.span_id:016x}".encode(), digest_size=8).digest()
        self.span_id = int.from_bytes(digest) or 1
        self.booked_wh = self.meter.energy_wh
        self.stopped_ts = self.stopped_received_ts = self.meter_stop_wh = None
        self.reason = ""

    def add_timeline_entry(self, entry: TimelineEntry) -> None:
        """Insert the entry by time. Ignore a phase that is already current, and what exceeds MAX_TIMELINE_ENTRIES."""
        timeline = self.timeline
        if len(timeline) >= MAX_TIMELINE_ENTRIES:
            return
        at = len(timeline)
        while at and timeline[at - 1].ts > entry.ts:
            at -= 1
        if entry.phase and next((e.name for e in reversed(timeline[:at]) if e.phase), None) == entry.name:
            return
        timeline.insert(at, entry)


@dataclass(slots=True, kw_only=True)
class Connector:
    """One connector (1.6) or EVSE (2.x) with its live figures; None: never measured.

    `status` is one of 1.6 in every version; `outlets` are the 2.x statuses of an EVSE's connectors by their id.
    """

    connector_id: str
    status: str | None = None
    outlets: dict[str, str] = field(default_factory=dict)
    error_code: str = "NoError"
    problem: tuple[str, float] | None = field(default=None, repr=False)
    """The kind of the newest problem reported by NotifyEvent (2.x), and when, by our clock. Lost at a restart."""
    fault_ts: float | None = None
    """The charger's time of the fault in `error_code` (1.6), NO_TIME if it sent none; None: no fault was counted."""
    status_requested_ts: float | None = field(default=None, repr=False)
    """When we requested the status that is to come. Lost at a restart."""
    status_ts: float | None = None
    """Since when it has its status. A status that is reported again doesn't change it."""
    transaction: Transaction | None = None
    had_transaction: bool = False
    current_a: float | None = None
    power_w: float | None = None
    offered_a: float | None = None
    soc_percent: float | None = None
    reading_ts: float | None = None
    has_outlet: bool = field(default=False, repr=False, compare=False)
    """Whether current or power were measured at the outlet since its last transaction ended. Lost at a restart."""
    clock_skew: ClockSkew = field(default_factory=ClockSkew, repr=False, compare=False)
    last_meter_values: LastMeterValues = field(default_factory=LastMeterValues)
    profiles: list[Mapping[str, Any]] = field(default_factory=list)

    def change_status(self, status: str, at_ts: float) -> None:
        """Set the status. Keep the time of the status if it is reported again, as after a boot."""
        if status != self.status or self.status_ts is None:
            self.status_ts = at_ts
        self.status = status


@dataclass(slots=True, kw_only=True, eq=False)
class ChargePoint:
    """One charge point, its counters since it is known, and its open transactions by their OCPP id."""

    cp_id: str
    known_since_ts: float
    connected: bool = False
    protocol: str = ""
    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware: str = ""
    firmware_status: str = ""
    log_status: str = ""
    last_msg_ts: float | None = None
    last_heartbeat_ts: float | None = None
    last_tx_ts: float | None = None
    status: str | None = None
    boots: int = 0
    disconnects: int = 0
    reconnects_during_tx: int = 0
    tx_total: int = 0
    energy_total_wh: float = 0.0
    energy_overbooked_wh: float = 0.0
    """Energy that was added to the total and turned out not to be delivered: `book_energy` sets it off."""
    energy_jumps: int = 0
    certificate_expires_ts: float | None = None
    """Expiry of the client certificate that it presented last, or has accepted from us since."""
    errors: dict[str, int] = field(default_factory=dict)
    authorizations: dict[str, int] = field(default_factory=dict)
    schema_faults: dict[str, int] = field(default_factory=dict)
    mixed_versions: dict[str, int] = field(default_factory=dict)
    """Messages in the format of another version than the negotiated one, by action."""
    limits_exceeded: dict[str, int] = field(default_factory=dict)
    """How often it exceeded the maximum number of "connectors" or "transactions", by these names."""
    missed: dict[str, int] = field(default_factory=dict)
    """Messages whose numbers were skipped and that had not arrived when their transaction ended, by action."""
    energy_corrections: dict[str, int] = field(default_factory=dict)
    """Transactions whose energy is not what the charger's registers of start and stop say, by reason."""
    call_errors: dict[tuple[str, str], int] = field(default_factory=dict)
    call_rejections: dict[tuple[str, str], int] = field(default_factory=dict)
    connectors: dict[str, Connector] = field(default_factory=dict)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    unnamed_stops: list[int] = field(default_factory=list)
    """Numbers of the newest transactions that were stopped under 0 or -1 on this connection, MAX_UNNAMED at most."""
    site: str = ""
    """The id of its site, which operators set and no event changes; "": none."""
    clock_offset: ClockOffset | None = None
    """By its newest statuses; None: its clock is right. Lost at a restart."""
    outage_counted: bool = False
    """Whether this connection's outage is in `reconnects_during_tx` already: the boot that follows belongs to it."""

    @property
    def names_transactions(self) -> bool:
        """Whether it assigns transaction ids itself, so that an unknown id is never one of ours."""
        return self.protocol.startswith("ocpp2")

    def connector(self, connector_id: str) -> Connector:
        """Return its connector of that id, created if new; beyond MAX_CONNECTORS the one of OTHER_CONNECTOR."""
        found = self.connectors.get(connector_id)
        if found is None:
            if len(self.connectors) >= MAX_CONNECTORS and connector_id != OTHER_CONNECTOR:
                self.count_exceeded("connectors")
                connector_id = OTHER_CONNECTOR
            found = self.connectors.setdefault(connector_id, Connector(connector_id=connector_id))
        return found

    def book_energy(self, energy_wh: float) -> None:
        """Add the energy of a closed transaction, or a correction of it, to the total, which never falls.

        What a negative correction takes back is set off against the next bookings.
        """
        energy_wh -= self.energy_overbooked_wh
        self.energy_overbooked_wh = max(0.0, -energy_wh)
        self.energy_total_wh += max(0.0, energy_wh)

    def count_exceeded(self, limit: str) -> None:
        """Count that it exceeded a limit."""
        self.limits_exceeded[limit] = self.limits_exceeded.get(limit, 0) + 1


class ReadingRow(NamedTuple):
    """A reading as it goes to the store, with its effect: enough to restore the live figures after a crash."""

    cp_id: str
    connector_id: str
    transaction_number: int | None
    charger_ts: float | None
    received_ts: float
    energy_wh: float | None
    register_wh: float | None
    current_a: float | None
    power_w: float | None
    soc_percent: float | None
    samples: Any
    offered_a: float | None = None
    is_history: bool = False
    """Whether it is about the past, and changed neither the meter nor the live figures."""
    seq_no: int | None = None
    """The seqNo of its TransactionEvent (2.x)."""
