"""Monthly partitions of `meter_readings` on PostgreSQL (docs/adr/0015-partitioned-readings.md).

It owns their names, bounds and life: created ahead, dropped by retention. Readings that fit no month go to the default
partition, so no write fails for want of one. It must not know what a reading means.

A database of a release before partitions has its readings in the default partition at first (`FORMER`). They become a
partition of their own once they are proved to be from before a certain month, without a lock that writes wait for.
"""

import logging
import re
from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy as sa

from wattspan.store.schema.tables import meter_readings

log = logging.getLogger(__name__)

TABLE = meter_readings.name
FORMER = f"{TABLE}_former"
"""The readings from before the table was partitioned."""
DEFAULT = f"{TABLE}_default"

MONTHS_AHEAD = 2
"""Months after the present one that have a partition."""
SMALL_BYTES = 32 * 1024 * 1024
"""Former readings up to this size are proved while writes wait, which takes some 20 ms."""
MAX_MOVED = 10_000
"""Readings that are moved out of the default partition to their month's. A month with more of them stays there."""
LOCK_S = 1.0
"""Seconds to wait for a lock. Who begins to use the table meanwhile waits behind it."""

_MIGRATING, _PROVING = 1464947317, 1464947319
"""Keys of advisory locks: of changes to the tables (`postgresql.prepare`), and of the proof."""
_CHECK = f"ck_{FORMER}"
_CHILDREN = (
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"  # noqa: S608
    f" WHERE i.inhparent = '{TABLE}'::regclass"
)
_PROOF = (
    "SELECT convalidated, pg_get_constraintdef(oid) FROM pg_constraint"  # noqa: S608 - names of our own, as above
    f" WHERE conrelid = '{FORMER}'::regclass AND conname = '{_CHECK}'"
)
_UNTIL = re.compile(r"(?:TO \(|< )'?\(?(-?[0-9.e+]+)")


