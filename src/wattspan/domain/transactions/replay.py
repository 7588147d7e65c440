"""Readings from the store applied again after a restart, by the functions that applied them when they arrived.

A row is a `ReadingRow`, or a row of the database with the same fields.
"""

from wattspan.domain.clock_skew import is_older
from wattspan.domain.events import EventRef
from wattspan.domain.model import Connector, ReadingRow, Transaction, credible
from wattspan.domain.transactions.common import most_offered, read_register, show
from wattspan.domain.transactions.v2x import register


def replay_measurement(transaction: Transaction, row: ReadingRow, offered_a: float | None = None) -> None:
    """Apply a stored reading to its transaction's meter, unless it was another meter's. `offered_a`: of those before.

    A jump is not counted: it was counted when it arrived.
    """
    if row.seq_no is not None:
        register(transaction, EventRef(row.seq_no, row.charger_ts))
    if row.register_wh is None and row.energy_wh is not None and not row.is_history:
        transaction.meter.restore_intervals(row.energy_wh)
    if row.register_wh is not None and row.energy_wh is not None and not row.is_history:
        measured_ts = credible(row.charger_ts, row.received_ts)
        most_a = most_offered(offered_a, row.offered_a)
        read_register(transaction, row.register_wh, measured_ts, row.power_w, most_a)


def replay_figures(connector: Connector, row: ReadingRow) -> None:
    """Apply a stored reading to the connector's live figures, unless it is about the past."""
    if row.is_history:
        return
    measured_ts = credible(row.charger_ts, row.received_ts)
    if row.seq_no is not None:
        is_past = is_older(connector.reading_ts, measured_ts, row.received_ts)
    else:
        is_past = connector.clock_skew.is_past(measured_ts, row.received_ts)
    if not is_past:
        show(connector, row, measured_ts)


def replay_clock(connector: Connector, row: ReadingRow) -> None:
    """Let the connector's clock skew see a stored reading that its live figures include already."""
    if row.seq_no is None and not row.is_history:
        connector.clock_skew.is_past(credible(row.charger_ts, row.received_ts), row.received_ts)
