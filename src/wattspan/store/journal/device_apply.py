"""Writes what chargers told of their device model, within a batch's transaction, and bounds how much is kept of it.

A charger may send millions of variables: past its limit only known ones still change.
"""

from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa

from wattspan.domain.events import DeviceModelReported, EventStreamClosed, EventStreamOpened, EventStreamReceived
from wattspan.store.journal.device_statements import DeviceStatements
from wattspan.store.journal.isolate import sanitize
from wattspan.store.journal.prepared import Cursor, Prepared
from wattspan.store.rows import Row
from wattspan.store.schema import tables as t

MAX_ATTRIBUTES = 20_000
MAX_CHARACTERISTICS = 20_000
MAX_MONITORS = 5_000
MAX_STREAMS = 1_000
"""Rows kept a charge point."""

Run = Callable[[Cursor, Prepared, list[Row]], None]
_KEY = slice(0, 8)
"""Charge point, variable and type of an attribute's row."""
_MUTABILITY, _TOLD = 9, 12


def report(cursor: Cursor, statements: DeviceStatements, notes: Sequence[DeviceModelReported], run: Run) -> None:
    """Variables, what they may be, and what is watched."""
    attributes: dict[Row, Row] = {}
    for note in notes:
        for attribute in note.attributes:
            of, *rest = attribute
            _newest(attributes, (note.cp_id, *of, *rest, note.reported_ts))
    taken = _within(cursor, statements, attributes.values(), MAX_ATTRIBUTES, t.device_attributes)
    _write(cursor, statements.attribute, taken, run)
    told = {
        (note.cp_id, *each.of): (note.cp_id, *each.of, *each[1:]) for note in notes for each in note.characteristics
    }
    taken = _within(cursor, statements, told.values(), MAX_CHARACTERISTICS, t.device_characteristics)
    _write(cursor, statements.characteristics, taken, run)
    _watch(cursor, statements, notes, run)


def _newest(rows: dict[Row, Row], row: Row) -> None:
    """Each key once, for PostgreSQL takes none twice: the newest value, with all that was told of it."""
    key = row[_KEY]
    before = rows.get(key)
    if before is not None:
        older, newer = (before, row) if before[_TOLD] <= row[_TOLD] else (row, before)
        told = [
            new if new is not None else old
            for new, old in zip(newer[_MUTABILITY:_TOLD], older[_MUTABILITY:_TOLD], strict=True)
        ]
        row = (*newer[:_MUTABILITY], *told, newer[_TOLD])
    rows[key] = row


def _watch(cursor: Cursor, statements: DeviceStatements, notes: Sequence[DeviceModelReported], run: Run) -> None:
    """In order: what was set may be cleared again within one batch."""
    monitors: dict[Row, Row] = {}
    for note in notes:
        for of, monitor_id, *rest in note.monitors:
            monitors[note.cp_id, monitor_id] = (note.cp_id, monitor_id, *of, *rest)
        if note.cleared_monitors:
            gone = [(note.cp_id, monitor_id) for monitor_id in note.cleared_monitors]
            for key in gone:
                monitors.pop(key, None)
            run(cursor, statements.drop_monitor, list(gone))
    taken = _within(cursor, statements, monitors.values(), MAX_MONITORS, t.device_monitors)
    _write(cursor, statements.monitor, taken, run)


def open_streams(cursor: Cursor, statements: DeviceStatements, notes: Sequence[EventStreamOpened], run: Run) -> None:
    """Which monitor a stream carries."""
    rows: dict[Row, Row] = {
        (n.cp_id, n.stream_id): (n.cp_id, n.stream_id, n.monitor_id, n.interval_s, n.values, n.received_ts)
        for n in notes
    }
    taken = _within(cursor, statements, rows.values(), MAX_STREAMS, t.event_streams)
    _write(cursor, statements.stream, taken, run)


def close_streams(cursor: Cursor, statements: DeviceStatements, notes: Sequence[EventStreamClosed], run: Run) -> None:
    """A stream that is no more."""
    run(cursor, statements.drop_stream, [(n.cp_id, n.stream_id) for n in notes])


def tell_streams(cursor: Cursor, statements: DeviceStatements, notes: Sequence[EventStreamReceived], run: Run) -> None:
    """The newest value of a stream, and how many came."""
    rows: dict[Row, Row] = {}
    for n in notes:
        before = rows.get((n.cp_id, n.stream_id))
        count = n.count + (before[4] if before is not None else 0)
        later = before is None or before[3] <= n.reported_ts
        value, told_ts = (n.value, n.reported_ts) if later or before is None else (before[2], before[3])
        rows[n.cp_id, n.stream_id] = (n.cp_id, n.stream_id, value, told_ts, count)
    taken = _within(cursor, statements, rows.values(), MAX_STREAMS, t.event_streams)
    _write(cursor, statements.stream_value, taken, run)


def drop(cursor: Cursor, statements: DeviceStatements, gone: list[Row], run: Run) -> None:
    """Charge points that were decommissioned."""
    for prepared in statements.drop_all:
        run(cursor, prepared, gone)


def _write(cursor: Cursor, prepared: Prepared, rows: list[Row], run: Run) -> None:
    if rows:
        run(cursor, prepared, rows)


def _within(
    cursor: Cursor, statements: DeviceStatements, rows: Iterable[Row], limit: int, table: sa.Table
) -> list[Row]:
    """The rows that may be written, so that no charge point exceeds `limit`: past it those alone that are there."""
    by_charge_point: dict[str, list[Row]] = {}
    for row in rows:
        by_charge_point.setdefault(row[0], []).append(row)
    taken: list[Row] = []
    keys = len(table.primary_key.columns)
    for cp_id, mine in by_charge_point.items():
        room = max(0, limit - _count(cursor, statements.counts[table.name], (cp_id,)))
        taken += mine[:room]
        taken += [row for row in mine[room:] if _is_there(cursor, statements.known[table.name], row[:keys])]
    return taken


def _is_there(cursor: Cursor, prepared: Prepared, key: Row) -> bool:
    """Whether the row of that key is in the table; one that no database takes can't be."""
    return key == tuple(map(sanitize, key)) and _count(cursor, prepared, key) > 0


def _count(cursor: Cursor, prepared: Prepared, of: Row) -> int:
    cursor.execute(prepared.sql, of)
    return int(cursor.fetchone()[0])
