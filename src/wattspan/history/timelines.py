"""Records changes of state as events arrive: of connections, of connectors' statuses, and commands as marks.

`put` runs on the path of a message and only compares and appends; `write` stores what has gathered. While the store is
unavailable, changes wait in memory; beyond MAX_WAITING new ones are dropped and counted.
"""

import logging
from collections.abc import Callable

from wattspan.domain import events as ev
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.domain.status import NO_ERROR
from wattspan.errors import StoreError
from wattspan.store.queries import series as series_queries
from wattspan.store.queries import timelines as timeline_queries
from wattspan.store.queries.timelines import StateChange
from wattspan.store.store import Store
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

CONNECTION, STATUS, COMMAND = "connection", "status", "command"
CONNECTED, DISCONNECTED, UNKNOWN = "connected", "disconnected", "unknown"
"""States of a connection. UNKNOWN: the server did not run."""
OUT_OF_SERVICE = frozenset({"Faulted", "Unavailable"})
"""Statuses that count as an outage."""
MAX_WAITING = 100_000
BATCH_SIZE = 500
WRITE_S = 2.0
"""The interval between writes."""
MAX_TEXT = 100
SHORTEST_S = 0.001
"""The time between two changes of one kind, which must not begin at the same time."""


class TimelineRecorder:
    """Changes of state of the fleet's charge points. An `EventSink`, for the event loop's thread."""

    events: tuple[type[ev.Event], ...] = (
        ev.ChargePointConnected,
        ev.ChargePointDisconnected,
        ev.ConnectorStatusChanged,
        ev.ChargingStateChanged,
        ev.TransactionStarted,
        ev.TransactionStopped,
        ev.CommandAnswered,
        ev.CommandFailed,
        ev.ChargePointDecommissioned,
    )

    def __init__(
        self, fleet: Fleet, store: Store, clock: Callable[[], float], counters: ServerCounters | None = None
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._clock = clock
        self._last: dict[tuple[str, str], tuple[str, str]] = {}
        self._last_ts: dict[tuple[str, str], float] = {}
        """When the newest change of each connector's status began."""
        self._waiting: list[StateChange] = []
        self._dropped = {} if counters is None else counters.history_dropped

    def put(self, event: ev.Event) -> None:
        """Record what the event changed."""
        kind = type(event)
        if kind is ev.ChargePointConnected:
            self._connection(event.cp_id, CONNECTED, event.received_ts)
        elif kind is ev.ChargePointDisconnected:
            if not event.replaced:  # type: ignore[attr-defined]
                self._connection(event.cp_id, DISCONNECTED, event.received_ts)
        elif isinstance(event, ev.CommandAnswered | ev.CommandFailed):
            self._command(event)
        elif kind is ev.ChargePointDecommissioned:
            for place in [place for place in self._last if place[0] == event.cp_id]:
                del self._last[place]
                self._last_ts.pop(place, None)
            self._add(_connection(event.cp_id, UNKNOWN, event.received_ts))
        else:
            self._statuses(event)

    async def start(self) -> None:
        """Record that the server did not run since the last sample, or the last message. Raises StoreError."""
        now_ts = self._clock()
        sampled_ts = await self._store.read(series_queries.mark, series_queries.SAMPLED)
        for cp in self._fleet.charge_points.values():
            if sampled_ts is not None:
                down_ts = max(float(sampled_ts), (cp.last_msg_ts or 0.0) + SHORTEST_S)
                self._add(_connection(cp.cp_id, UNKNOWN, min(down_ts, now_ts - SHORTEST_S)))
            self._last[cp.cp_id, ""] = (DISCONNECTED, "")
            self._add(_connection(cp.cp_id, DISCONNECTED, now_ts))
            for connector in cp.connectors.values():
                self._last[cp.cp_id, connector.connector_id] = (connector.status or "", connector.error_code)

    async def write(self) -> None:
        """Store what has gathered; what can't be stored now waits."""
        try:
            while self._waiting:
                batch = self._waiting[:BATCH_SIZE]
                await self._store.do(timeline_queries.put_changes, batch)
                del self._waiting[: len(batch)]
        except StoreError as exc:
            limited(log, logging.WARNING, "timelines", "changes of state can't be stored, and wait: %s", exc)

    def _connection(self, cp_id: str, state: str, at_ts: float) -> None:
        if self._last.get((cp_id, "")) != (state, ""):
            self._last[cp_id, ""] = (state, "")
            self._add(_connection(cp_id, state, at_ts))

    def _statuses(self, event: ev.Event) -> None:
        cp = self._fleet.charge_points.get(event.cp_id)
        if cp is None:
            return
        connector_id: str | None = getattr(event, "connector_id", None)
        connectors = [cp.connectors[connector_id]] if connector_id in cp.connectors else cp.connectors.values()
        for connector in connectors:
            if connector.status is None:
                continue
            place, state = (event.cp_id, connector.connector_id), (connector.status, connector.error_code)
            before = self._last.get(place)
            if before == state:
                continue
            self._last[place] = state
            was_out = before is not None and before[0] in OUT_OF_SERVICE
            self._add(
                StateChange(
                    cp_id=event.cp_id,
                    at_ts=self._begin_ts(place, event.received_ts),
                    kind=STATUS,
                    connector_id=connector.connector_id,
                    state=connector.status[:MAX_TEXT],
                    detail="" if connector.error_code == NO_ERROR else connector.error_code[:MAX_TEXT],
                    is_edge=before is None or was_out != (connector.status in OUT_OF_SERVICE),
                )
            )

    def _begin_ts(self, place: tuple[str, str], at_ts: float) -> float:
        """Return the begin of a change, after that of the one before: a message of 2.x can make two."""
        before_ts = self._last_ts.get(place)
        if before_ts is not None and at_ts <= before_ts < at_ts + 1.0:
            at_ts = before_ts + SHORTEST_S
        self._last_ts[place] = at_ts
        return at_ts

    def _command(self, event: ev.CommandAnswered | ev.CommandFailed) -> None:
        answer = event.status if isinstance(event, ev.CommandAnswered) else event.error_type
        self._add(
            StateChange(
                cp_id=event.cp_id,
                at_ts=event.received_ts,
                kind=COMMAND,
                connector_id=event.connector_id or "",
                state=event.action[:MAX_TEXT],
                detail=answer[:MAX_TEXT],
            )
        )

    def _add(self, change: StateChange) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._dropped["changes"] = self._dropped.get("changes", 0) + 1
        else:
            self._waiting.append(change)


def _connection(cp_id: str, state: str, at_ts: float) -> StateChange:
    return StateChange(cp_id=cp_id, at_ts=at_ts, kind=CONNECTION, connector_id="", state=state, is_edge=True)
