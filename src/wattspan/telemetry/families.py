"""How each metric is read from the state: one line a metric, used by the page, by OTLP and by instruments.

It owns the reading and must not know how points are written. Gauges and counters are read at collection
(docs/adr/0012-founding-decisions.md#7), on the event loop or on an exporter's thread, so dictionaries are copied
before they are iterated. They are copied whole: to list their items allocates tuples, which may start the garbage
collector and so let another thread run. The first labels of a metric name what it is read from: a connector (`cp_id`,
`connector_id`), a charge point (`cp_id`) or the whole server. Further labels are the keys of the mapping that is read.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from wattspan.domain import limits, status
from wattspan.domain.counters import NodeCounters, ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Connector
from wattspan.telemetry import catalogue as c
from wattspan.telemetry.catalogue import Metric
from wattspan.telemetry.histogram import Histogram, Histograms, Series
from wattspan.telemetry.resource import VERSION

Number = int | float
Keyed = (
    Mapping[str, Number]
    | Mapping[tuple[str, str], Number]
    | Mapping[tuple[str, str, str], Number]
    | Mapping[tuple[str, ...], Number]
)
"""Values by one further label, or by several."""

SIGNALS = ("traces", "metrics", "logs")
DIGITS = 3
"""Decimals of Wh, W and A: no meter resolves more than a mWh, a mW or a mA."""
MAX_LABEL_LENGTH = 50
"""Longest text of a charge point in a label, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What metrics are read from. `clock` returns Unix seconds."""

    fleet: Fleet
    counters: ServerCounters
    histograms: Histograms = field(default_factory=Histograms)
    clock: Callable[[], float] = time.time
    shows: Callable[[Metric], bool] = lambda _metric: True
    """Whether a metric applies here: a program that is observed has no store of ours, for example."""
    refresh: Callable[[], None] = lambda: None
    """Called before instruments read the state: what was not yet counted is counted then."""

    def charge_points(self) -> list[ChargePoint]:
        """Return the charge points that are shown: in a cluster, none while this node's lease is not fresh."""
        node = self.counters.node
        if node is not None and time.monotonic() >= node.leased_until:
            return []
        return list(self.fleet.charge_points.values())

    def names(self) -> frozenset[str]:
        """Return the names of the metrics that are read from here; of histograms, those that have series."""
        return frozenset(FAMILIES).union(each.metric.name for each in self.histograms if any(each))

    def groups(self, histogram: Histogram) -> Iterator[tuple[str, list[Series]]]:
        """Yield the series of a histogram by their first label, without those of unknown charge points."""
        by_charge_point = histogram.metric.labels[:1] == (c.CP_ID,)
        shown = {cp.cp_id for cp in self.charge_points()} if by_charge_point else set()
        for first, group in histogram.groups():
            if not by_charge_point or first in shown:
                yield first, group


DETAILS = ("fleet", "charge_points", "connectors")
"""What metrics may be about, each with all before it."""


def shows_detail(detail: str) -> Callable[[Metric], bool]:
    """Return which metrics are shown at a detail: those whose labels name nothing beyond it."""
    hidden = ((c.CP_ID, c.CONNECTOR_ID), (c.CONNECTOR_ID,), ())[DETAILS.index(detail)]
    return lambda metric: not any(label in metric.labels for label in hidden)


class Scope(IntEnum):
    """What a metric is read from; the value is the number of labels that name it."""

    SERVER = 0
    CHARGE_POINT = 1
    CONNECTOR = 2


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and how it is read. `read` returns a value, None if there is no point, or a mapping if `keyed`."""

    metric: Metric
    scope: Scope
    read: Callable[..., Any]

    @property
    def keyed(self) -> bool:
        """Whether the metric has labels beyond its scope, so that `read` returns a mapping."""
        return len(self.metric.labels) > self.scope


class Point(NamedTuple):
    """One value of a metric. `labels` are in the metric's order; counting began at `since_ts`, Unix seconds."""

    labels: tuple[str, ...]
    value: Number
    since_ts: float


FAMILIES: dict[str, Family] = {}
"""By metric name, without the histograms, which are recorded and not read."""


def _server(metric: Metric, read: Callable[[State], Number | Keyed | None]) -> None:
    FAMILIES[metric.name] = Family(metric, Scope.SERVER, read)


def _node(metric: Metric, read: Callable[[NodeCounters], Number]) -> None:
    _server(metric, lambda state: None if state.counters.node is None else read(state.counters.node))


