"""PostgreSQL: readings in partitions by month, in new databases and in those of the release before."""

import asyncio
import subprocess
from datetime import UTC, datetime

import psycopg
import pytest
from alembic import command
from alembic.config import Config

from support import databases
from support.fleet_events import connected, metered, started
from support.postgres import programs
from support.sites import opened
from support.waiting import eventually
from wattspan.errors import StoreUnavailable
from wattspan.store import partitions
from wattspan.store.engine import make_engine, parse
from wattspan.store.partitions import Month
from wattspan.store.schema.migrate import SCRIPTS
from wattspan.store.store import Store


def month(number, year=2026):
    """Return the time at which a month begins."""
    return datetime(year, number, 1, tzinfo=UTC).timestamp()


NOW = month(9) + 20 * 86_400.0
"""In the month of `support.sites.NOW`, the store's clock."""


def placed(database):
    """Return the readings' energy registers by partition."""
    found = {}
    for table, wh in databases.query(
        database, "SELECT tableoid::regclass::text, register_wh FROM meter_readings ORDER BY id"
    ):
        found.setdefault(table.removeprefix("meter_readings_"), []).append(wh)
    return found


def bounds(database):
    engine = make_engine(parse(database), writes=False, busy_timeout_s=1.0)
    with engine.connect() as connection:
        found = partitions.partitions(connection)
    engine.dispose()
    return {name.removeprefix("meter_readings_"): until for name, until in found.items()}


async def received(site, *at):
    site.apply(connected(), *(metered(float(number), ts, transaction_id=None) for number, ts in enumerate(at, 1)))
    assert await site.commit() is None


@pytest.fixture
def database(postgres):
    return postgres.create()


@pytest.fixture
async def site(database):
    site = await opened(database)
    yield site
    await site.end()


@pytest.fixture
async def former(database):
    """A database of the release before, with readings of August and September; yields its URL."""
    engine = make_engine(parse(database), writes=True, busy_timeout_s=1.0)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0019")
        connection.exec_driver_sql("CREATE ROLE reporting")
        connection.exec_driver_sql("GRANT SELECT ON meter_readings TO reporting")
        insert_as_before(connection, 1.0, month(8))
        insert_as_before(connection, 2.0, NOW)
    engine.dispose()
    yield database
    databases.query(database, "DROP OWNED BY reporting; DROP ROLE reporting")


INSERT = (
    "INSERT INTO meter_readings (cp_id, connector_id, received_ts, register_wh, is_history, samples)"
    " VALUES ('CP1', '1', %s, %s, false, '[]')"
)


def insert_as_before(connection, register_wh, received_ts):
    connection.exec_driver_sql(INSERT, (received_ts, register_wh))


def test_months_follow_each_other():
    assert Month.of(NOW) == (2026, 9)
    assert Month(2026, 12).plus(1) == (2027, 1)
    assert Month(2026, 11).plus(14).partition == "meter_readings_2028_01"
    assert Month.of(Month(2026, 3).begin_ts) == (2026, 3)
    assert Month.of(Month(2026, 3).begin_ts - 1) == (2026, 2)


async def test_a_new_database_gets_this_month_and_the_next_two(site, database):
    assert bounds(database) == {"former": None}
    await site.store.partition_readings()
    expected = {"former": month(9), "2026_09": month(10), "2026_10": month(11), "2026_11": month(12), "default": None}
    assert bounds(database) == expected
    await site.store.partition_readings()
    assert bounds(database) == expected


async def test_readings_go_to_their_months_and_no_write_fails_for_want_of_one(site, database):
    await site.store.partition_readings()
    await received(site, month(1), NOW, month(11) + 1, month(12) + 1)
    assert placed(database) == {"former": [1.0], "2026_09": [2.0], "2026_11": [3.0], "default": [4.0]}


async def test_readings_that_waited_in_the_default_partition_move_to_their_month(site, database, monkeypatch):
    await site.store.partition_readings()
    await received(site, month(12) + 1, month(1, 2027))
    monkeypatch.setattr(partitions, "MONTHS_AHEAD", 4)
    await site.store.partition_readings()
    assert placed(database) == {"2026_12": [1.0], "2027_01": [2.0]}
    assert list(bounds(database)) == ["former", *(f"2026_{n:02}" for n in range(9, 13)), "2027_01", "default"]


