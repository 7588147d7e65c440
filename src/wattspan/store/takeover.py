"""Changes the owners of charge points in a cluster, and restores what is taken (docs/adr/0014-nodes.md).

PostgreSQL only; on the writer's thread. A transaction changes the owners first and reads the state by later statements:
each sees what the former owner committed before, and after the change the former owner can commit nothing more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wattspan.store.journal.apply import at_once, newest_reading
from wattspan.store.journal.batch import READINGS_THROUGH, readings_mark
from wattspan.store.journal.statements import Statements
from wattspan.store.restore import Restored, read_some
from wattspan.store.rows import connector_row, meter_row
from wattspan.store.schema import tables as t

Expected = tuple[str | None, int]
"""The owner and the epoch that a charge point must have, so that it is taken from nobody else."""

_CP = t.charge_points.c
_IDS = sa.bindparam("cp_ids", type_=sa.ARRAY(sa.Text))
# A row that another transaction has locked is left out: a batch of ours would have to wait for it, too.
_LOCK = (
    sa.select(_CP.cp_id, _CP.owner, _CP.owner_epoch, _CP.last_msg_ts)
    .where(_CP.cp_id == sa.any_(_IDS))
    .order_by(_CP.cp_id)
    .with_for_update(key_share=True, skip_locked=True)
)
_THERE = sa.select(_CP.cp_id).where(_CP.cp_id == sa.any_(_IDS))
_TAKE = (
    sa.update(t.charge_points)
    .where(_CP.cp_id == sa.any_(_IDS))
    .values(owner=sa.bindparam("new_owner"), owner_epoch=_CP.owner_epoch + 1)
    .returning(_CP.cp_id, _CP.owner_epoch)
)


@dataclass(slots=True)
class Taken:
    """The charge points that were taken in one transaction."""

    epochs: dict[str, int] = field(default_factory=dict)
    """The new epochs. Those of `wanted` that are missing were locked or had another owner than expected."""
    former: dict[str, str | None] = field(default_factory=dict)
    """The former owners."""
    restored: Restored = field(default_factory=Restored)
    """Their state, without those that were removed."""


def take(
    connection: sa.Connection,
    statements: Statements,
    node: str,
    wanted: Mapping[str, Expected | None],
    now_ts: float,
    *,
    creates: bool = True,
) -> Taken:
    """Make `node` the owner of the charge points; `creates`: also of those that are not known yet."""
    found = {row.cp_id: row for row in connection.execute(_LOCK, {"cp_ids": list(wanted)})}
    if creates and len(found) < len(wanted):
        found |= _create(connection, sorted(wanted.keys() - found.keys()), now_ts)
    mine = [
        cp_id
        for cp_id, row in found.items()
        if (expected := wanted[cp_id]) is None or expected == (row.owner, row.owner_epoch)
    ]
    if not mine:
        return Taken()
    epochs = {row.cp_id: row.owner_epoch for row in connection.execute(_TAKE, {"cp_ids": mine, "new_owner": node})}
    former = {cp_id: found[cp_id].owner for cp_id in mine}
    # One that sent no message and has no owner was added by administration: it has no readings.
    seen = {former[cp_id] for cp_id in mine if former[cp_id] is not None or found[cp_id].last_msg_ts is not None}
    restored = read_some(connection, mine, _included(connection, seen))
    _write_figures(connection, statements, restored)
    return Taken(epochs, former, restored)


def _create(connection: sa.Connection, missing: Sequence[str], now_ts: float) -> dict[str, sa.Row[tuple[object, ...]]]:
    """Add the charge points that no row exists for, and return their rows."""
    there = set(connection.scalars(_THERE, {"cp_ids": missing}))
    new = [{"cp_id": cp_id, "known_since_ts": now_ts} for cp_id in missing if cp_id not in there]
    if not new:
        return {}
    added = insert(t.charge_points).values(new).on_conflict_do_nothing()
    rows = connection.execute(added.returning(_CP.cp_id, _CP.owner, _CP.owner_epoch, _CP.last_msg_ts))
    return {row.cp_id: row for row in rows}


def _included(connection: sa.Connection, former: set[str | None]) -> int | None:
    """Return up to which reading the rows of all charge points of these owners are current; None for no owners."""
    if not former:
        return None
    names = [readings_mark(node) for node in former]
    marks = dict(
        connection.execute(sa.select(t.marks.c.name, t.marks.c.value).where(t.marks.c.name.in_(names))).tuples().all()
    )
    oldest: int = min(marks.get(name, 0) for name in names)
    return oldest


def _write_figures(connection: sa.Connection, statements: Statements, restored: Restored) -> None:
    """Write the figures that are newer than their rows, so that the mark of the new owner holds for them, too."""
    if not restored.replayed:
        return
    driver: Any = connection.connection.dbapi_connection
    with driver.cursor() as cursor:
        through = newest_reading(cursor, statements)
        replayed = {cp_id for cp_id, _ in restored.replayed}
        running = [tx for cp_id in sorted(replayed) for tx in restored.charge_points[cp_id].transactions.values()]
        connectors = [(*connector_row(cp_id, connector), through) for cp_id, connector in restored.replayed]
        at_once(cursor, statements.connector, connectors)
        meters = [meter_row(transaction) for transaction in running]
        if meters:
            at_once(cursor, statements.meter, [(*row[:-1], through, row[-1]) for row in meters])


def next_block(connection: sa.Connection, mark: str, size: int) -> int:
    """Return the first of `size` numbers that no other node gets. `mark` counts them, as without a cluster."""
    statement = insert(t.marks).values(name=mark, value=size)
    changed = statement.on_conflict_do_update(index_elements=["name"], set_={"value": t.marks.c.value + size})
    last: int = connection.execute(changed.returning(t.marks.c.value)).scalar_one()
    return last - size + 1


def prepare_node(connection: sa.Connection, node: str) -> None:
    """Set the mark of a node that owns nothing, and the mark of the highest number in a database without it."""
    newest = connection.execute(sa.select(sa.func.coalesce(sa.func.max(t.meter_readings.c.id), 0))).scalar_one()
    highest = connection.execute(sa.select(sa.func.coalesce(sa.func.max(t.transactions.c.number), 0))).scalar_one()
    connection.execute(insert(t.marks).values(name="last_number", value=highest).on_conflict_do_nothing())
    mark = insert(t.marks).values(name=readings_mark(node), value=newest)
    if connection.execute(sa.select(_CP.cp_id).where(_CP.owner == node).limit(1)).first() is None:
        connection.execute(mark.on_conflict_do_update(index_elements=["name"], set_={"value": newest}))
    else:
        connection.execute(mark.on_conflict_do_nothing())


def end_cluster(connection: sa.Connection) -> None:
    """Make every charge point owned by nobody, for a server that is alone, and the marks of the nodes one."""
    owners = connection.scalars(sa.select(_CP.owner).where(_CP.owner.is_not(None)).distinct()).all()
    connection.execute(
        sa.update(t.charge_points).where(_CP.owner.is_not(None)).values(owner=None, owner_epoch=_CP.owner_epoch + 1)
    )
    oldest = _included(connection, set(owners))
    if oldest is not None:
        connection.execute(
            insert(t.marks)
            .values(name=READINGS_THROUGH, value=oldest)
            .on_conflict_do_update(index_elements=["name"], set_={"value": oldest})
        )
    connection.execute(sa.delete(t.marks).where(t.marks.c.name.like(f"{READINGS_THROUGH}:%")))
    connection.execute(sa.delete(t.nodes))
