"""Rows that no database takes, kept from harming the others: each row for itself, the bad ones mended or set aside.

This is the slow way, gone only after the quick one failed on what a row holds.
"""

import logging
import math
from collections.abc import Callable

from wattspan.store.codec import to_json
from wattspan.store.journal.statements import Cursor, Prepared, Statements
from wattspan.store.rows import Row

log = logging.getLogger(__name__)

NOTED_LIMIT = 1000
"""Rows set aside a process; what a charger sends must not fill the disk by this door either."""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class Isolator:
    """Runs statements row by row, and counts what it set aside. `is_row_fault`: `engine.row_fault`'s."""

    def __init__(
        self, statements: Statements, is_row_fault: Callable[[Exception], bool], clock: Callable[[], float]
    ) -> None:
        self._statements = statements
        self._is_row_fault = is_row_fault
        self._clock = clock
        self.noted = 0

    def run(self, cursor: Cursor, prepared: Prepared, rows: list[Row]) -> None:
        """An `apply.Run`: each row for itself."""
        for row in rows:
            fault = self._attempt(cursor, prepared, row)
            if fault is not None:
                self._set_aside(cursor, prepared, row, fault)

    def _attempt(self, cursor: Cursor, prepared: Prepared, row: Row) -> Exception | None:
        """Write `row` in a savepoint; the error if it was the row's own, and then nothing of it is left."""
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
        """Write a mended copy if that can be done, and note the row as it was."""
        mended = self._attempt(cursor, prepared, tuple(map(sanitize, row))) is None
        self.noted += 1
        if self.noted > NOTED_LIMIT:
            return
        log.error(
            "a row of %s can't be written as it is (%s); it is kept in the table unwritable%s",
            prepared.table,
            type(fault).__name__,
            ", and was written mended" if mended else "",
        )
        as_it_was = to_json(dict(zip(prepared.columns, row, strict=True))).replace("\0", "")
        note = (self._clock(), prepared.table, as_it_was, _told(fault), mended)
        cursor.executemany(self._statements.unwritable.sql, [note])


def _told(fault: Exception) -> str:
    """The error's first line, without parameters: they hold id tokens, and the row is beside it anyway."""
    lines = str(fault).splitlines()
    return f"{type(fault).__name__}: {ascii(lines[0][:200]) if lines else ''}"


def sanitize(value: object) -> object:
    """`value` as every database takes it: Unicode without NUL, integers in 64 bits, numbers that are numbers."""
    if isinstance(value, str):
        well = value.encode("utf-8", "replace").decode().replace("\0", "")
        return value if well == value else well
    if isinstance(value, int) and not _LOWEST <= value <= _HIGHEST:
        return max(_LOWEST, min(value, _HIGHEST))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
