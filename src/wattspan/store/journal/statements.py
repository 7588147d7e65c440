"""The journal's statements, compiled once from the tables and run with plain tuples, for SQLite and PostgreSQL alike.

Executing through SQLAlchemy Core would cost more for each row than the row itself; the SQL text is the same.
"""

from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import sqlalchemy as sa

from wattspan.store.journal.device_statements import DeviceStatements
from wattspan.store.journal.prepared import Cursor, Prepared
from wattspan.store.rows import CHARGE_POINT_COLUMNS, CONNECTOR_COLUMNS, METER_COLUMNS, TRANSACTION_COLUMNS
from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert_values, upsert

__all__ = ["Cursor", "Prepared", "Statements", "statements_for"]

MAX_TRANSFERS = 200
"""Rows of `file_transfers` that are kept of each charge point."""
READING_COLUMNS = tuple(column.name for column in t.meter_readings.columns if column.name != "id")


class Statements:
    """The statements that a batch runs, for one dialect."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect

    @cached_property
    def reading(self) -> Prepared:
        return self._insert(t.meter_readings, READING_COLUMNS, from_arrays=True)

    @cached_property
    def newest_reading(self) -> str:
        """Return a query for an id that all readings of this server have so far, and none will have later.

        PostgreSQL's sequence counts those of other nodes, too, which no row of ours is compared with.
        """
        if self._dialect.name == "postgresql":
            return "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM meter_readings_id_seq"
        return "SELECT coalesce(max(id), 0) FROM meter_readings"

    @cached_property
    def charge_point(self) -> Prepared:
        return self._upsert(t.charge_points, CHARGE_POINT_COLUMNS, ["known_since_ts"], from_arrays=True)

    @cached_property
    def connector(self) -> Prepared:
        return self._upsert(t.connectors, CONNECTOR_COLUMNS, from_arrays=True)

    @cached_property
    def transaction(self) -> Prepared:
        return self._upsert(t.transactions, TRANSACTION_COLUMNS, ["readings_from"], from_arrays=True)

    @cached_property
    def reservation(self) -> Prepared:
        columns = [column.name for column in t.reservations.columns]
        return self._upsert(t.reservations, columns)

    @cached_property
    def cancellation(self) -> Prepared:
        c = t.reservations.c
        mine = sa.and_(c.cp_id == sa.bindparam("b_cp_id"), c.reservation_id == sa.bindparam("b_reservation_id"))
        statement = sa.update(t.reservations).where(mine).values(cancelled_ts=sa.bindparam("b_cancelled_ts"))
        return Prepared(self._dialect, statement, ["cancelled_ts", "cp_id", "reservation_id"], t.reservations)

    @cached_property
    def security_event(self) -> Prepared:
        return self._insert(t.security_events, ["cp_id", "received_ts", "charger_ts", "type", "tech_info"])

    @cached_property
    def file_transfer(self) -> Prepared:
        columns = ["cp_id", "kind", "request_id", "status", "is_request", "received_ts"]
        return self._insert(t.file_transfers, columns)

    @cached_property
    def drop_old_transfers(self) -> Prepared:
        """Return a DELETE of all but the newest MAX_TRANSFERS rows of a charge point."""
        mine, older = t.file_transfers.c, t.file_transfers.alias("older").c
        # `cp_id` is bound twice: statements take their parameters by position.
        newest = (
            sa.select(older.id)
            .where(older.cp_id == sa.bindparam("b_cp_id"))
            .order_by(older.id.desc())
            .limit(sa.literal_column("1"))
            .offset(sa.literal_column(str(MAX_TRANSFERS)))
            .scalar_subquery()
        )
        statement = sa.delete(t.file_transfers).where(mine.cp_id == sa.bindparam("b_of"), mine.id <= newest)
        return Prepared(self._dialect, statement, ["of", "cp_id"], t.file_transfers)

    @cached_property
    def installed_certificates(self) -> Prepared:
        return self._upsert(t.installed_certificates, [column.name for column in t.installed_certificates.columns])

    @cached_property
    def drop_transfers(self) -> Prepared:
        return self._drop(t.file_transfers)

    @cached_property
    def drop_installed_certificates(self) -> Prepared:
        return self._drop(t.installed_certificates)

    @cached_property
    def device(self) -> DeviceStatements:
        """Return the statements for the device model's tables."""
        return DeviceStatements(self._dialect)

    @cached_property
    def mark(self) -> Prepared:
        return self._upsert(t.marks, ["name", "value"])

    @cached_property
    def shape(self) -> Prepared:
        statement = insert_values(self._dialect, t.sample_shapes, ["id", "template"])
        return Prepared(self._dialect, statement.on_conflict_do_nothing(), ["id", "template"], t.sample_shapes)

    @cached_property
    def unwritable(self) -> Prepared:
        return self._insert(t.unwritable, ["noted_ts", "table_name", "row", "fault", "mended"])

    @cached_property
    def close_orphans(self) -> Prepared:
        """Return an UPDATE that closes the open transactions of a decommissioned charge point."""
        c = t.transactions.c
        still_open = sa.and_(c.cp_id == sa.bindparam("b_cp_id"), c.stopped_received_ts.is_(None))
        values = {name: sa.bindparam(f"b_{name}", type_=c[name].type) for name in ("stopped_received_ts", "reason")}
        statement = sa.update(t.transactions).where(still_open).values(values)
        return Prepared(self._dialect, statement, ["stopped_received_ts", "reason", "cp_id"], t.transactions)

    @cached_property
    def drop_connectors(self) -> Prepared:
        return self._drop(t.connectors)

    @cached_property
    def drop_charge_point(self) -> Prepared:
        return self._drop(t.charge_points)

    @cached_property
    def meter(self) -> Prepared:
        """Return an UPDATE of the running figures of a transaction that only readings have changed."""
        *changed, number = METER_COLUMNS
        values = {name: sa.bindparam(f"b_{name}", type_=t.transactions.c[name].type) for name in changed}
        statement = sa.update(t.transactions).where(t.transactions.c.number == sa.bindparam(f"b_{number}"))
        return Prepared(
            self._dialect, statement.values(values), METER_COLUMNS, t.transactions, _meters, from_arrays=True
        )

    def _drop(self, table: sa.Table) -> Prepared:
        statement = sa.delete(table).where(table.c.cp_id == sa.bindparam("b_cp_id"))
        return Prepared(self._dialect, statement, ["cp_id"], table)

    def _insert(self, table: sa.Table, columns: Sequence[str], *, from_arrays: bool = False) -> Prepared:
        statement = insert_values(self._dialect, table, columns)
        return Prepared(self._dialect, statement, columns, table, from_arrays=from_arrays)

    def _upsert(
        self, table: sa.Table, columns: Sequence[str], keep_first: Sequence[str] = (), *, from_arrays: bool = False
    ) -> Prepared:
        statement = upsert(self._dialect, table, columns, keep_first)
        return Prepared(self._dialect, statement, columns, table, from_arrays=from_arrays)


_shared: dict[str, Statements] = {}
_sharing = Lock()


def statements_for(dialect: sa.Dialect) -> Statements:
    """Return the statements of a dialect, shared by all stores of the process.

    All are compiled here, which takes up to 0.1 s: the first batch of a kind would wait for it, beside a busy loop for
    several times as long.
    """
    with _sharing:
        if dialect.name not in _shared:
            _shared[dialect.name] = statements = Statements(dialect)
            for name, member in vars(Statements).items():
                if isinstance(member, cached_property):
                    getattr(statements, name)
        return _shared[dialect.name]


def _meters(rows: int) -> Any:
    """Return `Statements.meter` for several transactions: an UPDATE joined to a table of their figures."""
    c = t.transactions.c
    *changed, number = METER_COLUMNS
    figures = sa.union_all(
        *(
            sa.select(*(sa.cast(sa.bindparam(f"{name}_{row}"), c[name].type).label(name) for name in METER_COLUMNS))
            for row in range(rows)
        )
    ).cte("figures")
    return (
        sa.update(t.transactions)
        .where(c[number] == figures.c[number])
        .values({name: figures.c[name] for name in changed})
    )
