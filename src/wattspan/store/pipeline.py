"""A transaction whose statements are sent to PostgreSQL together: on the driver's connection, but not by its cursors.

These take ten times as long for a statement as libpq. Statements are prepared once a session, values are sent as text,
and PostgreSQL takes their types from the statement.
"""

import re
import select
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from psycopg import Connection, DataError, OperationalError, errors, pq
from psycopg.adapt import Transformer

_BEGIN, _COMMIT = "BEGIN ISOLATION LEVEL READ COMMITTED", "COMMIT"
_PLACEHOLDER = re.compile("%([s%])")
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)

_prepared: WeakKeyDictionary["Connection[Any]", dict[str, bytes]] = WeakKeyDictionary()
"""The names of the statements that a connection has prepared, by their text."""


def in_pipeline(connection: "Connection[Any]", work: Callable[["PipelineCursor"], None]) -> None:
    """Run `work` in a transaction of the driver's connection, and commit it: one round trip if it fetches nothing.

    After an error PostgreSQL skips the rest, the commit as well. The first error is raised, with all rolled back.
    """
    cursor = PipelineCursor(connection)
    try:
        connection.pgconn.enter_pipeline_mode()
        try:
            cursor.execute(_BEGIN)
            work(cursor)
            cursor.execute(_COMMIT)
        finally:
            cursor.close()
    except BaseException:
        connection.rollback()
        raise


class PipelineCursor:
    """A cursor (PEP 249) for statements in a pipeline, which are sent at once, and awaited when a result is fetched."""

    def __init__(self, connection: "Connection[Any]") -> None:
        self._connection = connection
        self._line = connection.pgconn
        self._names = _prepared.setdefault(connection, {})
        self._numbers = count(len(self._names) + 1)
        self._preparing: dict[str, bytes] = {}
        """Statements that this pipeline prepares, in use before it is known whether that succeeds."""
        self._sent: list[str | None] = []
        """What results are awaited for: the text that was prepared; None: an execution."""
        self._newest: pq.abc.PGresult | None = None
        """Of the last statement that was awaited."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> None:
        """Send a statement. Its error is raised by what awaits it."""
        values = [None if value is None else _as_text(value) for value in parameters]
        name = self._names.get(sql) or self._preparing.get(sql)
        if name is None:
            name = self._preparing[sql] = b"wattspan_%d" % next(self._numbers)
            self._line.send_prepare(name, _numbered(sql))
            self._sent.append(sql)
        self._line.send_query_prepared(name, values)
        self._sent.append(None)

    def executemany(self, sql: str, rows: list[Any], /) -> None:
        """Send a statement for each row."""
        for row in rows:
            self.execute(sql, row)

    def fetchone(self) -> Any:
        found = self.fetchall()
        return found[0] if found else None

    def fetchall(self) -> list[Any]:
        # With a flush alone, the session counts as active, and PostgreSQL would not end it if this process hangs now.
        self._await()
        if self._newest is None:
            return []
        loader = Transformer.from_context(self._connection)
        loader.set_pgresult(self._newest)
        return loader.load_rows(0, self._newest.ntuples, tuple)

    def close(self) -> None:
        """Await everything, and leave the pipeline. Raises the first error."""
        try:
            self._await()
        finally:
            if self._line.status == pq.ConnStatus.OK:
                self._line.exit_pipeline_mode()

    def _await(self) -> None:
        """Have everything executed that was sent, and raise the first error."""
        self._send()
        awaited, self._sent = iter(self._sent), []
        first_error: Exception | None = None
        while (result := self._next_result()).status != pq.ExecStatus.PIPELINE_SYNC:
            text = next(awaited)
            if result.status in _FAILED:
                first_error = first_error or errors.error_from_result(result)
            elif result.status != pq.ExecStatus.PIPELINE_ABORTED:
                self._newest = result
                if text is not None:
                    self._names[text] = self._preparing[text]
        self._preparing.clear()
        if first_error is not None:
            raise first_error

    def _send(self) -> None:
        line = self._line
        line.pipeline_sync()
        poll = select.poll()
        poll.register(line.socket, select.POLLIN | select.POLLOUT)
        while line.flush():
            if any(event & ~select.POLLOUT for _, event in poll.poll()):
                line.consume_input()  # PostgreSQL may wait until its answers are read

    def _next_result(self) -> pq.abc.PGresult:
        """Return the next result, without the mark that ends those of a statement."""
        line, poll = self._line, select.poll()
        poll.register(line.socket, select.POLLIN)
        while True:
            while line.is_busy():
                poll.poll()
                line.consume_input()
            result = line.get_result()
            if result is not None:
                return result
            if line.status != pq.ConnStatus.OK:
                raise OperationalError(line.get_error_message())


def _as_text(value: Any) -> bytes:
    """Return the text by which PostgreSQL reads a value. Raises DataError, TypeError or ValueError if there is none."""
    if isinstance(value, str):
        encoded = value.encode()
        if b"\0" in encoded:
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return encoded
    if isinstance(value, int | float):
        return repr(value).encode()
    raise TypeError(f"a value of type {type(value).__name__} can't be sent")


def _numbered(sql: str) -> bytes:
    """Return a statement of the driver's with PostgreSQL's own placeholders."""
    numbers = count(1)
    return _PLACEHOLDER.sub(lambda found: "%" if found[1] == "%" else f"${next(numbers)}", sql).encode()
