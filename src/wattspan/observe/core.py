"""`ObserverCore`: the state that the conversations of one observer share, and how events are applied to it."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from wattspan.domain import events as ev
from wattspan.domain.apply import HANDLERS, apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.domain.orphans import ENDS_OTHERS, stops_of_orphans
from wattspan.ocppj.large import LARGE_BYTES
from wattspan.telemetry.logs import limited
from wattspan.telemetry.recorder import Recorder

log = logging.getLogger(__name__)

NS = 1_000_000_000

OnEvents = Callable[[Sequence[ev.Event], int], None]
"""(events, Unix nanoseconds): called after the events of one message were applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one connection. What exceeds them is counted and not observed."""

    max_frame_bytes: int = LARGE_BYTES
    """A longer one would keep the event loop busy for too long; a caller without one may choose a higher limit."""
    max_readings: int = 4_000
    """MeterValues, and samples in them, of one message; more take longer than 50 ms. No real one has as many samples
    in so few bytes, but each sample that repeats is a reading."""
    max_outstanding: int = 32
    """CALLs of one direction that may wait for their answer; OCPP allows one."""
    answer_timeout_s: float = 60.0
    """After this time a CALL counts as not answered."""


@dataclass(slots=True, kw_only=True, eq=False)
class ObserverCore:
    """The state that all conversations share."""

    fleet: Fleet
    recorder: Recorder
    counters: ServerCounters
    on_event: OnEvents | None
    keeps_changes: bool
    """Whether the caller writes `fleet.changes` to a store, and so empties it."""
    limits: Limits
    closes_orphans: bool
    answer_timeout_ns: int = 0

    def __post_init__(self) -> None:
        self.answer_timeout_ns = round(self.limits.answer_timeout_s * NS)

    def apply(self, events: Iterable[ev.Event], at_ns: int) -> None:
        """Apply events, and pass them on."""
        applied = tuple(events)
        fleet = self.fleet
        ends_others = False
        for event in applied:
            kind = type(event)
            HANDLERS[kind](fleet, event)
            if kind in ENDS_OTHERS:
                ends_others = self.closes_orphans
        if ends_others:
            stops = [stop for event in applied for stop in stops_of_orphans(fleet, event)]
            for stop in stops:
                apply(fleet, stop)
            applied = (*applied, *stops)
        if not self.keeps_changes:
            changes = fleet.changes
            if changes.transactions or changes.notes or changes.decommissioned:
                self._discard_changes()
        if self.on_event is not None and applied:
            self.on_event(applied, at_ns)

    def count_message(self, direction: str, label: str) -> None:
        """Count a CALL or SEND by its direction and label."""
        counts, counted = self.counters.messages, (direction, label)
        counts[counted] = counts.get(counted, 0) + 1

    def count_unobserved(self, reason: str) -> None:
        """Count something that exceeded a bound or could not be observed; `reason` is a metric label."""
        counts = self.counters.unobserved
        counts[reason] = counts.get(reason, 0) + 1

    def keep_no_changes(self) -> None:
        """Keep no changes any more: nobody will store them."""
        self.keeps_changes = False
        self._discard_changes()

    def failed(self) -> None:
        """Count and log the exception that is being handled: a fault of the observer must not reach its caller."""
        self.count_unobserved("failure")
        limited(log, logging.ERROR, "failure", "a message could not be observed", exc_info=True)

    def _discard_changes(self) -> None:
        """Empty what would grow without a store. The other collections are bounded by the size of the fleet."""
        changes = self.fleet.changes
        for grows in (changes.notes, changes.decommissioned, changes.transactions):
            if grows:
                grows.clear()