def _charge_point(metric: Metric, read: Callable[[ChargePoint], Number | Keyed | None]) -> None:
    FAMILIES[metric.name] = Family(metric, Scope.CHARGE_POINT, read)


def _connector(metric: Metric, read: Callable[[ChargePoint, Connector, float], Number | Keyed | None]) -> None:
    FAMILIES[metric.name] = Family(metric, Scope.CONNECTOR, read)


def points(family: Family, state: State) -> Iterator[Point]:
    """Yield the current points of a family. Values and charge points may come and go between two steps."""
    if family.scope is Scope.SERVER:
        yield from _spread(family, (), family.read(state), state.counters.started_ts)
        return
    now_ts = state.clock()
    for cp in state.charge_points():
        if family.scope is Scope.CHARGE_POINT:
            yield from _spread(family, (cp.cp_id,), family.read(cp), cp.known_since_ts)
            continue
        for connector in list(cp.connectors.values()):
            value = family.read(cp, connector, now_ts)
            yield from _spread(family, (cp.cp_id, connector.connector_id), value, cp.known_since_ts)


def _spread(family: Family, labels: tuple[str, ...], value: Any, since_ts: float) -> Iterator[Point]:
    if family.keyed:
        for key, each in dict(value).items():
            yield Point((*labels, key) if isinstance(key, str) else (*labels, *key), each, since_ts)
    elif value is not None:
        yield Point(labels, value, since_ts)


def _resolved(value: float | None) -> float | None:
    """Return a measured figure to DIGITS decimals, without the error of its binary fraction."""
    return value if value is None or value % 1.0 == 0.0 else round(value, DIGITS)


def _real(connector: Connector) -> bool:
    """Return whether this is a connector. Number 0 is the charge point as a whole, unless it had a transaction."""
    return connector.connector_id != "0" or connector.had_transaction


def _energy_wh(connector: Connector) -> float | None:
    if connector.transaction is not None:
        return _resolved(connector.transaction.meter.energy_wh)
    return 0.0 if _real(connector) else None


def _limit_a(cp: ChargePoint, connector: Connector, now_ts: float) -> float | None:
    if _real(connector) or connector.offered_a is not None:
        return _resolved(limits.limit_a(cp, connector, now_ts))
    return None


_STATES = {current: {each: int(each == current) for each in status.STATES} for current in status.STATES}


def _states(connector: Connector) -> Mapping[str, int]:
    if connector.status is None or not _real(connector):
        return {}
    return _STATES[status.state(connector.status)]


_BUILD = {(VERSION, platform.python_version()): 1}


def _info(cp: ChargePoint) -> dict[tuple[str, ...], int]:
    texts = (cp.vendor, cp.model, cp.firmware, cp.protocol, cp.site)
    return {tuple(text[:MAX_LABEL_LENGTH] for text in texts): 1}


def _clock_offset_s(cp: ChargePoint) -> float | None:
    offset = cp.clock_offset
    return None if offset is None or not offset.is_certain else round(offset.ahead_s, DIGITS)


_charge_point(c.CONNECTED, lambda cp: int(cp.connected))
_charge_point(c.LAST_MSG, lambda cp: cp.last_msg_ts)
_charge_point(c.LAST_HEARTBEAT, lambda cp: cp.last_heartbeat_ts)
_charge_point(c.CLOCK_OFFSET_SECONDS, _clock_offset_s)
_charge_point(c.LAST_TX, lambda cp: cp.last_tx_ts)
_charge_point(c.CP_STATUS, lambda cp: None if cp.status is None else status.numeric(cp.status))
_charge_point(c.DISCONNECTS, lambda cp: cp.disconnects)
_charge_point(c.ERRORS, lambda cp: cp.errors)
_charge_point(c.BOOTS, lambda cp: cp.boots)
_charge_point(c.RECONNECTS_DURING_TX, lambda cp: cp.reconnects_during_tx)
_charge_point(c.TX_TOTAL, lambda cp: cp.tx_total)
_charge_point(c.ENERGY_TOTAL, lambda cp: _resolved(cp.energy_total_wh))
_charge_point(c.ENERGY_JUMPS, lambda cp: cp.energy_jumps)
_charge_point(c.ENERGY_CORRECTED, lambda cp: cp.energy_corrections)
_charge_point(c.CALL_ERRORS, lambda cp: cp.call_errors)
_charge_point(c.CALL_REJECTIONS, lambda cp: cp.call_rejections)
_charge_point(c.CP_INFO, _info)
_charge_point(c.CERTIFICATE_EXPIRES, lambda cp: cp.certificate_expires_ts)
_charge_point(c.AUTHORIZATIONS, lambda cp: cp.authorizations)
_charge_point(c.SCHEMA_FAULTS, lambda cp: cp.schema_faults)
_charge_point(c.LIMITS_EXCEEDED, lambda cp: cp.limits_exceeded)
_charge_point(c.MIXED_VERSIONS, lambda cp: cp.mixed_versions)
_charge_point(c.MISSED, lambda cp: cp.missed)

