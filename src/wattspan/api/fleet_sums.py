"""Counts of charge points and of their connectors: of one after the other, or of many that the store has summed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from wattspan.domain.model import ChargePoint
from wattspan.domain.status import RANKS, UNKNOWN_RANK
from wattspan.store.queries.fleet_sums import StoredSum

STALE_S = 3600.0
"""A connected charge point without any message for so long is stale."""


def is_stale(cp: ChargePoint, now_ts: float) -> bool:
    """Return whether it is connected and has sent nothing for STALE_S."""
    return cp.connected and (cp.last_msg_ts is None or now_ts - cp.last_msg_ts > STALE_S)


@dataclass(slots=True, kw_only=True)
class FleetSums:
    """`worst` counts charge points by their worst status, None if none is known; the rest as in the API's models."""

    charge_points: int = 0
    connected: int = 0
    stale: int = 0
    connectors: int = 0
    sessions: int = 0
    power_w: float = 0.0
    worst: Counter[str | None] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    """How many connectors have each status."""
    statuses_connected: Counter[str] = field(default_factory=Counter)
    """The same, of connected charge points alone."""

    def add(self, cp: ChargePoint, now_ts: float) -> None:
        """Add a charge point."""
        self.charge_points += 1
        self.connected += cp.connected
        self.stale += is_stale(cp, now_ts)
        self.sessions += len(cp.transactions)
        connectors = cp.connectors.values()
        for each in connectors:
            if each.power_w:
                self.power_w += each.power_w
        self._add_statuses(
            ((each.status, each.connector_id != "0" or each.had_transaction) for each in connectors), cp.connected, 1
        )

    def add_stored(self, stored: StoredSum) -> None:
        """Add charge points that the store has summed."""
        self.charge_points += stored.charge_points
        self.connected += stored.charge_points if stored.connected else 0
        self.stale += stored.charge_points if stored.stale else 0
        self.sessions += stored.sessions
        self.power_w += stored.power_w
        self._add_statuses(stored.connectors, stored.connected, stored.charge_points)

    def _add_statuses(self, connectors: Iterable[tuple[str | None, bool]], is_connected: bool, count: int) -> None:
        """Add the connectors of `count` charge points that are alike: status, and whether it is a real one.

        In one pass, because thousands are added while messages wait.
        """
        worst: tuple[int, str] | None = None
        for status, is_real in connectors:
            if is_real:
                self.connectors += count
            if status is None:
                continue
            if is_real:
                self.statuses[status] += count
                if is_connected:
                    self.statuses_connected[status] += count
            ranked = RANKS.get(status, UNKNOWN_RANK), status
            if worst is None or ranked < worst:
                worst = ranked
        self.worst[None if worst is None else worst[1]] += count
