"""The one thread that writes, with its own connection. Jobs run one after the other; answers come back on the loop."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

import sqlalchemy as sa

from wattspan.errors import StoreError
from wattspan.store.claim import Claim
from wattspan.store.engine import BEGINS, row_fault, terminate, translate_errors
from wattspan.store.journal.statements import Cursor

log = logging.getLogger(__name__)

CLOSE_S = 5.0
"""How long the end of a server waits for a database that says nothing."""

T = TypeVar("T")
Job = Callable[[], None]
Work = Callable[[Cursor], None]


class Writer:
    """Runs jobs inside a transaction each; commits, or rolls back and reports.

    Made on the event loop it answers on. `close` ends the thread after the jobs that wait already.
    """

    def __init__(self, engine: sa.Engine, claim: Claim) -> None:
        self._engine = engine
        self._claim = claim
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._connection: sa.Connection | None = None
        self._is_row_fault = row_fault(engine)
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
        """End the thread when the jobs that wait are done, and close the connection; it is cut after CLOSE_S."""
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join, CLOSE_S)
        if self._thread.is_alive():
            terminate(self._engine)
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
            with translate_errors(self._engine):
                self._claim.check()
                if self._connection is None:
                    self._connection = self._engine.connect()
                    self._claim.connected(self._connection)
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
            except Exception as fault:
                if not self._is_row_fault(fault):
                    raise
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
            connection.invalidate()  # closed for good, whatever state it is in: a pool would try to mend it
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
