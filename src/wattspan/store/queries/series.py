"""Sampled series: writing blocks, reading them, rolling them up to longer steps, deleting old ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from wattspan.store.schema import tables as t
from wattspan.store.series.blocks import (
    BLOCK_S,
    DAY_S,
    HOUR_S,
    MINUTE_S,
    QUARTER_S,
    RETENTION_S,
    WHOLE,
    Block,
    packed,
    unpacked,
)
from wattspan.store.series.ranges import Group, Range, tier_for, without_overlaps
from wattspan.store.upsert import insert, upsert

ROLLED = "series_rolled"
"""The mark of the hour up to which blocks of minutes are in those of longer steps."""
SAMPLED = "series_sampled"
"""The mark of the last minute that was sampled: after a crash, until when the server ran."""
BATCH_SIZE = 64
"""Charge points in one query or transaction."""
MAX_IN = 500
"""Charge points in the condition of one query: databases limit a query's parameters."""

_S = t.series.c
_COLUMNS = ("cp_id", "step_s", "start_ts", "whole", "connectors")


def put_blocks(connection: sa.Connection, blocks: Sequence[Block]) -> None:
    """Write blocks, replacing those that begin at the same time."""
    put_rows(connection, [row_of(each) for each in blocks])


def put_rows(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write packed blocks, replacing those that begin at the same time."""
    if rows:
        connection.execute(upsert(connection.dialect, t.series, _COLUMNS), list(rows))


def row_of(block: Block) -> dict[str, Any]:
    """Return a block as its row. This takes longer than writing it, and needs no connection."""
    whole, connectors = packed(block)
    return dict(zip(_COLUMNS, (block.cp_id, block.step_s, block.start_ts, whole, connectors), strict=True))


def put_mark(connection: sa.Connection, name: str, value: int) -> None:
    """Set one of this module's marks, which only rises."""
    statement = insert(connection.dialect, t.marks).values(name=name, value=value)
    changed = {"value": statement.excluded.value}
    rises = t.marks.c.value < statement.excluded.value
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed, where=rises))


def mark(connection: sa.Connection, name: str) -> int | None:
    """Return one of this module's marks, or None."""
    return connection.execute(sa.select(t.marks.c.value).where(t.marks.c.name == name)).scalar()


def sampled_charge_points(connection: sa.Connection, from_ts: int, until_ts: int) -> list[str]:
    """Return the charge points that have blocks of minutes which begin in the range."""
    query = sa.select(_S.cp_id).where(_S.step_s == MINUTE_S, _S.start_ts >= from_ts, _S.start_ts < until_ts)
    return sorted(connection.execute(query.distinct()).scalars())


def blocks(
    connection: sa.Connection,
    cp_ids: Sequence[str],
    step_s: int,
    from_ts: int,
    until_ts: int,
    with_connectors: bool = True,
) -> Iterator[Block]:
    """Yield the blocks of one step that reach into the range, by charge point and time."""
    columns = [_S.cp_id, _S.start_ts, _S.whole, *([_S.connectors] if with_connectors else [])]
    query = (
        sa.select(*columns)
        .where(
            _S.cp_id.in_(cp_ids),
            _S.step_s == step_s,
            _S.start_ts > from_ts - BLOCK_S[step_s],
            _S.start_ts < until_ts,
        )
        .order_by(_S.cp_id, _S.start_ts)
    )
    for row in connection.execute(query):
        cp_id, start_ts, *packs = row
        yield unpacked(cp_id, step_s, start_ts, *packs)


def rolled_up(connection: sa.Connection, cp_ids: Sequence[str], hour_ts: int) -> list[dict[str, Any]]:
    """Return the rows of longer steps with one hour of minutes added, to be written in place of those stored.

    Blocks of hours are made from the last hour of a day on, because they are large.
    """
    days: dict[str, Block] = {}
    day_ts = hour_ts // DAY_S * DAY_S
    for each in blocks(connection, cp_ids, MINUTE_S, hour_ts, hour_ts + HOUR_S):
        if each.start_ts >= hour_ts:
            days.setdefault(each.cp_id, Block(each.cp_id, MINUTE_S, hour_ts)).overlay(each)
    quarters = _merged(connection, QUARTER_S, day_ts, [each.coarser(QUARTER_S) for each in days.values()])
    made = [row_of(each) for each in quarters]
    if hour_ts + HOUR_S == day_ts + DAY_S:
        start_ts = hour_ts // BLOCK_S[HOUR_S] * BLOCK_S[HOUR_S]
        made += map(row_of, _merged(connection, HOUR_S, start_ts, [each.coarser(HOUR_S) for each in quarters]))
    return made


