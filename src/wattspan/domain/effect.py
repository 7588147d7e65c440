"""The effect that the readings of one message have, recorded where it is computed and taken over where it is needed.

It knows what measuring changes; how a message is applied is known to `domain.transactions`.
"""

from collections import deque
from copy import deepcopy
from typing import Any

from wattspan.domain.branches import Branch
from wattspan.domain.changes import Changes
from wattspan.domain.clock_skew import ClockSkew
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.measured_power import UnitVotes
from wattspan.domain.model import ChargePoint, Connector, ReadingRow, Transaction

_OF_CHARGE_POINT = ("energy_jumps", "energy_total_wh", "energy_overbooked_wh")
_OF_TRANSACTION = ("meter", "last_reading_ts")
_OF_CONNECTOR = ("current_a", "power_w", "offered_a", "soc_percent", "reading_ts", "has_outlet", "clock_skew")
_STRUCTURES = (EnergyMeter, UnitVotes, Branch, ClockSkew)


class ReadingsEffect:
    """The changes that measuring the readings of one message makes, for the state before them.

    `apply` uses it on two fleets. On a copy, whose state may be used in any thread, the readings are measured and
    `record` notes the changes. On the fleet itself `take_over` makes the same changes at once, if the state is the same
    as it was on the copy.

    `number` is the number of a transaction that the message begins; `digest` that of its readings, "" if unused.
    """

    __slots__ = ("_after", "_before", "_rows", "digest", "is_recorded", "number")

    def __init__(self, number: int, digest: str = "") -> None:
        self.number = number
        self.digest = digest
        self.is_recorded = False
        self._before: Any = None
        self._after: tuple[dict[str, Any], ...] = ()
        self._rows: list[ReadingRow] = []

    def take_over(
        self,
        changes: Changes,
        cp: ChargePoint,
        connector: Connector | None,
        transaction: Transaction | None,
        *conditions: object,
    ) -> bool:
        """Make the recorded changes, and return whether that was possible; if not, measure the readings.

        `conditions`: what else the effect depends on.
        """
        before = (*conditions, _state(cp, connector, transaction))
        if not self.is_recorded:
            self._before = before
            return False
        if before != self._before:
            return False
        for owner, values in zip((cp, connector, transaction), self._after, strict=True):
            for name, value in values.items():
                setattr(owner, name, value)
        self._mark(changes, cp, transaction)
        changes.readings.extend(self._rows)
        return True

    def record(
        self,
        changes: Changes,
        cp: ChargePoint,
        connector: Connector | None,
        transaction: Transaction | None,
    ) -> None:
        """Note the changes since `take_over` returned False. Does nothing if there are recorded ones already."""
        if not self.is_recorded:
            owners = ((cp, _OF_CHARGE_POINT), (connector, _OF_CONNECTOR), (transaction, _OF_TRANSACTION))
            self._after = tuple([_values(owner, names) for owner, names in owners])
            self._rows = changes.readings
            self.is_recorded = True

    def _mark(self, changes: Changes, cp: ChargePoint, transaction: Transaction | None) -> None:
        changes.charge_points[cp.cp_id] = cp
        if transaction is not None:
            changes.transactions[transaction.number] = transaction


def state_of(cp: ChargePoint) -> Any:
    """Return the state of a charge point on which the effect of readings may depend, to compare it later."""
    return (
        {name: _state(cp, connector, connector.transaction) for name, connector in cp.connectors.items()},
        {name: _state(cp, None, transaction) for name, transaction in cp.transactions.items()},
    )


def _values(owner: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {} if owner is None else {name: deepcopy(getattr(owner, name)) for name in names}


def _state(cp: ChargePoint, connector: Connector | None, transaction: Transaction | None) -> Any:
    """Return all that measuring reads, as values that later changes do not reach."""
    found = [_plain(getattr(cp, name)) for name in _OF_CHARGE_POINT]
    if connector is not None:
        found += [connector.connector_id, *(_plain(getattr(connector, name)) for name in _OF_CONNECTOR)]
    if transaction is not None:
        found += [_plain(getattr(transaction, name)) for name in _OF_TRANSACTION]
        found += [transaction.number, transaction.connector_id, transaction.started_ts, transaction.stopped_received_ts]
        found += [transaction.started_received_ts]
    return found


def _plain(value: Any) -> Any:
    """Return a copy that is compared by value."""
    if isinstance(value, _STRUCTURES):
        return tuple([_plain(getattr(value, name)) for name in type(value).__slots__])
    if isinstance(value, (list, deque, tuple)):
        return tuple([_plain(each) for each in value])
    return value
