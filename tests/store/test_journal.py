import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from support.databases import lock, query
from support.fleet_events import NOW, connected, metered, started, stopped
from wattspan.errors import StoreUnavailable
from wattspan.store.journal.batch import MAX_STALE
from wattspan.store.journal.journal import STALE_S

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def rows(site, table="meter_readings"):
    return query(site.path, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens on another thread
            await asyncio.sleep(0.001)


async def test_whoever_is_told_finds_it_written(site):
    site.apply(connected(), started(), metered(2000.0, NOW))
    assert await site.commit() is None
    assert (rows(site), rows(site, "transactions")) == (1, 1)


async def test_what_comes_while_a_batch_is_in_flight_makes_one_more_batch(site):
    taken = []
    site.journal._on_commit = taken.append  # the port is a constructor argument; here it is counted late
    site.apply(connected())
    site.ask()
    await asyncio.sleep(0)  # the first batch leaves
    for n in range(50):
        site.apply(metered(2000.0 + n, NOW + n, transaction_id=None))
        site.ask()
    assert site.journal.waiting == site.counters.store_waiting == 51
    await until(lambda: len(site.told) == 51)
    assert (len(taken), rows(site), site.counters.store_waiting) == (2, 50, 0)


async def test_each_batch_is_timed_although_the_next_one_leaves_first(site):
    seconds = []
    site.journal._on_commit = seconds.append
    site.apply(connected())
    site.ask()
    await asyncio.sleep(0)  # the first batch leaves
    site.apply(metered(2000.0, NOW, transaction_id=None))
    site.ask()
    site.clock.now += 3
    await until(lambda: len(site.told) == 2)
    assert seconds == [3, 0]


async def test_with_nothing_to_write_it_is_told_at_once(site):
    site.ask()
    assert site.told == [None]


async def test_an_answer_never_overtakes_the_fact_it_repeats(site):
    """A repeated start changes nothing, yet its answer must wait for the first one's commit."""
    site.apply(connected(), started())
    site.ask()
    await asyncio.sleep(0)
    site.apply(started())
    site.ask()
    assert site.told == []
    await until(lambda: len(site.told) == 2)
    assert rows(site, "transactions") == 1


async def test_sessions_whose_starts_have_the_same_content_are_written_in_one_batch(site):
    site.apply(connected())
    for number in ("1", "2", "3"):
        begin = replace(started(transaction_id=number), key="start of all", started_ts=None)
        site.apply(begin, replace(stopped(transaction_id=number), stopped_ts=None))
    assert await site.commit() is None
    assert rows(site, "transactions") == 3
    assert rows(site, "unwritable") == 0
    newest = await site.store.find_start("CP1", "start of all")
    assert newest is not None
    assert newest.transaction_id == "3"


async def test_a_locked_database_holds_then_refuses_and_still_writes_everything_later(site):
    unlock = lock(site.path)
    site.apply(connected(), metered(1.0, NOW, transaction_id=None))
    site.ask()
    await until(lambda: site.counters.store_failures > 2)
    assert not site.journal.available
    site.apply(metered(2.0, NOW, transaction_id=None))
    site.clock.now += 29
    site.ask()
    site.journal.tick()
    assert site.told == []
    site.clock.now += 2
    site.journal.tick()
    assert [type(told) for told in site.told] == [StoreUnavailable]
    assert rows(site) == 0
    unlock()
    await until(lambda: len(site.told) == 2)
    assert site.told[1] is None
    assert site.journal.available
    assert site.journal.waiting == 0
    assert rows(site) == 2


@SQLITE
async def test_a_full_disk_is_waited_out(site):
    def limit(pages):
        return lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar_one()

    used = await site.store.do(limit(1))
    site.apply(connected())
    for n in range(400):
        site.apply(metered(float(n), NOW + n, transaction_id=None))
    # The limit belongs to the connection, and a failed one is replaced: keep this one.
    site.store._writer._disconnect = lambda: None
    site.ask()
    await until(lambda: site.counters.store_failures > 1)
    assert (site.told, rows(site)) == ([], 0)
    await site.store.do(limit(used + 1000))
    await until(lambda: site.told)
    assert (site.told, rows(site)) == ([None], 400)
    del site.store._writer._disconnect


@SQLITE
async def test_a_database_that_is_moved_away_is_missed_before_anything_is_acknowledged(site):
    site.apply(connected())
    assert await site.commit() is None
    aside = f"{site.path}.aside"
    Path(site.path).rename(aside)  # noqa: ASYNC240 - a rename on a local disk
    site.apply(metered(1.0, NOW, transaction_id=None))
    site.ask()
    await until(lambda: site.counters.store_failures > 0)
    assert site.told == []
    Path(aside).rename(site.path)  # noqa: ASYNC240
    await until(lambda: site.told)
    assert (site.told, rows(site)) == ([None], 1)


async def test_flush_says_when_the_store_is_down(site):
    unlock = lock(site.path)
    site.apply(connected())
    flushed = asyncio.ensure_future(site.journal.flush())
    await until(lambda: site.counters.store_failures > 0)
    site.clock.now += 31
    site.journal.tick()
    assert isinstance((await asyncio.gather(flushed, return_exceptions=True))[0], StoreUnavailable)
    unlock()
    await until(lambda: site.journal.available)


async def test_stale_figures_are_written_by_the_tick(site):
    site.apply(connected(), metered(2000.0, NOW, transaction_id=None))
    await site.commit()
    site.apply(metered(3000.0, NOW + 1, transaction_id=None, current_a=9.0))
    await site.commit()
    site.journal.tick()
    await until(lambda: not site.journal._batch and not site.fleet.changes.stale_connectors)
    assert query(site.path, "SELECT current_a FROM connectors") == [(9.0,)]
    assert STALE_S == 1.0


async def test_a_fleet_that_was_all_heard_within_a_second_is_flushed_in_parts(site, monkeypatch):
    """The rows of thousands, made in one go, would stop the loop."""
    batches = []
    write = site.store.write
    monkeypatch.setattr(site.store, "write", lambda batch, done: (batches.append(batch), write(batch, done)))
    ids = [f"CP{n:04}" for n in range(3 * MAX_STALE)]
    site.apply(*(connected(cp_id) for cp_id in ids))
    site.apply(*(metered(2000.0, NOW, cp_id, transaction_id=None) for cp_id in ids))
    await site.journal.flush()
    site.apply(*(metered(3000.0, NOW + 1, cp_id, transaction_id=None, current_a=9.0) for cp_id in ids))
    await site.commit()
    batches.clear()
    site.journal.tick()
    await until(lambda: not site.journal._due and site.journal._batch is None)
    assert [len(batch.connectors) for batch in batches] == [MAX_STALE] * 3
    assert [len(batch.charge_points) for batch in batches] == [MAX_STALE] * 3
    assert rows(site, "connectors WHERE current_a = 9.0") == len(ids)


async def test_one_who_fails_when_told_does_not_harm_the_next(site, caplog):
    def fail(_error):
        raise KeyError("whoever")

    site.apply(connected())
    site.journal.commit(fail)
    site.ask()
    await until(lambda: site.told)
    assert "a callback after a commit failed" in caplog.text
