"""The one thread that writes, with its own connection. Jobs run in order; results are delivered on the event loop."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import sqlalchemy as sa

from wattspan.errors import StoreError
from wattspan.store.claim import Claim
from wattspan.store.engine import BEGINS, IN_PIPELINE, row_fault, terminate, translate_errors
from wattspan.store.journal.statements import Cursor

log = logging.getLogger(__name__)

CLOSE_S = 5.0
"""Seconds that shutdown waits for a database that does not respond."""

T = TypeVar("T")
Job = Callable[[], None]
Work = Callable[[Cursor], None]


class Writer:
    """Runs each job in a transaction: commits it, or rolls back and reports the error.

    Created on the event loop on which it reports. `close` ends the thread after the queued jobs.
    """

    def __init__(self, engine: sa.Engine, claim: Claim) -> None:
        self._engine = engine
        self._claim = claim
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._connection: sa.Connection | None = None
        self._is_row_fault = row_fault(engine)
        self._begin = BEGINS.get(engine.dialect.name)
        self._in_pipeline = IN_PIPELINE.get(engine.dialect.name)
        self._thread = threading.Thread(target=self._run, name="wattspan-store", daemon=True)
        self._thread.start()

    def write(self, work: Work, done: Callable[[Exception | None], None], *, otherwise: Work) -> None:
        """Run `work` in a transaction, then call `done(None)` once it is durable, or `done(error)`, on the event loop.

        If it fails because of a row, it is rolled back and `otherwise` runs instead. On PostgreSQL, the statements
        of `work` are sent together with the commit, so an error in them is raised when it reads or has ended.
        """
        self._jobs.put(
            lambda: self._report(lambda: self._transact_plainly(work, otherwise), lambda _none, error: done(error))
        )

    async def do(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction and return its result once it is durable. Cancellation does not undo it."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(lambda: self._report(lambda: self._transact(work), partial(_resolve, future)))
        return await future

    def after(self, job: Job) -> None:
        """Run `job`, which must not raise, without a transaction after the jobs before it."""
        self._jobs.put(job)

    async def outside(self, work: Callable[[Any], T]) -> T:
        """Run `work` with the driver's connection and no transaction, and return its result."""
        future: asyncio.Future[T] = self._loop.create_future()

        def run() -> T:
            with self._connected() as connection:
                return work(connection.connection.dbapi_connection)

        self._jobs.put(lambda: self._report(run, partial(_resolve, future)))
        return await future

    async def close(self) -> None:
        """End the thread after the queued jobs and close the connection, which is terminated after CLOSE_S."""
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
        """Run `work`, and have `done` called on the event loop with its result or error."""
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - reported to the caller; the thread must survive
            self._answer(done, None, error)
        else:
            self._answer(done, result, None)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """Yield the connection, opening it if necessary. After an error it is discarded, whatever its state."""
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
                if self._in_pipeline is None:
                    self._attempt(driver, work)
                else:
                    self._in_pipeline(driver, work)
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
            connection.invalidate()  # closed whatever its state: a pool would try to reuse it
            connection.close()
        except sa.exc.SQLAlchemyError:
            log.debug("closing a broken database connection failed", exc_info=True)
        self._engine.dispose()

    def _answer(
        self, done: Callable[[T | None, Exception | None], None], result: T | None, error: Exception | None
    ) -> None:
        try:
            self._loop.call_soon_threadsafe(done, result, error)
        except RuntimeError:  # the loop is closed, so no caller is waiting
            log.debug("a write ended after its event loop")


def _resolve(future: "asyncio.Future[T]", result: T | None, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]  # None only if T allows it
