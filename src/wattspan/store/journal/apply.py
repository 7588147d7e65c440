"""Writes a batch within a transaction, on the writer's thread. It knows neither the event loop nor the fleet."""

from collections.abc import Callable
from itertools import chain, groupby

from wattspan.domain.changes import Note
from wattspan.domain.events import (
    DeviceModelReported,
    EventStreamClosed,
    EventStreamOpened,
    EventStreamReceived,
    FileTransferRequested,
    FirmwareStatusChanged,
    InstalledCertificatesReported,
    LogStatusChanged,
    ReservationCancelled,
    ReservationMade,
    SecurityEventReported,
)
from wattspan.domain.model import ReadingRow
from wattspan.store.codec import to_json
from wattspan.store.journal import device_model
from wattspan.store.journal.arrays import to_arrays
from wattspan.store.journal.batch import Batch
from wattspan.store.journal.prepared import ARRAY_ROWS
from wattspan.store.journal.statements import Cursor, Prepared, Statements
from wattspan.store.rows import Row
from wattspan.store.samples import Shapes

DECOMMISSIONED = "Decommissioned"
"""The stop reason of a transaction that was open when its charge point was removed."""

PART = 4_096
"""Readings encoded together: to free the rows of a large message at once would hold the interpreter's lock."""

Run = Callable[[Cursor, Prepared, list[Row]], None]
"""Executes a statement for its rows: all at once, or one at a time."""

_TRANSFER_KINDS = {FirmwareStatusChanged: "firmware", LogStatusChanged: "log"}


def at_once(cursor: Cursor, prepared: Prepared, rows: list[Row]) -> None:
    """Execute the statement for all rows in as few calls as possible. One bad row fails them all."""
    if prepared.in_arrays is not None:
        for first in range(0, len(rows), ARRAY_ROWS):
            cursor.execute(prepared.in_arrays, to_arrays(rows[first : first + ARRAY_ROWS], prepared.encoders))
        return
    done = 0
    for size, sql in prepared.blocks:
        while len(rows) - done >= size:
            cursor.execute(sql, list(chain.from_iterable(rows[done : done + size])))
            done += size
    if done < len(rows):
        cursor.executemany(prepared.sql, rows[done:])


def write_batch(
    cursor: Cursor, batch: Batch, statements: Statements, shapes: Shapes, now_ts: float, run: Run = at_once
) -> None:
    """Write everything in `batch`; the caller commits. Readings are first: other rows refer to the newest one."""
    before = newest_reading(cursor, statements) if batch.transactions else 0
    removed: list[Row] = [(cp_id,) for cp_id in batch.decommissioned]
    if removed:
        # Before everything else: one that was added again within this batch is written below.
        run(cursor, statements.drop_connectors, removed)
        run(cursor, statements.drop_charge_point, removed)
        device_model.drop(cursor, statements.device, removed, run)
        run(cursor, statements.drop_transfers, removed)
        run(cursor, statements.drop_installed_certificates, removed)
    for first in range(0, len(batch.readings), PART):
        _write_readings(cursor, batch.readings[first : first + PART], statements, shapes, run)
    if batch.transactions or batch.connectors or batch.begins or batch.ends:
        _apply_figures(cursor, batch, statements, before, run)
    if removed:
        # Their transactions are kept, but closed: another charge point may be added under the same id.
        run(cursor, statements.close_orphans, [(now_ts, DECOMMISSIONED, *row) for row in removed])
    if batch.charge_points:
        run(cursor, statements.charge_point, batch.charge_points)
    for kind, notes in groupby(batch.notes, key=type):
        _APPLY_NOTES[kind](cursor, statements, list(notes), run)


def _write_readings(
    cursor: Cursor, readings: list[ReadingRow], statements: Statements, shapes: Shapes, run: Run
) -> None:
    encode, before = shapes.encode, len(shapes.added())
    rows = [(*row[:10], *row[11:], *encode(row[10])) for row in readings]
    if len(added := shapes.added()) > before:
        run(cursor, statements.shape, sorted(added[before:]))  # in one order, so that two nodes do not block each other
    run(cursor, statements.reading, rows)