async def test_a_month_of_which_too_much_is_in_the_default_partition_stays_there(site, database, monkeypatch):
    await site.store.partition_readings()
    await received(site, month(12) + 1, month(12) + 2)
    monkeypatch.setattr(partitions, "MONTHS_AHEAD", 4)
    monkeypatch.setattr(partitions, "MAX_MOVED", 1)
    await site.store.partition_readings()
    assert placed(database) == {"default": [1.0, 2.0]}
    assert "2026_12" not in bounds(database)
    assert "2027_01" in bounds(database)


async def test_retention_drops_whole_months_and_deletes_at_the_edge(site, database):
    await site.store.partition_readings()
    await received(site, month(8), month(9), month(9) + 1, month(10) + 1, month(10) + 9)
    assert await site.store.expire_readings(month(10) + 5, 1000) == 1
    assert placed(database) == {"2026_10": [5.0]}
    assert list(bounds(database)) == ["2026_10", "2026_11", "default"]
    await received(site, month(10) + 20)
    assert databases.query(database, "SELECT id FROM meter_readings ORDER BY id") == [(5,), (6,)]


async def test_a_partition_that_somebody_reads_is_dropped_the_next_time(site, database):
    await site.store.partition_readings()
    await received(site, month(9))
    with psycopg.connect(database) as reader:
        reader.execute("SELECT count(*) FROM meter_readings")
        with pytest.raises(StoreUnavailable, match="locked"):
            await site.store.expire_readings(month(10), 1000)
    assert await site.store.expire_readings(month(10), 1000) == 0
    assert placed(database) == {}


async def test_what_is_read_and_written_by_id_uses_an_index_in_every_partition(site, database):
    await site.store.partition_readings()
    for statement in (
        "SELECT * FROM meter_readings WHERE id > 5 AND id <= 9 AND transaction_number = 1 ORDER BY id",
        "SELECT max(id) FROM meter_readings",
        "UPDATE meter_readings SET samples = '' WHERE id = 7",
    ):
        plan = databases.query(database, f"SET enable_seqscan = off; EXPLAIN {statement}")
        assert not [line for (line,) in plan if "Seq Scan" in line], plan


# a database of the release before


async def test_former_readings_stay_and_their_ids_go_on(former):
    site = await opened(former)
    assert bounds(former) == {"former": None}
    await site.store.partition_readings()
    await received(site, NOW)
    assert placed(former) == {"former": [1.0, 2.0, 1.0]}
    assert bounds(former)["former"] == month(10)
    assert databases.query(former, "SELECT id FROM meter_readings ORDER BY id") == [(1,), (2,), (3,)]
    await site.end()


async def test_who_could_read_the_readings_still_can(former):
    await (await Store.open(former)).close()
    allowed = "SELECT has_table_privilege('reporting', 'meter_readings', 'SELECT')"
    assert databases.query(former, allowed) == [(True,)]


async def test_many_former_readings_are_proved_before_they_get_a_bound(former, monkeypatch):
    monkeypatch.setattr(partitions, "SMALL_BYTES", 0)
    site = await opened(former)
    proved = []
    prove = partitions.prove

    def write_meanwhile(connection):
        with psycopg.connect(former, autocommit=True) as other:
            other.execute(INSERT, (month(11) - 1, 3.0))
            with pytest.raises(psycopg.errors.CheckViolation):
                other.execute(INSERT, (month(11), 4.0))
        prove(connection)
        proved.append(bounds(former))

    monkeypatch.setattr(partitions, "prove", write_meanwhile)
    await site.store.partition_readings()
    assert proved == [{"former": None}]
    assert list(bounds(former)) == ["former", "2026_11", "default"]
    assert bounds(former)["former"] == month(11)
    await site.store.partition_readings()
    assert len(proved) == 1
    await received(site, month(12))
    assert placed(former) == {"former": [1.0, 2.0, 3.0], "default": [1.0]}
    await site.end()


