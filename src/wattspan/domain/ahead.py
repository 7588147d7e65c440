"""Computes the effect of a large message ahead, on a copy of its charge point, so that it may run in another thread.

To measure the 100,000 readings of one message takes half a second. With their effect known, `apply` takes a few
milliseconds, and nobody sees a part of it.
"""

from copy import copy, deepcopy
from dataclasses import fields
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.effect import ReadingsEffect, state_of
from wattspan.domain.fleet import CHARGER_ID, Fleet
from wattspan.domain.model import ChargePoint, Transaction
from wattspan.domain.repeats import LastMeterValues
from wattspan.domain.transactions.common import stop_key

Measured = ev.MeterValuesReceived | ev.TransactionStopped | ev.TransactionEventReceived
"""The events that have readings."""


class Ahead:
    """An event with many readings, and a copy of what it is applied to. Created on the fleet's thread."""

    def __init__(self, fleet: Fleet, event: Measured) -> None:
        cp = fleet.charge_points[event.cp_id]
        # Reserved; a transaction that begins meanwhile gets the next one.
        self.effect = ReadingsEffect(fleet.next_number())
        self._event = event
        self._cp = cp
        self._before = state_of(cp)
        self._copy = _copied(fleet, cp, _names(event))
        self._copy.effect = self.effect

    def compute(self) -> None:
        """Apply the event to the copy. In any thread; the fleet is not used."""
        event, copied = self._event, self._copy
        if isinstance(event, ev.MeterValuesReceived) or (
            isinstance(event, ev.TransactionEventReceived) and event.ref.seq_no is None
        ):
            self.effect.digest = LastMeterValues.of(event.readings).digest
        apply(copied, event)

    def is_current(self) -> bool:
        """Return whether the charge point is as it was when the copy was made. On the fleet's thread."""
        return bool(state_of(self._cp) == self._before)

    def apply(self, fleet: Fleet) -> None:
        """Apply the event to the fleet, with the effect that was computed. On the fleet's thread."""
        fleet.effect = self.effect
        try:
            apply(fleet, self._event)
        finally:
            fleet.effect = None


def _names(event: Measured) -> list[str]:
    """Return the ids and keys by which a closed transaction that the event is about may be found."""
    if event.transaction_id is None:
        return []
    names = [event.transaction_id, CHARGER_ID + event.transaction_id]
    return [*names, stop_key(event)] if isinstance(event, ev.TransactionStopped) else names


def _copied(fleet: Fleet, cp: ChargePoint, names: list[str]) -> Fleet:
    """Return a fleet of a copy of the charge point, with copies of its open transactions and of the closed ones."""
    copied = Fleet(assigns_ids=fleet.assigns_ids, keeps_readings=fleet.keeps_readings)
    copied.last_number, copied.last_transaction_id = fleet.last_number, fleet.last_transaction_id
    copied.ids = fleet.ids  # not used up: a transaction that begins takes the number of the effect
    transactions = {id(each): _transaction(each) for each in cp.transactions.values()}
    twin = copied.charge_points[cp.cp_id] = _shallow(cp)
    twin.transactions = {name: transactions[id(each)] for name, each in cp.transactions.items()}
    for name, connector in cp.connectors.items():
        other = twin.connectors[name] = _shallow(connector)
        other.clock_skew, other.last_meter_values = deepcopy(connector.clock_skew), copy(connector.last_meter_values)
        running = connector.transaction
        if running is not None:
            other.transaction = transactions.setdefault(id(running), _transaction(running))
    for name in names:
        closed = fleet.recalled(cp.cp_id, name)
        if closed is not None:
            copied.remember(transactions.setdefault(id(closed), _transaction(closed)), name)
    return copied


def _transaction(transaction: Transaction) -> Transaction:
    copied: Transaction = _shallow(transaction)
    copied.meter, copied.seq_nos = deepcopy(transaction.meter), deepcopy(transaction.seq_nos)
    return copied


def _shallow(of: Any) -> Any:
    """Return a copy with lists and dicts of its own."""
    copied = copy(of)
    for each in fields(of):
        value = getattr(of, each.name)
        if type(value) in (dict, list):
            setattr(copied, each.name, value.copy())
    return copied
