"""A central system on PostgreSQL, as on SQLite: a whole session over a socket, restarts, and a server that goes."""

import asyncio

import pytest

from support.central import Csms
from support.chargers import START, energy, meter_values, stop
from support.waiting import eventually


@pytest.fixture
async def csms(postgres, tmp_path):
    csms = Csms(tmp_path / "fleet.db", url=postgres.empty(), store_hold_s=0.05)
    await csms.start()
    yield csms
    await csms.stop()


async def becomes_ready(csms, ready) -> None:
    async def is_so() -> bool:
        return ((await csms.get("/readyz")).status_code == 200) is ready

    await eventually(is_so, within_s=30)


async def test_a_session_is_told_stored_and_shown_again_after_a_restart_and_a_kill(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        assert (await charger.call("StartTransaction", START))["transactionId"] == tx
        assert await charger.call("MeterValues", meter_values(tx, energy(3000))) == {}
    await csms.restart()
    assert await csms.metric("ocpp_tx_active", cp_id="CP1", connector_id="1") == 1
    async with csms.charger("CP1") as charger:
        assert await charger.call("StopTransaction", stop(tx)) == {}
        assert await charger.call("StopTransaction", stop(tx)) == {}
    await csms.kill()
    await csms.start()
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert await csms.metric("ocpp_cp_boots_total", cp_id="CP1") == 1
    assert len(await csms.store.transactions()) == 1
    assert len(await csms.store.readings(1)) == 1


async def test_while_the_database_is_gone_nothing_is_answered_and_nobody_let_in_and_then_all_goes_on(csms, postgres):
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        await csms.durable()
        await asyncio.to_thread(postgres.stop)
        try:
            await charger.send("StartTransaction", START)
            assert await charger.closed() == 1013
            assert charger.unread == []
            async with csms.raw_charger() as refused:
                assert refused.status == 503
                assert int(refused.headers["retry-after"]) > 0
            await becomes_ready(csms, False)
        finally:
            await asyncio.to_thread(postgres.start)

    await becomes_ready(csms, True)
    async with csms.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        assert await charger.call("StopTransaction", stop(tx)) == {}
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_a_second_central_system_on_one_database_does_not_start(csms, tmp_path, monkeypatch):
    monkeypatch.setattr("wattspan.store.advisory_lock.TAKE_S", 0.05)
    second = Csms(tmp_path / "fleet.db", url=csms.store.name)
    with pytest.raises(Exception, match="in use by another Wattspan server"):
        await second.start()