def _apply_figures(cursor: Cursor, batch: Batch, statements: Statements, before: int, run: Run) -> None:
    through = newest_reading(cursor, statements)
    marks = list(batch.marks)
    if batch.begins is not None:
        batch.begins.through = through
    if batch.ends is not None and batch.moves_mark:
        marks.append((batch.through_mark, batch.ends.through))
    for prepared, rows in (
        (statements.transaction, [(*row, before, through) for row in batch.transactions]),
        (statements.meter, [(*row[:-1], through, row[-1]) for row in batch.meters]),
        (statements.connector, [(*row, through) for row in batch.connectors]),
        (statements.mark, marks),
    ):
        if rows:
            run(cursor, prepared, rows)


def newest_reading(cursor: Cursor, statements: Statements) -> int:
    """Return an id that all readings so far have at most, and later ones exceed."""
    cursor.execute(statements.newest_reading)
    newest: int = cursor.fetchone()[0]
    return newest


def _reserve(cursor: Cursor, statements: Statements, notes: list[ReservationMade], run: Run) -> None:
    # The last one for each key: PostgreSQL accepts no key twice in a statement.
    rows: dict[Row, Row] = {
        (n.cp_id, n.reservation_id): (
            *(n.cp_id, n.reservation_id, n.connector_id, n.id_token, n.parent_id_token),
            *(n.received_ts, n.expires_ts, None),
        )
        for n in notes
    }
    run(cursor, statements.reservation, list(rows.values()))


def _cancel(cursor: Cursor, statements: Statements, notes: list[ReservationCancelled], run: Run) -> None:
    run(cursor, statements.cancellation, [(n.received_ts, n.cp_id, n.reservation_id) for n in notes])


def _security(cursor: Cursor, statements: Statements, notes: list[SecurityEventReported], run: Run) -> None:
    run(
        cursor,
        statements.security_event,
        [(n.cp_id, n.received_ts, n.charger_ts, n.type, n.tech_info) for n in notes],
    )


def _transfer(
    cursor: Cursor,
    statements: Statements,
    notes: list[FileTransferRequested | FirmwareStatusChanged | LogStatusChanged],
    run: Run,
) -> None:
    rows: list[Row] = []
    for n in notes:
        is_request = isinstance(n, FileTransferRequested)
        kind = n.kind if isinstance(n, FileTransferRequested) else _TRANSFER_KINDS[type(n)]
        rows.append((n.cp_id, kind, n.request_id, n.status, is_request, n.received_ts))
    run(cursor, statements.file_transfer, rows)
    run(cursor, statements.drop_old_transfers, [(cp_id, cp_id) for cp_id in {n.cp_id for n in notes}])


def _installed(cursor: Cursor, statements: Statements, notes: list[InstalledCertificatesReported], run: Run) -> None:
    # The last one for each key: PostgreSQL accepts no key twice in a statement.
    rows: dict[Row, Row] = {
        (n.cp_id, kind): (n.cp_id, kind, to_json([each._asdict() for each in certificates]), n.received_ts)
        for n in notes
        for kind, certificates in n.certificates.items()
    }
    run(cursor, statements.installed_certificates, list(rows.values()))


def _of_device(write: Callable[..., None]) -> Callable[..., None]:
    """Adapt a function of `device_model`, which takes only the device model's statements."""
    return lambda cursor, statements, notes, run: write(cursor, statements.device, notes, run)


_APPLY_NOTES: dict[type[Note], Callable[..., None]] = {
    ReservationMade: _reserve,
    ReservationCancelled: _cancel,
    SecurityEventReported: _security,
    FileTransferRequested: _transfer,
    FirmwareStatusChanged: _transfer,
    LogStatusChanged: _transfer,
    InstalledCertificatesReported: _installed,
    DeviceModelReported: _of_device(device_model.report),
    EventStreamOpened: _of_device(device_model.open_streams),
    EventStreamClosed: _of_device(device_model.close_streams),
    EventStreamReceived: _of_device(device_model.add_stream_values),
}