async def test_a_proof_that_was_not_finished_in_time_is_of_a_later_month(former, monkeypatch):
    monkeypatch.setattr(partitions, "SMALL_BYTES", 0)
    store = await Store.open(former)
    assert await store.do(partitions.create_ahead, NOW)
    assert await store.do(partitions.create_ahead, month(10))
    with psycopg.connect(former, autocommit=True) as other:
        other.execute(INSERT, (month(12) - 1, 3.0))
    await store.close()


async def test_former_readings_of_the_future_are_not_read_again_and_again(former, monkeypatch):
    monkeypatch.setattr(partitions, "SMALL_BYTES", 0)
    with psycopg.connect(former, autocommit=True) as other:
        other.execute("UPDATE meter_readings SET received_ts = %s WHERE id = 2", (month(1, 2030),))
    site = await opened(former)
    with pytest.raises(StoreUnavailable, match="is violated by some row"):
        await site.store.partition_readings()
    monkeypatch.setattr(partitions, "prove", None)
    await site.store.partition_readings()
    await received(site, NOW)
    assert placed(former) == {"former": [1.0, 2.0, 1.0]}
    await site.end()


async def test_a_node_of_the_release_before_goes_on_beside_the_migration(former):
    """Its session has prepared its statements, as the driver does."""
    with psycopg.connect(former, autocommit=True, prepare_threshold=0) as older:
        older.execute(INSERT, (NOW, 3.0))
        older.execute("SELECT coalesce(max(id), 0) FROM meter_readings").fetchone()
        site = await opened(former)
        await site.store.partition_readings()
        older.execute(INSERT, (NOW, 4.0))
        older.execute(INSERT, (month(10) + 1, 5.0))
        assert older.execute("SELECT coalesce(max(id), 0) FROM meter_readings").fetchone() == (5,)
    assert placed(former) == {"former": [1.0, 2.0, 3.0, 4.0], "2026_10": [5.0]}
    await site.end()


async def test_the_migration_waits_for_a_reader_without_stopping_writers(former):
    with psycopg.connect(former) as reader, psycopg.connect(former, autocommit=True) as writer:
        reader.execute("SELECT count(*) FROM meter_readings")
        opening = asyncio.create_task(Store.open(former))
        await eventually(lambda: databases.query(former, WAITS) == [(1,)])
        for number in range(3):
            await asyncio.to_thread(writer.execute, INSERT, (NOW, 3.0 + number))
        assert not opening.done()
        reader.rollback()
        await (await opening).close()
    assert placed(former) == {"former": [1.0, 2.0, 3.0, 4.0, 5.0]}


WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"


async def test_a_transaction_finds_its_readings_across_the_end_of_a_month(site, database):
    await site.store.partition_readings()
    site.apply(connected(), started(at=month(10) - 60))
    site.apply(metered(1500.0, month(10) - 30), metered(1600.0, month(10) + 30))
    assert await site.commit() is None
    assert len(placed(database)) == 2
    (transaction,) = await site.store.transactions()
    assert [each.register_wh for each in await site.store.readings(transaction.number)] == [1500.0, 1600.0]


async def test_a_dump_has_the_partitions_and_the_restored_database_goes_on(site, database, postgres):
    await site.store.partition_readings()
    await received(site, month(1), NOW, month(12) + 1)
    found = (programs() / "initdb").resolve().parent  # not where only the server's programs are linked
    dump = subprocess.run([found / "pg_dump", "--dbname", database], check=True, capture_output=True).stdout  # noqa: ASYNC221
    restored = postgres.create()
    command = [found / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", restored]
    subprocess.run(command, check=True, input=dump, stdout=subprocess.DEVNULL)  # noqa: ASYNC221
    other = await opened(restored)
    await other.store.partition_readings()
    await received(other, NOW + 1)
    assert bounds(restored) == bounds(database)
    assert placed(restored) == {"former": [1.0], "2026_09": [2.0, 1.0], "default": [3.0]}
    assert databases.query(restored, "SELECT max(id) FROM meter_readings") == [(4,)]
    await other.end()
