"""The database's interface for other rooms: opening, restoring, queries, and the journal's writes. It contains no SQL.

Writes use one thread, reads a few others; the event loop is never blocked.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from wattspan.domain.device_model import Variable
from wattspan.domain.erased_token import ErasedToken
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import Transaction
from wattspan.errors import StoreUnavailable
from wattspan.store import partitions, postgresql, restore, sqlite, takeover
from wattspan.store.advisory_lock import AdvisoryLockClaim
from wattspan.store.claim import Claim, FileClaim
from wattspan.store.engine import BUSY_TIMEOUT_S, make_engine, name_of, parse, row_fault, terminate, translate_errors
from wattspan.store.journal.apply import PART, write_batch
from wattspan.store.journal.batch import Batch, readings_mark, release
from wattspan.store.journal.fence import fence
from wattspan.store.journal.isolate import Isolator
from wattspan.store.journal.statements import Cursor, Statements, statements_for
from wattspan.store.journal.writer import CLOSE_S, Writer
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.queries import device_model as device
from wattspan.store.queries import erasure as erasure_queries
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.queries import messages as message_queries
from wattspan.store.queries import reservations as reservation_queries
from wattspan.store.queries import transactions as transaction_queries
from wattspan.store.queries.device_model import StoredStream, StoredVariable
from wattspan.store.queries.transactions import TransactionFilter
from wattspan.store.records import IdTag, PendingSecret, Registration, Reservation, StoredReading
from wattspan.store.samples import Shapes
from wattspan.store.schema import tables as t
from wattspan.store.schema.migrate import migrate

__all__ = ["IdTag", "Registration", "Reservation", "Store", "StoredReading", "StoredStream", "StoredVariable"]

T = TypeVar("T")

READERS = 4
QUERY_TIMEOUT_S = 15.0
"""Seconds that a query may take, the wait for a reader thread included."""
SLICE_ROWS = 500
"""Old readings deleted in one transaction, which bounds how long a commit waits for it."""


class Store:
    """An open database. Created by `open` on the event loop that uses it."""

    def __init__(
        self,
        url: sa.URL,
        writes: sa.Engine,
        reads: sa.Engine,
        *,
        clock: Callable[[], float],
        node: str | None = None,
    ) -> None:
        self.name = name_of(url)
        self.node = node
        """The name of this node of a cluster; None: a server that is alone."""
        self.closed = False
        self._clock = clock
        self._reads = reads
        self._is_postgresql = writes.dialect.name == "postgresql"
        self._statements = statements_for(writes.dialect)
        self._shapes = Shapes()
        self._is_unprovable = False
        self._isolator = Isolator(self._statements, row_fault(writes), clock)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="wattspan-read")
        self._claim: Claim = AdvisoryLockClaim(self.name, node) if self._is_postgresql else FileClaim(Path(self.name))
        self._writer = Writer(writes, self._claim)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        node: str | None = None,
    ) -> "Store":
        """Open the database at `url` (a path or a database URL), create it if missing, and migrate its tables.

        `node`: the name of this node of a cluster, which needs PostgreSQL.

        Raises StoreUnusable or StoreUnavailable, with a message that says how to fix it.
        """
        parsed = parse(url)
        writes = make_engine(parsed, writes=True, busy_timeout_s=busy_timeout_s)
        reads = make_engine(parsed, writes=False, busy_timeout_s=busy_timeout_s)
        store = cls(parsed, writes, reads, clock=clock, node=node)
        try:
            await store._writer.do(store._prepare)
        except BaseException:
            await store.close()
            raise
        return store

    def _prepare(self, connection: sa.Connection) -> None:
        if self._is_postgresql:
            postgresql.prepare(connection, self.name)
        migrate(connection, self.name)
        _try_to_write(connection)
        self._shapes.load([(row.id, row.template) for row in connection.execute(sa.select(t.sample_shapes))])

    async def close(self) -> None:
        """Finish queued writes, then close every connection; those whose server hangs are terminated."""
        if self.closed:
            return
        self.closed = True
        await self._writer.close()
        ending = asyncio.get_running_loop().run_in_executor(None, self._readers.shutdown)
        _, waiting = await asyncio.wait((ending,), timeout=CLOSE_S)
        if waiting:
            terminate(self._reads)
        await ending
        self._reads.dispose()
        self._claim.release()

    async def claim(self) -> None:
        """Claim the database for this server until `close`. Raises StoreUnusable if another server has it."""
        await self._writer.do(self._take_claim)

    def _take_claim(self, connection: sa.Connection) -> None:
        self._claim.take(connection)
        if self.node is not None:
            takeover.prepare_node(connection, self.node)
        elif self._is_postgresql:
            takeover.end_cluster(connection)

    async def take(self, wanted: Mapping[str, takeover.Expected | None], *, creates: bool = True) -> takeover.Taken:
        """Make this node the owner of charge points, and return their state; see `takeover.take`. Raises StoreError."""
        if self.node is None:
            raise TypeError("this store was opened without the name of a node")
        return await self.do(partial(_take, self._statements, self.node, wanted, self._clock(), creates))

    async def restore(self, fleet: Fleet) -> None:
        """Fill an empty fleet with the stored charge points, counters, open transactions and current figures."""
        restored = await self._reading(_read_all)
        restored.put_into(fleet)
        fleet.changes.decommissioned.extend(await self.removed_charge_points())

    # used by the journal

    def write(self, batch: Batch, done: Callable[[Exception | None], None]) -> None:
        """Write and commit `batch`, then call `done(None)` on the event loop, or `done(error)` with nothing written."""

        def settle(error: Exception | None) -> None:
            self._shapes.settle(written=error is None)
            self._claim.settle(written=error is None)
            done(error)
            if error is None and len(batch.readings) > PART:
                self._writer.after(partial(release, batch.readings))

        self._writer.write(partial(self._write, batch), settle, otherwise=partial(self._write_isolated, batch))

    def _write(self, batch: Batch, cursor: Cursor) -> None:
        self._claim.require(cursor)
        write_batch(cursor, self._fenced(cursor, batch), self._statements, self._shapes, self._clock())

    def _fenced(self, cursor: Cursor, batch: Batch) -> Batch:
        if self.node is None:
            return batch
        batch.through_mark = readings_mark(self.node)
        return fence(cursor, batch, self.node)

    def _write_isolated(self, batch: Batch, cursor: Cursor) -> None:
        self._shapes.settle(written=False)
        if self._claim.admits(cursor):
            allowed = self._fenced(cursor, batch)
            write_batch(cursor, allowed, self._statements, self._shapes, self._clock(), self._isolator.run)

    # queries

    async def find_start(self, cp_id: str, key: str) -> Transaction | None:
        """Return the transaction that was started under `key`, open or not, or None."""
        return await self.read(transaction_queries.find_start, cp_id, key)

    async def find_stop(self, cp_id: str, transaction_id: str, key: str) -> Transaction | None:
        """Return the transaction that a stop names by id, or that was stored under that stop's key, or None."""
        return await self.read(transaction_queries.find_stop, cp_id, transaction_id, key)

    async def transactions(
        self, *, cp_id: str | None = None, before_number: int | None = None, limit: int = 100
    ) -> Sequence[Transaction]:
        """Return up to `limit` transactions, newest first."""
        return await self.read(
            transaction_queries.list_transactions, TransactionFilter(cp_id=cp_id), before_number, limit
        )

    async def readings(self, transaction_number: int) -> Sequence[StoredReading]:
        """Return all meter readings of a transaction in the order of arrival."""
        return await self.read(transaction_queries.readings, transaction_number)

    async def open_reservations(self, cp_id: str) -> Sequence[Reservation]:
        """Return the open reservations of a charge point."""
        return await self.read(reservation_queries.open_reservations, cp_id, self._clock())

    async def device_model(
        self,
        cp_id: str,
        *,
        component: str | None = None,
        variable: str | None = None,
        after: Variable | None = None,
        limit: int = 1000,
    ) -> Sequence[StoredVariable]:
        """Return variables of a 2.x charge point, by name; `after` is the last one of the previous page."""
        return await self.read(device.device_model, cp_id, component, variable, after, limit)

    async def event_streams(self, cp_id: str) -> Sequence[StoredStream]:
        """Return the periodic event streams of a 2.1 charge point."""
        return await self.read(device.event_streams, cp_id)

    # administration

    async def credential(self, cp_id: str) -> Registration | None:
        """Return the registration for an identity, ignoring letter case if that is unambiguous.

        None: unknown, or removed.
        """
        return await self.read(charge_point_queries.credential, cp_id)

    async def charge_points(self) -> Sequence[Registration]:
        """Return all charge points that were not removed."""
        return await self.read(charge_point_queries.registrations)

    async def is_rejected(self, cp_id: str) -> bool:
        """Return whether an operator rejected this unknown charge point."""
        return await self.read(charge_point_queries.is_rejected, cp_id)

    async def confirm_secret(self, cp_id: str, stored: str, until_ts: float) -> None:
        """Make the second secret, which the charge point has used, the first. The former expires at `until_ts`."""
        await self.do(charge_point_queries.confirm_secret, cp_id, stored, until_ts)

    async def set_profile(self, cp_id: str, former: int | None, values: Mapping[str, int | bool | None]) -> None:
        """Store what a connection proved about security profiles; `former`: the required one that it was judged by."""
        await self.do(charge_point_queries.set_profile, cp_id, former, values, self._clock())

    async def adopt_secret(self, cp_id: str, stored: str) -> None:
        """Make a pending secret, which the charge point has used, its own."""
        await self.do(charge_point_queries.adopt_secret, cp_id, stored, self._clock())

    async def end_pending_secrets(self, cp_id: str, ended: Sequence[PendingSecret]) -> None:
        """Delete pending secrets that the charge point did not take."""
        await self.do(
            charge_point_queries.change_pending_secrets,
            cp_id,
            lambda pending: tuple(each for each in pending if each not in ended),
            self._clock(),
        )

    async def add_charge_point(self, cp_id: str, secret: str | None, *, security_profile: int | None = None) -> bool:
        """Register a charge point, or replace its secret, which must be hashed. Return False if it was registered.

        `security_profile` None keeps the required profile.
        """
        return await self.do(charge_point_queries.register, cp_id, secret, self._clock(), security_profile)

    async def remove_charge_point(self, cp_id: str) -> bool:
        """Mark a charge point as removed; a running server reads `removed_charge_points`. Return False if unknown."""
        return await self.do(charge_point_queries.mark_removed, cp_id, self._clock())

    async def removed_charge_points(self) -> Sequence[str]:
        """Return charge points removed by any process that have not left the fleet (ChargePointDecommissioned)."""
        return await self.read(charge_point_queries.removed)

    async def id_tag(self, id_token: str) -> IdTag | None:
        """Return an id tag, ignoring letter case (OCPP 1.6 §7.28), or None."""
        return await self.read(id_tag_queries.id_tag, id_token)

    async def id_tags(self) -> Sequence[IdTag]:
        """Return all id tags."""
        return await self.read(id_tag_queries.all_id_tags)

    async def add_id_tag(self, tag: IdTag) -> None:
        """Add an id tag, or replace it."""
        await self.do(id_tag_queries.put_id_tag, tag)

    async def remove_id_tag(self, id_token: str) -> bool:
        """Delete an id tag. Return False if there was none."""
        return await self.do(id_tag_queries.remove_id_tag, id_token)

    async def expire_readings(self, before_ts: float, limit: int) -> int:
        """Delete up to `limit` readings received before `before_ts`, oldest first, and return how many.

        On PostgreSQL, months that end before are dropped first, which is not counted.
        """
        while self._is_postgresql and not self.closed and await self.do(partitions.drop_oldest, before_ts):
            pass
        deleted = 0
        while deleted < limit and not self.closed:
            rows = await self.do(transaction_queries.expire_readings, before_ts, min(SLICE_ROWS, limit - deleted))
            if not rows:
                break
            deleted += rows
        return deleted

    async def partition_readings(self) -> None:
        """Create partitions for the readings of this month and the next ones; see `partitions`. SQLite has none.

        Takes minutes if it is the first time on a large database; writes do not wait for it.
        """
        if not self._is_postgresql or not await self.do(partitions.create_ahead, self._clock()):
            return
        if self._is_unprovable:
            return
        try:
            await self._reading(partitions.prove)
        except StoreUnavailable as error:
            self._is_unprovable = isinstance(error.__cause__, sa.exc.IntegrityError)
            raise
        await self.do(partitions.create_ahead, self._clock())

    async def erase(self, token: ErasedToken) -> Mapping[str, int]:
        """Remove an id token from every table, and return the number of rows changed, by table.

        If it fails half-way, what was replaced stays so; call it again.
        """
        erased = {t.id_tags.name: int(await self.do(erasure_queries.remove, token.id_token))}
        for table in erasure_queries.tables():
            rows = 0
            for within in await self.read(erasure_queries.slices, table):
                found = await self.read(erasure_queries.find, table, token, within)
                for first in range(0, len(found), erasure_queries.BATCH_SIZE):
                    rows += await self.do(erasure_queries.apply, found[first : first + erasure_queries.BATCH_SIZE])
            erased[table.name] = erased.get(table.name, 0) + rows
        for within in await self.read(message_queries.spans):
            blocks = await self.read(message_queries.find_token, token, within)
            await self.do(message_queries.replace_lines, blocks)
        return erased

    async def compact(self, max_bytes: int | None = None) -> bool:
        """Rewrite the file of a SQLite database, so that nothing deleted is left in it. Nothing is written meanwhile.

        Return False if it is larger than `max_bytes` and was not rewritten, and for PostgreSQL, which has its own ways.
        """
        return not self._is_postgresql and await self._writer.outside(partial(sqlite.compact, max_bytes=max_bytes))

    async def ping(self) -> None:
        """Run an empty write transaction. Raises StoreError."""
        await self._writer.do(_try_to_write)

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run `work(connection, *arguments)` in one write transaction, which is rolled back if it raises."""
        return await self._writer.do(lambda connection: work(connection, *arguments))

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run `work(connection, *arguments)` on a read-only connection, off the event loop, and return its result.

        Raises StoreUnavailable after QUERY_TIMEOUT_S; the thread that hangs can't be ended.
        """
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                return await self._reading(work, *arguments)
        except TimeoutError as error:
            raise StoreUnavailable(f"database {self.name} did not answer within {QUERY_TIMEOUT_S:g} s") from error

    async def _reading(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._ask, work, arguments)

    def _ask(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        with translate_errors(self._reads), self._reads.begin() as connection:
            return work(connection, *arguments)


def _take(
    statements: Statements,
    node: str,
    wanted: Mapping[str, takeover.Expected | None],
    now_ts: float,
    creates: bool,
    connection: sa.Connection,
) -> takeover.Taken:
    return takeover.take(connection, statements, node, wanted, now_ts, creates=creates)


def _read_all(connection: sa.Connection) -> restore.Restored:
    if connection.dialect.name == "postgresql":
        postgresql.without_statement_timeout(connection)
    return restore.read(connection)


def _try_to_write(connection: sa.Connection) -> None:
    """Run a write that changes nothing: SQLite begins a transaction on a read-only file without an error."""
    connection.execute(sa.update(t.marks).where(sa.false()).values(value=t.marks.c.value))