class Month(NamedTuple):
    """A month in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, ts: float) -> "Month":
        """Return the month of a time."""
        at = datetime.fromtimestamp(ts, UTC)
        return cls(at.year, at.month)

    def plus(self, months: int) -> "Month":
        """Return the month that is so much later."""
        count = self.year * 12 + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)

    @property
    def begin_ts(self) -> float:
        """Return the time at which it begins."""
        return datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()

    @property
    def partition(self) -> str:
        """Return the name of its partition."""
        return f"{TABLE}_{self.year:04}_{self.month:02}"


def partitions(connection: sa.Connection) -> dict[str, float | None]:
    """Return the names of the partitions, each with the time before which its readings were received, oldest first.

    None: the default partition, which has no bound.
    """
    found = {name: _until(bound) for name, bound in connection.exec_driver_sql(_CHILDREN)}
    return dict(sorted(found.items(), key=lambda each: (each[1] is None, each[1] or 0.0)))


def create_ahead(connection: sa.Connection, now_ts: float) -> bool:
    """Create the missing partitions of this month and the next ones, unless another process is about it.

    Return True if nothing can be created before `prove` has been called.
    """
    if not _locked(connection, _MIGRATING):
        return False
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_S * 1000:.0f}")
    there = partitions(connection)
    if there.get(FORMER, 0.0) is None:
        if not _bound_former(connection, now_ts):
            return True
        there = partitions(connection)
    newest_former = there.get(FORMER) or 0.0
    for month in (Month.of(now_ts).plus(ahead) for ahead in range(MONTHS_AHEAD + 1)):
        if month.partition not in there and month.begin_ts >= newest_former:
            _create(connection, month)
    return False


def prove(connection: sa.Connection) -> None:
    """Check that all former readings are from before the month that `create_ahead` has chosen; takes long.

    Writes and reads do not wait for it.
    """
    connection.exec_driver_sql("SET TRANSACTION READ WRITE")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    if _locked(connection, _PROVING):
        connection.exec_driver_sql(f"ALTER TABLE {FORMER} VALIDATE CONSTRAINT {_CHECK}")


def drop_oldest(connection: sa.Connection, before_ts: float) -> bool:
    """Drop the oldest partition, if all its readings were received before `before_ts`. Return whether it did."""
    oldest, until_ts = next(iter(partitions(connection).items()))
    if until_ts is None or until_ts > before_ts:
        return False
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_S * 1000:.0f}")
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {oldest}")
    log.info("dropped %s, whose readings are older than the retention", oldest)
    return True


def _bound_former(connection: sa.Connection, now_ts: float) -> bool:
    """Make the former readings a partition that ends with a month. Return False if that needs a proof first."""
    until_ts, is_proved = _proof(connection)
    if not is_proved:
        if _size(connection) > SMALL_BYTES:
            _require_proof(connection, until_ts, now_ts)
            return False
        connection.exec_driver_sql(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        newest: float | None = connection.exec_driver_sql(f"SELECT max(received_ts) FROM {FORMER}").scalar_one()  # noqa: S608
        until_ts = Month.of(now_ts).begin_ts if newest is None else Month.of(max(newest, now_ts)).plus(1).begin_ts
    connection.exec_driver_sql(f"ALTER TABLE {TABLE} DETACH PARTITION {FORMER}")
    connection.exec_driver_sql(
        f"ALTER TABLE {TABLE} ATTACH PARTITION {FORMER} FOR VALUES FROM (MINVALUE) TO ({until_ts!r})"
    )
    connection.exec_driver_sql(f"ALTER TABLE {FORMER} DROP CONSTRAINT IF EXISTS {_CHECK}")
    connection.exec_driver_sql(
        f"CREATE TABLE {DEFAULT} PARTITION OF {TABLE} (CONSTRAINT pk_{DEFAULT} PRIMARY KEY (id)) DEFAULT"
    )
    return True


def _proof(connection: sa.Connection) -> tuple[float | None, bool]:
    """Return the time before which the former readings must be from, or None, and whether that is proved."""
    found = connection.exec_driver_sql(_PROOF).first()
    return (None, False) if found is None else (_until(found[1]), bool(found[0]))


def _require_proof(connection: sa.Connection, required_ts: float | None, now_ts: float) -> None:
    """Have readings refused that are from after the next month, so that there is something to prove.

    The month after the next leaves time for the proof. It is chosen anew if the proof was not finished in time.
    """
    if required_ts is not None and required_ts > Month.of(now_ts).plus(1).begin_ts:
        return
    until_ts = Month.of(now_ts).plus(2).begin_ts
    connection.exec_driver_sql(f"ALTER TABLE {FORMER} DROP CONSTRAINT IF EXISTS {_CHECK}")
    connection.exec_driver_sql(
        f"ALTER TABLE {FORMER} ADD CONSTRAINT {_CHECK} CHECK (received_ts < {until_ts!r}::double precision) NOT VALID"
    )


def _create(connection: sa.Connection, month: Month) -> None:
    """Create the partition of a month, with its readings that are in the default partition."""
    end_ts = month.plus(1).begin_ts
    misplaced = f"FROM {DEFAULT} WHERE received_ts >= {month.begin_ts!r} AND received_ts < {end_ts!r}"
    connection.exec_driver_sql(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
    found = f"SELECT count(*) FROM (SELECT 1 {misplaced} LIMIT {MAX_MOVED + 1}) AS found"  # noqa: S608
    count = connection.exec_driver_sql(found).scalar_one()
    if count > MAX_MOVED:
        return
    name = month.partition
    connection.exec_driver_sql(
        f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS, CONSTRAINT pk_{name} PRIMARY KEY (id))"
    )
    if count:
        moved = f"WITH moved AS (DELETE {misplaced} RETURNING *) INSERT INTO {name} SELECT * FROM moved"  # noqa: S608
        connection.exec_driver_sql(moved)
    connection.exec_driver_sql(
        f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM ({month.begin_ts!r}) TO ({end_ts!r})"
    )


def _size(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql(f"SELECT pg_table_size('{FORMER}')").scalar_one())


def _locked(connection: sa.Connection, key: int) -> bool:
    return bool(
        connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({key}, hashtext(current_schema()))").scalar_one()
    )


def _until(text: str) -> float | None:
    """Return the upper bound in the text of a partition's bounds or of a constraint, or None."""
    found = _UNTIL.search(text)
    return None if found is None else float(found[1])
