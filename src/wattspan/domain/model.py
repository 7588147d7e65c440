"""The state of a fleet: charge points, connectors, transactions. It holds values; `fleet` alone changes them.

`*_ts` is Unix seconds, UTC; `*_received_ts` is by our clock. None: not known yet, so nothing is shown for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from wattspan.domain.clock_skew import REPLAY_S as REPLAY_S  # noqa: PLC0414  its place for everybody else
from wattspan.domain.clock_skew import ClockSkew
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.events import EventRef
from wattspan.domain.repeats import LastMeterValues
from wattspan.domain.sequence import SeqNos

MAX_CONNECTORS = 64
"""Connectors kept apart a charge point. Never allocate by a number a charger sends: what exceeds this is "other"."""
OTHER_CONNECTOR = "other"
MAX_UNENDED = 16
"""Open transactions kept a charge point beside one at each of its connectors: those that it never ended."""
MAX_TIMELINE_ENTRIES = 200
"""Moments kept of one transaction's story; a session of days with a flapping link stays bounded."""

FIRST_CREDIBLE_TS = 1_577_836_800.0
"""2020-01-01: a charger's clock before this was never set."""


def when(charger_ts: float | None, received_ts: float) -> float:
    """The time something happened: ours, unless the charger credibly tells that it was long before (a replay)."""
    if charger_ts is not None and FIRST_CREDIBLE_TS <= charger_ts < received_ts - REPLAY_S:
        return charger_ts
    return received_ts


def credible(charger_ts: float | None, received_ts: float) -> float | None:
    """A charger's time where its order can be trusted; None for a clock that was never set, or runs ahead of ours."""
    if charger_ts is not None and FIRST_CREDIBLE_TS <= charger_ts <= received_ts + REPLAY_S:
        return charger_ts
    return None


class TimelineEntry(NamedTuple):
    """Something worth telling in a session's trace. `phase` moments open a child span, the others are span events."""

    ts: float
    name: str
    attributes: Mapping[str, str | int | float | bool]
    phase: bool = False


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One charging session, open until `stopped_received_ts` is set.

    `number` is ours and unique in the store; `transaction_id` is OCPP's. `trace_id`, `span_id`: its session span.
    From `id_token_type` on only OCPP 2.x tells; "" and None: it did not. `told_ts` is the newest time of the charger's
    that was met; `telling` the message that is being applied, `telling_late` whether a later one came before it.
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
    told_ts: float | None = None
    telling: EventRef | None = field(default=None, repr=False)
    telling_late: bool = field(default=False, repr=False)

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
        """When it began: our clock, or the charger's where it was replayed."""
        return when(self.started_ts, self.started_received_ts)

    @property
    def ended_ts(self) -> float | None:
        """When it ended; None while it is open. Never before it began."""
        if self.stopped_received_ts is None:
            return None
        return max(self.began_ts, when(self.stopped_ts, self.stopped_received_ts))

    def tell(self, moment: TimelineEntry) -> None:
        """Insert the entry by time. Ignore a phase that is already current, and what exceeds MAX_TIMELINE_ENTRIES."""
        story = self.timeline
        if len(story) >= MAX_TIMELINE_ENTRIES:
            return
        at = len(story)
        while at and story[at - 1].ts > moment.ts:
            at -= 1
        if moment.phase and next((told.name for told in reversed(story[:at]) if told.phase), None) == moment.name:
            return
        story.insert(at, moment)


@dataclass(slots=True, kw_only=True)
class Connector:
    """One connector (1.6) or EVSE (2.x). Figures are of now; None: never measured.

    `status` is a word of 1.6 in every version; `outlets` are the words of an EVSE's connectors, as 2.x told them.
    """

    connector_id: str
    status: str | None = None
    outlets: dict[str, str] = field(default_factory=dict)
    error_code: str = "NoError"
    problem: tuple[str, float] | None = field(default=None, repr=False)
    """The kind of the newest problem that a NotifyEvent told (2.x), and when, by our clock. Not kept over a restart."""
    status_ts: float | None = None
    transaction: Transaction | None = None
    had_transaction: bool = False
    current_a: float | None = None
    power_w: float | None = None
    offered_a: float | None = None
    soc_percent: float | None = None
    reading_ts: float | None = None
    pace: ClockSkew = field(default_factory=ClockSkew, repr=False, compare=False)
    last_meter_values: LastMeterValues = field(default_factory=LastMeterValues)
    profiles: list[Mapping[str, Any]] = field(default_factory=list)


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
    energy_jumps: int = 0
    certificate_expires_ts: float | None = None
    """Of the client certificate it came with last, or took from us since."""
    errors: dict[str, int] = field(default_factory=dict)
    authorizations: dict[str, int] = field(default_factory=dict)
    schema_faults: dict[str, int] = field(default_factory=dict)
    mixed_versions: dict[str, int] = field(default_factory=dict)
    """Messages in the shape of another version than the negotiated one, by action."""
    limits_exceeded: dict[str, int] = field(default_factory=dict)
    """Times it went beyond what is kept apart of it, by what there was too much of: "connectors", "transactions"."""
    missed: dict[str, int] = field(default_factory=dict)
    """Messages whose numbers were skipped and that had not come when their transaction ended, by action."""
    call_errors: dict[tuple[str, str], int] = field(default_factory=dict)
    call_rejections: dict[tuple[str, str], int] = field(default_factory=dict)
    connectors: dict[str, Connector] = field(default_factory=dict)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    outage_counted: bool = False
    """This connection's outage raised `reconnects_during_tx` already: the boot that follows is the same outage."""

    @property
    def names_transactions(self) -> bool:
        """Whether it gives its transactions their ids itself, so that an unknown id is never one of ours."""
        return self.protocol.startswith("ocpp2")

    def connector(self, connector_id: str) -> Connector:
        """Its connector of that id, made when new; beyond MAX_CONNECTORS OTHER_CONNECTOR."""
        found = self.connectors.get(connector_id)
        if found is None:
            if len(self.connectors) >= MAX_CONNECTORS and connector_id != OTHER_CONNECTOR:
                self.exceeded("connectors")
                connector_id = OTHER_CONNECTOR
            found = self.connectors.setdefault(connector_id, Connector(connector_id=connector_id))
        return found

    def exceeded(self, limit: str) -> None:
        """Count that it went beyond a limit."""
        self.limits_exceeded[limit] = self.limits_exceeded.get(limit, 0) + 1


class ReadingRow(NamedTuple):
    """A reading as it goes to the store, with what it meant: enough to restore the figures of now after a crash."""

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
    """Told of the past: it moved neither the meter nor the figures of now."""
    seq_no: int | None = None
    """Of the TransactionEvent it came with, 2.x."""
