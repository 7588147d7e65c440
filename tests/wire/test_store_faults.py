"""A store that is down at run time: nothing is acknowledged that is not stored, and what is sent again counts once."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from support.chargers import START, energy, meter_values, stop
from support.waiting import eventually
from wattspan.errors import StoreUnusable
from wattspan.store.store import Store


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """SQLite itself waits 5 s for a lock; here that would only take time."""
    monkeypatch.setattr(Store, "open", partial(Store.open, busy_timeout_s=0.01))


@contextmanager
def locked(csms) -> Iterator[None]:
    """Another process holds the write lock, as a backup or a forgotten shell would."""
    other = sqlite3.connect(csms.store.name, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        other.close()


async def ready(csms) -> int:
    return (await csms.get("/readyz")).status_code


async def noticed(csms) -> None:
    """Wait until the central system knows that its store is down."""

    async def unready() -> bool:
        return await ready(csms) == 503

    await eventually(unready)


async def recovered(csms) -> None:
    async def is_ready() -> bool:
        return await ready(csms) == 200

    await eventually(is_ready)


async def test_an_answer_is_held_until_the_store_is_back(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        with locked(csms):
            start = await charger.send("StartTransaction", START)
            await noticed(csms)
            assert (await csms.get("/readyz")).text == "the store is not writable\n"
            assert await csms.metric("ocpp_store_waiting") == 1
            assert await csms.store.transactions() == []
            assert (await csms.get("/healthz")).status_code == 200
        tx = (await charger.answer_to(start))["transactionId"]
        assert charger.unread == []
        assert len(await csms.store.transactions()) == 1
        await recovered(csms)
        with locked(csms):
            sent = [
                await charger.send("MeterValues", meter_values(tx, energy(3000))),
                await charger.send("StopTransaction", stop(tx)),
            ]
            await noticed(csms)
        for message_id in sent:
            assert await charger.answer_to(message_id) == {}
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
    assert await csms.metric("ocpp_store_failures_total") >= 2


async def test_messages_that_carry_no_fact_are_answered_meanwhile(csms):
    async with csms.charger("CP1") as charger, csms.charger("CP2") as other:
        await csms.durable()
        with locked(csms):
            await other.send("StartTransaction", START)
            await noticed(csms)
            assert await charger.call("Heartbeat")
            assert (await charger.call("Authorize", {"idTag": "TAG1"}))["idTagInfo"]["status"] == "Accepted"


async def test_past_the_limit_the_connection_is_closed_unanswered_and_the_resend_counts_once(make_csms):
    csms = await make_csms(store_hold_s=0.05)
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        await csms.durable()
        with locked(csms):
            await charger.send("StartTransaction", START)
            assert await charger.closed() == 1013
            assert charger.unread == []
            async with csms.raw_charger() as refused:
                assert refused.status == 503
                assert int(refused.headers["retry-after"]) > 0
            assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="store") == 1
            assert await ready(csms) == 503
    await recovered(csms)
    async with csms.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        await csms.durable()
        with locked(csms):
            await charger.send("StopTransaction", stop(tx))
            assert await charger.closed() == 1013
    await recovered(csms)
    async with csms.charger("CP1") as charger:
        assert await charger.call("StopTransaction", stop(tx)) == {}
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
    await csms.restart()
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_what_was_never_acknowledged_may_be_lost_and_its_resend_still_counts_once(csms, monkeypatch):
    monkeypatch.setattr("wattspan.gateway.gateway.FINISH_S", 0.05)
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        with locked(csms):
            await charger.send("StartTransaction", START)
            await noticed(csms)
            await csms.kill()
        assert await charger.closed() == 1006
        assert charger.unread == []
    await csms.start()
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") in (0, None)
    async with csms.charger("CP1") as charger:
        assert (await charger.call("StartTransaction", START))["idTagInfo"]["status"] == "Accepted"
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1


async def test_a_full_disk_holds_answers_like_a_lock(csms):
    """SQLite's own page limit stands in for the disk."""
    connection = csms.store._writer
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        await csms.durable()
        raw = connection._connection.connection.dbapi_connection
        (pages,) = await asyncio.to_thread(lambda: raw.execute("PRAGMA page_count").fetchone())
        await asyncio.to_thread(raw.execute, f"PRAGMA max_page_count={pages}")
        sent = []
        data = [{"value": str(n), "measurand": f"Vendor.{n}"} for n in range(300)]
        while await ready(csms) == 200:
            sent.append(await charger.send("MeterValues", meter_values(None, *data)))
        for message_id in sent:
            assert await charger.answer_to(message_id) == {}
    await recovered(csms)


async def test_an_unreadable_store_closes_the_connection_rather_than_answer_with_an_error(csms, monkeypatch):
    """A CALLERROR would use up the charger's attempts; and what is unusable is no better than what is unavailable."""

    async def broken(*_args: object) -> None:
        raise StoreUnusable("database is corrupt")

    async with csms.charger("CP1") as charger:
        with monkeypatch.context() as patched:
            patched.setattr(csms.store, "id_tag", broken)
            await charger.send("StartTransaction", START)
            assert await charger.closed() == 1013
            assert charger.unread == []
            patched.setattr(csms.store, "credential", broken)
            async with csms.raw_charger() as refused:
                assert refused.status == 503
    async with csms.charger("CP1") as charger:
        assert (await charger.call("StartTransaction", START))["transactionId"] == 1


async def test_a_shutdown_with_the_store_down_ends(make_csms, monkeypatch):
    monkeypatch.setattr("wattspan.gateway.gateway.FINISH_S", 0.05)
    csms = await make_csms(store_hold_s=0.05)
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        with locked(csms):
            await charger.send("StartTransaction", START)
            await noticed(csms)
            await csms.stop()
        assert charger.unread == []
        assert await charger.closed() in (1001, 1013)
    await csms.start()
