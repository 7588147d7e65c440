"""The one thread that writes, with its own connection. Jobs run one after the other; answers come back on the loop."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import sqlalchemy as sa

from wattspan.errors import StoreError, StoreUnavailable
from wattspan.store.engine import BEGINS, border, name_of, row_faults
from wattspan.store.statements import Cursor

log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[], None]
Work = Callable[[Cursor], None]


class Writer:
    """Runs jobs inside a transaction each; commits, or rolls back and reports.

    Made on the event loop it answers on. `close` ends the thread after the jobs that wait already.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._connection: sa.Connection | None = None
        self._file = _File.of(engine.url)
        self._row_faults = row_faults(engine)
        self._begin = BEGINS.get(engine.dialect.name)
        self._thread = threading.Thread(target=self._run, name="wattspan-store", daemon=True)
        self._thread.start()

    def write(self, work: Work, done: Callable[[Exception | None], None], *, otherwise: Work) -> None:
        """Run `work` in a transaction; then, on the loop, `done(None)` once it is durable, or `done(error)`.

        Where it failed on what a row holds, nothing of it is left and `otherwise` is run instead.
        """
        self._jobs.put(
            lambda: self._report(lambda: self._transact_plainly(work, otherwise), lambda _none, error: done(error))
        )

    async def do(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction; what it returned, once durable. Cancelling the wait does not take it back."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only where T is

        self._jobs.put(lambda: self._report(lambda: self._transact(work), done))
        return await future

    async def close(self) -> None:
        """End the thread when the jobs that wait are done, and close the connection."""
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._disconnect()

    def _report(self, work: Callable[[], T], done: Callable[[T | None, Exception | None], None]) -> None:
        """Do `work`, and have `done` called on the loop with what came of it."""
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed over to whoever asked; the thread has to live on
            self._answer(done, None, error)
        else:
            self._answer(done, result, None)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """The connection, made when there is none; after an error it is thrown away, whatever state it is in."""
        try:
            with border(self._engine):
                self._file.check()
                if self._connection is None:
                    self._connection = self._engine.connect()
                    self._file.learn()
                yield self._connection
        except StoreError:
            self._disconnect()
            raise

    def _transact(self, work: Callable[[sa.Connection], T]) -> T:
        with self._connected() as connection, connection.begin():
            return work(connection)

    def _transact_plainly(self, work: Work, otherwise: Work) -> None:
        with self._connected() as connection:
            driver = connection.connection.dbapi_connection
            try:
                self._attempt(driver, work)
            except self._row_faults:
                self._attempt(driver, otherwise)

    def _attempt(self, driver: Any, work: Work) -> None:
        cursor = driver.cursor()
        try:
            if self._begin:
                cursor.execute(self._begin)
            work(cursor)
            driver.commit()
        except BaseException:
            driver.rollback()
            raise
        finally:
            cursor.close()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except sa.exc.SQLAlchemyError:
            log.debug("closing a broken database connection failed", exc_info=True)
        self._engine.dispose()

    def _answer(
        self, done: Callable[[T | None, Exception | None], None], result: T | None, error: Exception | None
    ) -> None:
        try:
            self._loop.call_soon_threadsafe(done, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.debug("a write ended after its event loop")


class _File:
    """The database's file. Were it removed or replaced, SQLite would go on writing into what nobody finds again."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._inode: int | None = None

    @classmethod
    def of(cls, url: sa.URL) -> "_File":
        return cls(Path(name_of(url)) if url.get_backend_name() == "sqlite" else None)

    def learn(self) -> None:
        """Remember which file it is, now that it is there."""
        if self._path is not None and self._inode is None:
            self._inode = self._path.stat().st_ino

    def check(self) -> None:
        """Raise StoreUnavailable unless the file is there still, and the one it always was."""
        if self._inode is None or self._path is None:
            return
        try:
            inode = os.stat(self._path).st_ino  # noqa: PTH116 - once a batch, and half the price of Path.stat
        except FileNotFoundError as error:
            raise StoreUnavailable(f"database {self._path} is gone; put the file back, or start again") from error
        if inode != self._inode:
            raise StoreUnavailable(f"database {self._path} was replaced by another file; start again to use it")