_connector(c.TX_ACTIVE, lambda _cp, conn, _now: int(conn.transaction is not None) if _real(conn) else None)
_connector(c.TX_ENERGY, lambda _cp, conn, _now: _energy_wh(conn))
_connector(c.CURRENT, lambda _cp, conn, _now: _resolved(conn.current_a))
_connector(c.CURRENT_LIMIT, _limit_a)
_connector(c.POWER, lambda _cp, conn, _now: _resolved(conn.power_w))
_connector(c.CONNECTOR_STATUS, lambda _cp, conn, _now: None if conn.status is None else status.numeric(conn.status))
_connector(c.CONNECTOR_STATE, lambda _cp, conn, _now: _states(conn))

_server(c.BUILD_INFO, lambda _: _BUILD)
_server(c.UP, lambda _: 1)
_server(c.MESSAGES, lambda state: state.counters.messages)
_server(c.STORE_WAITING, lambda state: state.counters.store_waiting)
_server(c.STORE_FAILURES, lambda state: state.counters.store_failures)
_server(c.SOCKETS, lambda state: state.counters.sockets)
_server(c.HANDSHAKES_REJECTED, lambda state: state.counters.handshakes_rejected)
_server(c.LIMIT_CLOSES, lambda state: state.counters.limit_closes)
_server(c.PENDING, lambda state: state.counters.pending)
_server(c.SERVER_CERTIFICATE_EXPIRES, lambda state: state.counters.certificate_expires_ts)
_server(c.UNREADABLE_FRAMES, lambda state: state.counters.unreadable_frames)
_server(c.UNEXPECTED_RESULTS, lambda state: state.counters.unexpected_results)
_server(c.RESULT_ERRORS, lambda state: state.counters.result_errors)
_server(c.UNOBSERVED, lambda state: state.counters.unobserved)
_server(c.PROXY_UNOBSERVED, lambda state: state.counters.proxy_unobserved)
_server(c.PROXY_REDIRECTIONS, lambda state: state.counters.proxy_redirections)
_server(c.MIRROR_MESSAGES, lambda state: state.counters.mirror_messages)
_server(c.MIRROR_DIFFERENCES, lambda state: state.counters.mirror_differences)
_server(c.ROUTED, lambda state: state.counters.routed_commands)
_server(c.BUS_DROPPED, lambda state: state.counters.bus_dropped)
_server(c.PLUGIN_ERRORS, lambda state: state.counters.plugin_errors)
_server(c.TELEMETRY_DROPPED, lambda state: dict.fromkeys(SIGNALS, 0) | state.counters.telemetry_dropped)
_server(c.HISTORY_DROPPED, lambda state: state.counters.history_dropped)
_server(c.MAINTENANCE_FAILURES, lambda state: state.counters.maintenance_failures)
_server(c.HTTP_REQUESTS, lambda state: state.counters.http_requests)
_server(c.LOGINS, lambda state: state.counters.logins)
_server(c.LOGINS_FAILED, lambda state: state.counters.logins_failed)
_server(c.LOCKOUTS, lambda state: state.counters.lockouts)
_server(c.REGISTRATIONS, lambda state: state.counters.registrations)
_server(c.REGISTRATION_CONFLICTS, lambda state: state.counters.registration_conflicts)
_node(c.NODES, lambda node: node.nodes)
_node(c.TAKEOVERS, lambda node: node.takeovers)
_node(c.ADOPTIONS, lambda node: node.adoptions)
_node(c.FENCED_WRITES, lambda node: node.fenced_writes)
_node(c.LEASE_AGE, lambda node: round(time.monotonic() - node.leased_at, DIGITS))
_node(c.CLOCK_DIFFERENCE, lambda node: round(node.clock_difference_s, DIGITS))
_server(c.OWNED_CHARGE_POINTS, lambda state: None if state.fleet.epochs is None else len(state.fleet.epochs))
_server(c.USER_SESSIONS, lambda state: state.counters.user_sessions)