def _merged(connection: sa.Connection, step_s: int, start_ts: int, added: Sequence[Block]) -> list[Block]:
    """Return the blocks of a step that begin at `start_ts`, stored or new, each with the samples of an added one."""
    stored = {each.cp_id: each for each in _blocks_at(connection, [each.cp_id for each in added], step_s, start_ts)}
    made = []
    for each in added:
        whole = stored.get(each.cp_id) or Block(each.cp_id, step_s, start_ts)
        whole.overlay(each)
        made.append(whole)
    return made


def expire(connection: sa.Connection, now_ts: float, limit: int) -> int:
    """Delete blocks whose step's retention has passed, up to `limit`; minutes only if they were rolled up."""
    rolled_ts = mark(connection, ROLLED) or 0
    deleted = 0
    for step_s, kept_s in RETENTION_S.items():
        before_ts = int(now_ts) - kept_s - BLOCK_S[step_s]
        if step_s == MINUTE_S:
            before_ts = min(before_ts, rolled_ts)
        old: sa.Select[Any] = (
            sa.select(_S.cp_id, _S.start_ts)
            .where(_S.step_s == step_s, _S.start_ts < before_ts)
            .order_by(_S.start_ts)
            .limit(limit - deleted)
        )
        rows = [{"b_cp": cp_id, "b_start": start_ts} for cp_id, start_ts in connection.execute(old)]
        if rows:
            gone = sa.delete(t.series).where(
                _S.step_s == step_s, _S.cp_id == sa.bindparam("b_cp"), _S.start_ts == sa.bindparam("b_start")
            )
            connection.execute(gone, rows)
            deleted += len(rows)
        if deleted >= limit:
            break
    return deleted


def _blocks_at(connection: sa.Connection, cp_ids: Sequence[str], step_s: int, start_ts: int) -> list[Block]:
    query = sa.select(_S.cp_id, _S.whole, _S.connectors).where(
        _S.cp_id.in_(cp_ids), _S.step_s == step_s, _S.start_ts == start_ts
    )
    return [unpacked(row.cp_id, step_s, start_ts, row.whole, row.connectors) for row in connection.execute(query)]


def add_range(
    connection: sa.Connection,
    wanted: Range,
    groups: Mapping[str, Mapping[str, Group]],
    now_ts: float,
    unwritten: Mapping[str, Sequence[Block]],
) -> None:
    """Add charge points to a range. `groups`: of each charge point, the group of each place.

    `unwritten`: blocks of minutes that are only in memory. Hours that are not rolled up are read from the minutes.
    """
    with_connectors = any(place != WHOLE for places in groups.values() for place in places)
    tier = tier_for(wanted.step_s, wanted.from_ts, now_ts)
    read: dict[str, list[Block]] = {cp_id: [] for cp_id in groups}
    from_ts = wanted.from_ts
    rolled_ts = (mark(connection, ROLLED) or 0) if tier != MINUTE_S else 0
    if tier == HOUR_S:
        day_ts = rolled_ts // DAY_S * DAY_S
        _read(connection, read, HOUR_S, from_ts, min(day_ts, wanted.until_ts), with_connectors)
        from_ts = max(from_ts, day_ts)
    if tier != MINUTE_S:
        _read(connection, read, QUARTER_S, from_ts, min(rolled_ts, wanted.until_ts), with_connectors)
        from_ts = max(from_ts, rolled_ts)
    minutes: dict[str, list[Block]] = {cp_id: [] for cp_id in groups}
    _read(connection, minutes, MINUTE_S, from_ts, wanted.until_ts, with_connectors)
    for cp_id, places in groups.items():
        newest = [*minutes[cp_id], *(each for each in unwritten.get(cp_id, ()) if each.until_ts > from_ts)]
        wanted.add([*read[cp_id], *(each.since(from_ts) for each in without_overlaps(newest))], places)


def _read(
    connection: sa.Connection,
    into: Mapping[str, list[Block]],
    step_s: int,
    from_ts: int,
    until_ts: int,
    with_connectors: bool,
) -> None:
    """Read the blocks of one step that reach into the range, cut off at its ends."""
    if until_ts <= from_ts:
        return
    cp_ids = list(into)
    for first in range(0, len(cp_ids), MAX_IN):
        part = cp_ids[first : first + MAX_IN]
        for block in blocks(connection, part, step_s, from_ts, until_ts, with_connectors):
            into[block.cp_id].append(block.until(until_ts))
