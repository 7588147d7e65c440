"""Writes device models within a batch's transaction, and limits how much of each is stored.

A charger may send millions of variables: beyond its limit, only stored ones are updated.
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
"""Maximum number of rows for each charge point."""

Run = Callable[[Cursor, Prepared, list[Row]], None]
_KEY = slice(0, 8)
"""Charge point, variable and type in an attribute's row."""
_MUTABILITY, _REPORTED_TS = 9, 12


def report(cursor: Cursor, statements: DeviceStatements, notes: Sequence[DeviceModelReported], run: Run) -> None:
    """Write attributes, characteristics and monitors of variables."""
    attributes: dict[Row, Row] = {}
    for note in notes:
        for attribute in note.attributes:
            of, *rest = attribute
            _newest(attributes, (note.cp_id, *of, *rest, note.reported_ts))
    taken = _within(cursor, statements, attributes.values(), MAX_ATTRIBUTES, t.device_attributes)
    _write(cursor, statements.attribute, taken, run)
    characteristics = {
        (note.cp_id, *each.of): (note.cp_id, *each.of, *each[1:]) for note in notes for each in note.characteristics
    }
    taken = _within(cursor, statements, characteristics.values(), MAX_CHARACTERISTICS, t.device_characteristics)
    _write(cursor, statements.characteristics, taken, run)
    _write_monitors(cursor, statements, notes, run)


def _newest(rows: dict[Row, Row], row: Row) -> None:
    """Merge `row` into `rows`: the newest value with all known fields. PostgreSQL accepts no key twice."""
    key = row[_KEY]
    before = rows.get(key)
    if before is not None:
        older, newer = (before, row) if before[_REPORTED_TS] <= row[_REPORTED_TS] else (row, before)
        merged = [
            new if new is not None else old
            for new, old in zip(newer[_MUTABILITY:_REPORTED_TS], older[_MUTABILITY:_REPORTED_TS], strict=True)
        ]
        row = (*newer[:_MUTABILITY], *merged, newer[_REPORTED_TS])
    rows[key] = row


def _write_monitors(
    cursor: Cursor, statements: DeviceStatements, notes: Sequence[DeviceModelReported], run: Run
) -> None:
    """Write and delete monitors in the order of the events: one that was set may be cleared in the same batch."""
    monitors: dict[Row, Row] = {}
    for note in notes:
        for of, monitor_id, *rest in note.monitors:
            monitors[note.cp_id, monitor_id] = (note.cp_id, monitor_id, *of, *rest)
        if note.cleared_monitors:
            cleared = [(note.cp_id, monitor_id) for monitor_id in note.cleared_monitors]
            for key in cleared:
                monitors.pop(key, None)
            run(cursor, statements.drop_monitor, list(cleared))
    taken = _within(cursor, statements, monitors.values(), MAX_MONITORS, t.device_monitors)
    _write(cursor, statements.monitor, taken, run)


def open_streams(cursor: Cursor, statements: DeviceStatements, notes: Sequence[EventStreamOpened], run: Run) -> None:
    """Write which monitor each stream reports."""
    rows: dict[Row, Row] = {
        (n.cp_id, n.stream_id): (n.cp_id, n.stream_id, n.monitor_id, n.interval_s, n.values, n.received_ts)
        for n in notes
    }
    taken = _within(cursor, statements, rows.values(), MAX_STREAMS, t.event_streams)
    _write(cursor, statements.stream, taken, run)


def close_streams(cursor: Cursor, statements: DeviceStatements, notes: Sequence[EventStreamClosed], run: Run) -> None:
    """Delete closed streams."""
    run(cursor, statements.drop_stream, [(n.cp_id, n.stream_id) for n in notes])


def add_stream_values(
    cursor: Cursor, statements: DeviceStatements, notes: Sequence[EventStreamReceived], run: Run
) -> None:
    """Write the newest value of each stream, and add to its count."""
    rows: dict[Row, Row] = {}
    for n in notes:
        before = rows.get((n.cp_id, n.stream_id))
        count = n.count + (before[4] if before is not None else 0)
        later = before is None or before[3] <= n.reported_ts
        value, reported_ts = (n.value, n.reported_ts) if later or before is None else (before[2], before[3])
        rows[n.cp_id, n.stream_id] = (n.cp_id, n.stream_id, value, reported_ts, count)
    taken = _within(cursor, statements, rows.values(), MAX_STREAMS, t.event_streams)
    _write(cursor, statements.stream_value, taken, run)


def drop(cursor: Cursor, statements: DeviceStatements, cp_ids: list[Row], run: Run) -> None:
    """Delete everything of charge points that were decommissioned."""
    for prepared in statements.drop_all:
        run(cursor, prepared, cp_ids)


def _write(cursor: Cursor, prepared: Prepared, rows: list[Row], run: Run) -> None:
    if rows:
        run(cursor, prepared, rows)


def _within(
    cursor: Cursor, statements: DeviceStatements, rows: Iterable[Row], limit: int, table: sa.Table
) -> list[Row]:
    """Return the rows that keep each charge point within `limit`; beyond it, only rows that are stored already."""
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
    """Return whether a row of that key is stored. A key that the database can't store is not."""
    return key == tuple(map(sanitize, key)) and _count(cursor, prepared, key) > 0


def _count(cursor: Cursor, prepared: Prepared, of: Row) -> int:
    cursor.execute(prepared.sql, of)
    return int(cursor.fetchone()[0])
