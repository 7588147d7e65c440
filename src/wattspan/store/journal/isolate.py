"""Isolates rows that the database rejects: writes rows one at a time, and bad ones sanitized or into `unwritable`.

This is slow, and used only after writing the batch at once failed because of a row.
"""

import logging
import math
from collections.abc import Callable

from wattspan.store.codec import to_json
from wattspan.store.journal.statements import Cursor, Prepared, Statements
from wattspan.store.rows import Row

log = logging.getLogger(__name__)

NOTED_LIMIT = 1000
"""Maximum number of rows written to `unwritable` by one process, so that a charger can't fill the disk with them."""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class Isolator:
    """Runs statements row by row, and counts the rejected rows. `is_row_fault`: see `engine.row_fault`."""

    def __init__(
        self, statements: Statements, is_row_fault: Callable[[Exception], bool], clock: Callable[[], float]
    ) -> None:
        self._statements = statements
        self._is_row_fault = is_row_fault
        self._clock = clock
        self.noted = 0

    def run(self, cursor: Cursor, prepared: Prepared, rows: list[Row]) -> None:
        """Execute the statement for one row at a time (an `apply.Run`)."""
        for row in rows:
            fault = self._attempt(cursor, prepared, row)
            if fault is not None:
                self._set_aside(cursor, prepared, row, fault)

    def _attempt(self, cursor: Cursor, prepared: Prepared, row: Row) -> Exception | None:
        """Write `row` in a savepoint. Return the error if the row caused it, with the savepoint rolled back."""
        cursor.execute("SAVEPOINT one_row")
        try:
            cursor.executemany(prepared.sql, [row])
        except Exception as fault:
            if not self._is_row_fault(fault):
                raise
            cursor.execute("ROLLBACK TO SAVEPOINT one_row")
            return fault
        cursor.execute("RELEASE SAVEPOINT one_row")
        return None

    def _set_aside(self, cursor: Cursor, prepared: Prepared, row: Row, fault: Exception) -> None:
        """Write a sanitized copy if possible, and the original row into `unwritable`."""
        sanitized = self._attempt(cursor, prepared, tuple(map(sanitize, row))) is None
        self.noted += 1
        if self.noted > NOTED_LIMIT:
            return
        log.error(
            "a row of %s can't be written as it is (%s); it is stored in the table unwritable%s",
            prepared.table,
            type(fault).__name__,
            ", and a sanitized copy was written" if sanitized else "",
        )
        original = to_json(dict(zip(prepared.columns, row, strict=True))).replace("\0", "")
        note = (self._clock(), prepared.table, original, _first_line(fault), sanitized)
        cursor.executemany(self._statements.unwritable.sql, [note])


def _first_line(fault: Exception) -> str:
    """Return the error's first line, without the parameters, which may contain id tokens."""
    lines = str(fault).splitlines()
    return f"{type(fault).__name__}: {ascii(lines[0][:200]) if lines else ''}"


def sanitize(value: object) -> object:
    """Return `value` as every database accepts it: Unicode without NUL, 64-bit integers, None for NaN and infinity."""
    if isinstance(value, str):
        cleaned = value.encode("utf-8", "replace").decode().replace("\0", "")
        return value if cleaned == value else cleaned  # the same object, so that callers see that nothing changed
    if isinstance(value, int) and not _LOWEST <= value <= _HIGHEST:
        return max(_LOWEST, min(value, _HIGHEST))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
