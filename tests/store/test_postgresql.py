"""What only PostgreSQL can do to us: sessions that break, commits whose answer is lost, a server that goes or hangs."""

import asyncio
import os
import random
import signal
import string
from functools import partial

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.schema import CreateIndex

from support import databases
from support.fleet_events import NOW, connected, metered, started
from support.sites import opened
from support.waiting import eventually
from wattspan.domain import events as ev
from wattspan.errors import StoreUnavailable, StoreUnusable
from wattspan.store import advisory_lock, postgresql
from wattspan.store import store as store_module
from wattspan.store.engine import make_engine, parse
from wattspan.store.journal import writer
from wattspan.store.journal.journal import STALLED_S
from wattspan.store.pipeline import PipelineCursor
from wattspan.store.queries import fleet, users
from wattspan.store.records import User
from wattspan.store.schema.tables import metadata
from wattspan.store.store import Store


@pytest.fixture
def database(postgres):
    return postgres.empty()


@pytest.fixture
async def claimed(site):
    await site.store.claim()
    return site


def query(site, sql):
    return databases.query(site.path, sql)


def readings(site):
    return [wh for (wh,) in query(site, "SELECT register_wh FROM meter_readings ORDER BY id")]


async def refused(url, kind=StoreUnusable):
    with pytest.raises(kind) as caught:
        await (await Store.open(url)).close()
    text = str(caught.value)
    assert "\n" not in text
    return text


# opening


async def test_the_migrations_make_the_tables_that_the_code_knows(database):
    engine = make_engine(parse(database), writes=False, busy_timeout_s=1.0)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": _is_compared})
        assert compare_metadata(context, metadata) == []
        (made,) = connection.exec_driver_sql("SELECT indexdef FROM pg_indexes WHERE indexname = %s", (COLLATED,)).one()
    engine.dispose()
    (known,) = [index for index in metadata.tables["charge_points"].indexes if index.name == COLLATED]
    assert made.replace("public.", "").replace("USING btree ", "") == str(CreateIndex(known).compile(engine)).replace(
        "((", "("
    ).replace("))", ")")


COLLATED = "ix_charge_points_bytes"
"""Alembic does not see a collation."""


def _is_compared(_object, name, kind, _reflected, _compared):
    return name != COLLATED if kind == "index" else not name.startswith("meter_readings_")


async def test_servers_that_meet_on_a_new_database_make_its_tables_once(postgres):
    url = postgres.create()
    for store in await asyncio.gather(*(Store.open(url) for _ in range(3))):
        await store.close()
    assert databases.query(url, "SELECT count(*) FROM alembic_version") == [(1,)]


@pytest.mark.parametrize("writes", [True, False])
def test_every_session_is_durable_and_bounded(database, writes):
    engine = make_engine(parse(database), writes=writes, busy_timeout_s=1.0)
    with engine.connect() as connection:

        def shown(name):
            return connection.exec_driver_sql(f"SHOW {name}").scalar_one()

        assert (shown("fsync"), shown("synchronous_commit")) == ("on", "on")
        assert (shown("statement_timeout"), shown("lock_timeout")) == ("10s", "1s")
        assert shown("tcp_user_timeout") == "15000"
        assert shown("client_encoding") == "UTF8"
        assert shown("application_name") == "wattspan"
        assert shown("transaction_read_only") == ("off" if writes else "on")
    engine.dispose()


def test_a_user_whose_default_is_not_to_wait_for_the_disk_waits_all_the_same(database):
    for asked, expected in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
        engine = make_engine(
            parse(f"{database}?options=-csynchronous_commit%3D{asked}"), writes=True, busy_timeout_s=1.0
        )
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == expected
        engine.dispose()


async def test_nodes_that_start_together_add_the_first_user_once(site):
    admin = User(name="admin", role=users.ADMIN, password="hash", created_ts=NOW)
    columns = "user_key, name, role, password, created_ts, disabled"
    engine = make_engine(parse(site.path), writes=True, busy_timeout_s=20.0)

    def add():
        with engine.begin() as connection:
            return users.add_first_user(connection, admin)

    with psycopg.connect(site.path) as other:
        other.execute(f"INSERT INTO users ({columns}) VALUES ('admin', 'Admin', 'admin', '', 0, false)")  # noqa: S608
        adding = asyncio.create_task(asyncio.to_thread(add))
        await eventually(lambda: query(site, "SELECT 1 FROM pg_locks WHERE NOT granted"))
    assert await adding is False
    assert query(site, "SELECT name FROM users") == [("Admin",)]
    query(site, "DELETE FROM users")
    assert add() is True
    assert add() is False
    engine.dispose()


async def test_what_keeps_a_database_from_being_used_is_told_in_a_line(postgres, database):
    host = database.rpartition("/")[0]
    assert "create it" in await refused(f"{host}/nowhere")
    assert "refuses the user" in await refused(database.replace("wattspan@", "stranger:topsecret@"))
    assert "write postgresql:// alone" in await refused(database.replace("://", "+asyncpg://"))
    gone = "postgresql://me:topsecret@127.0.0.1:1/fleet?password=topsecret"
    text = await refused(gone, StoreUnavailable)
    assert "topsecret" not in text
    assert "postgresql://me:***@127.0.0.1:1/fleet" in text
    strange = postgres.create()
    databases.query(strange, "CREATE TABLE charge_points (id integer)")
    assert "not Wattspan's" in await refused(strange)
    postgres.query("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    assert "create it with encoding UTF8" in await refused(f"{host}/latin")


async def test_a_newer_release_made_it(postgres):
    url = postgres.create()
    await (await Store.open(url)).close()
    databases.query(url, "UPDATE alembic_version SET version_num = '9999'")
    assert "made by a newer Wattspan" in await refused(url)


# the session of the writer


def end_sessions(site):
    """As an administrator, a failing network or a restart would."""
    query(site, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wattspan'")


async def test_a_session_that_broke_is_replaced_and_nothing_is_written_twice(claimed):
    for number in range(3):
        claimed.apply(connected(), metered(float(number), NOW, transaction_id=None))
        assert await claimed.commit() is None
        end_sessions(claimed)
        assert await claimed.store.find_start("CP1", "none") is None
    assert readings(claimed) == [0.0, 1.0, 2.0]
    assert claimed.counters.store_failures >= 2


async def test_a_batch_whose_commit_went_through_though_its_answer_was_lost_is_written_once(claimed, monkeypatch):
    claimed.apply(connected(), started())
    assert await claimed.commit() is None
    security_event = ev.SecurityEventReported(cp_id="CP1", received_ts=NOW, charger_ts=None, type="T", tech_info="")
    end, lost = PipelineCursor.close, []

    def end_and_break(cursor):
        end(cursor)
        if not lost:
            lost.append(cursor)
            cursor._connection.close()
            raise psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr(PipelineCursor, "close", end_and_break)
        claimed.apply(metered(1500.0, NOW), security_event)
        assert await claimed.commit() is None
    assert (len(lost), claimed.counters.store_failures) == (1, 1)
    claimed.apply(metered(1600.0, NOW + 1))
    assert await claimed.commit() is None
    assert readings(claimed) == [1500.0, 1600.0]
    assert query(claimed, "SELECT count(*) FROM security_events") == [(1,)]


async def test_a_batch_whose_commit_failed_is_written_again(claimed, monkeypatch):
    execute, failed = PipelineCursor.execute, []

    def commit_but_once(cursor, sql, *parameters):
        if sql == "COMMIT" and not failed:
            failed.append(cursor)
            cursor._connection.close()
        execute(cursor, sql, *parameters)

    claimed.apply(connected(), metered(1.0, NOW, transaction_id=None))
    with monkeypatch.context() as patched:
        patched.setattr(PipelineCursor, "execute", commit_but_once)
        assert await claimed.commit() is None
    assert (len(failed), readings(claimed)) == (1, [1.0])


async def test_who_finds_that_another_server_wrote_meanwhile_writes_nothing(claimed, database):
    claimed.apply(connected(), metered(1.0, NOW, transaction_id=None))
    assert await claimed.commit() is None
    end_sessions(claimed)
    other = await opened(database)
    await other.store.claim()
    other.apply(metered(5.0, NOW, transaction_id=None))
    assert await other.commit() is None
    claimed.apply(metered(2.0, NOW, transaction_id=None))
    claimed.ask()
    await eventually(lambda: claimed.counters.store_failures > 1)
    assert claimed.told == []
    await other.end()
    with pytest.raises(StoreUnusable, match="was written by another Wattspan server; start this one again"):
        await write_nothing(claimed)
    assert readings(claimed) == [1.0, 5.0]


async def write_nothing(site):
    """An attempt like a batch's, and what came of it."""
    future = asyncio.get_running_loop().create_future()

    def done(error):
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    work = site.store._claim.admits
    site.store._writer.write(work, done, otherwise=work)
    await future


async def test_a_server_that_was_killed_is_waited_for(claimed, database, monkeypatch):
    """Its session ends when the statement does that it was at."""
    monkeypatch.setattr(advisory_lock, "TAKE_S", 10.0)
    other = await Store.open(database)
    waiting = asyncio.ensure_future(other.claim())
    await eventually(lambda: query(claimed, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
    assert not waiting.done()
    await claimed.end()
    await waiting
    await other.close()


# rows that PostgreSQL does not take


async def test_a_value_that_fits_no_index_is_set_aside_and_the_rest_goes_on(site):
    """SQLite takes it; in PostgreSQL an index row ends at some 2,700 bytes."""
    long = "".join(random.Random(0).choices(string.ascii_letters, k=9000))
    site.apply(connected(), connected("CP2"), started(), metered(1500.0, NOW))
    site.fleet.charge_points["CP1"].transactions["1"].key = long
    assert await site.commit() is None
    assert query(site, "SELECT table_name, mended FROM unwritable") == [("transactions", False)]
    assert query(site, "SELECT count(*) FROM charge_points") == [(2,)]
    assert readings(site) == [1500.0]


async def test_a_value_of_another_type_is_set_aside_and_the_rest_goes_on(site):
    site.apply(connected(), connected("CP2"))
    site.fleet.charge_points["CP1"].boots = "many"
    site.fleet.charge_points["CP2"].boots = 2
    assert await site.commit() is None
    assert query(site, "SELECT cp_id, boots FROM charge_points") == [("CP2", 2)]
    assert query(site, "SELECT table_name FROM unwritable") == [("charge_points",)]


async def test_a_text_with_nul_is_written_without_it(site):
    site.apply(connected(), ev.ChargePointBooted(cp_id="CP1", received_ts=NOW, vendor="Vo\0lt"))
    assert await site.commit() is None
    assert query(site, "SELECT vendor FROM charge_points") == [("Volt",)]


async def test_a_table_that_is_gone_is_no_fault_of_the_rows(site):
    """They are held until somebody puts it right, instead of being set aside one by one."""
    site.apply(connected())
    assert await site.commit() is None
    query(site, "ALTER TABLE meter_readings RENAME TO elsewhere")
    site.apply(metered(1.0, NOW, transaction_id=None))
    site.ask()
    await eventually(lambda: site.counters.store_failures > 1)
    assert site.told == []
    query(site, "ALTER TABLE elsewhere RENAME TO meter_readings")
    await eventually(lambda: site.told)
    assert (site.told, readings(site)) == ([None], [1.0])
    assert query(site, "SELECT count(*) FROM unwritable") == [(0,)]


async def test_a_reservation_that_is_told_over_and_over_in_one_batch_is_there_once(site):
    made = partial(
        ev.ReservationMade, cp_id="CP1", received_ts=NOW, reservation_id=1, id_token="T", parent_id_token=None
    )
    site.apply(connected(), *(made(connector_id=str(n), expires_ts=NOW + 60) for n in range(20)))
    assert await site.commit() is None
    assert [found.connector_id for found in await site.store.open_reservations("CP1")] == ["19"]


# the server itself


async def test_a_server_that_goes_and_comes_back_is_waited_for(claimed, postgres):
    claimed.apply(connected(), metered(1.0, NOW, transaction_id=None))
    assert await claimed.commit() is None
    for number, mode in enumerate(("fast", "immediate"), 2):
        await asyncio.to_thread(postgres.stop, mode=mode)
        claimed.told.clear()
        claimed.apply(metered(float(number), NOW, transaction_id=None))
        claimed.ask()
        await eventually(lambda: not claimed.journal.available)
        with pytest.raises(StoreUnavailable):
            await claimed.store.credential("CP1")
        assert claimed.told == []
        await asyncio.to_thread(postgres.start)
        await eventually(lambda: claimed.told, within_s=30)
        assert (await claimed.store.credential("CP1")).cp_id == "CP1"
        assert claimed.journal.available
    assert readings(claimed) == [1.0, 2.0, 3.0]


async def test_a_server_that_hangs_is_unavailable_until_it_answers(claimed, postgres, monkeypatch):
    monkeypatch.setattr(store_module, "QUERY_TIMEOUT_S", 0.05)
    claimed.apply(connected())
    assert await claimed.commit() is None
    stopped = postgres.pids()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        claimed.apply(metered(1.0, NOW, transaction_id=None))
        claimed.ask()
        await asyncio.sleep(0)  # the batch leaves
        claimed.clock.now += STALLED_S + 1
        claimed.journal.tick()
        assert not claimed.journal.available
        with pytest.raises(StoreUnavailable, match="did not answer"):
            await claimed.store.credential("CP1")
        claimed.clock.now += 31
        claimed.journal.tick()
        assert [type(told) for told in claimed.told] == [StoreUnavailable]
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    await eventually(lambda: claimed.journal.available)
    assert readings(claimed) == [1.0]


async def test_a_store_closes_though_the_server_hangs(open_site, postgres, monkeypatch):
    monkeypatch.setattr(writer, "CLOSE_S", 0.05)
    monkeypatch.setattr(store_module, "CLOSE_S", 0.05)
    monkeypatch.setitem(postgresql._CONNECT, "connect_timeout", 2)
    site = await open_site()
    site.apply(connected())
    assert await site.commit() is None
    monkeypatch.setattr(store_module, "QUERY_TIMEOUT_S", 0.05)
    stopped = postgres.pids()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        site.apply(metered(1.0, NOW, transaction_id=None))
        site.ask()
        with pytest.raises(StoreUnavailable):
            await site.store.credential("CP1")
        await site.end()
        assert site.told == []
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


async def test_a_lock_that_somebody_forgot_is_missed_by_the_second(site):
    unlock = databases.lock(site.path)
    site.apply(connected())
    site.ask()
    await eventually(lambda: site.counters.store_failures)
    unlock()
    await eventually(lambda: site.told)
    assert site.told == [None]


# what is read


@pytest.mark.parametrize("after", ["", "CP10000", "CP19900"])
async def test_a_page_of_the_whole_fleets_list_reads_its_rows_by_an_index(postgres, after):
    url = postgres.create()
    await (await Store.open(url)).close()
    databases.query(url, MANY_CHARGE_POINTS)
    databases.query(url, MANY_TRANSACTIONS)
    databases.query(url, "ANALYZE")
    engine, plans = make_engine(parse(url), writes=False, busy_timeout_s=1.0), []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def explain(_connection, cursor, statement, parameters, _context, _many):
        cursor.execute(f"EXPLAIN {statement}", parameters)
        plans.append("\n".join(line for (line,) in cursor.fetchall()))

    with engine.connect() as connection:
        found = fleet.list_charge_points(connection, fleet.StoredFilter(after=after), "north", 50)
    engine.dispose()
    assert len(found) == 50
    assert [len(each.charge_point.transactions) for each in found] == [1] * 50
    charge_points, transactions, _ = plans
    assert "Index Scan using ix_charge_points_bytes" in charge_points
    assert "Sort" not in charge_points
    assert "ix_transactions_open_cp_id" in transactions


MANY_CHARGE_POINTS = """
    INSERT INTO charge_points (cp_id, known_since_ts, owner)
    SELECT 'CP' || lpad(n::text, 5, '0'), 1, 'south' FROM generate_series(1, 20000) n
"""
MANY_TRANSACTIONS = """
    INSERT INTO transactions (number, cp_id, connector_id, transaction_id, key, id_token, start_wh, energy_wh,
        started_received_ts, stopped_received_ts, reason, story, trace_id, span_id, readings_from, readings_through)
    SELECT n, 'CP' || lpad((1 + n % 20000)::text, 5, '0'), '1', n::text, n::text, 'T', 0, 0, 1,
        CASE WHEN n > 20000 THEN 2 END, '', '[]', '0', '0', 0, 0
    FROM generate_series(1, 40000) n
"""
