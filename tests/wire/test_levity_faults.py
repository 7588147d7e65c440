"""The measured faults of Levity (requirements §2), each as the transcript that shows it. None may be ours."""

import pytest
from websockets.exceptions import InvalidStatus

from support.chargers import BOOT, START, energy, meter_values, stop


async def test_a_second_connection_of_the_same_identity_leaves_it_connected(csms):
    async with csms.charger("CP1") as old, csms.charger("CP1") as new:
        assert await old.closed() == 1008
        await csms.becomes(1, "ocpp_cp_disconnects_total", cp_id="CP1")
        assert await csms.metric("ocpp_cp_connected", cp_id="CP1") == 1
        assert await new.call("Heartbeat")
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")


async def test_a_repeated_start_is_one_transaction(csms):
    """OCPP 1.6 §4.8: a charger that saw no answer sends StartTransaction again, under a new message id."""
    async with csms.charger("CP1") as charger:
        first = await charger.call("StartTransaction", START)
        assert await charger.call("StartTransaction", START) == first
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    async with csms.charger("CP1") as charger:
        assert await charger.call("StartTransaction", START) == first
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert len(await csms.store.transactions()) == 1


@pytest.mark.parametrize("end", ["restart", "kill"])
async def test_a_repeated_start_is_one_transaction_even_across_a_restart_and_after_its_stop(csms, end):
    async def interrupt() -> None:
        if end == "restart":
            await csms.restart()
        else:
            await csms.kill()
            await csms.start()

    async with csms.charger("CP1") as charger:
        first = await charger.call("StartTransaction", START)
    await interrupt()
    async with csms.charger("CP1") as charger:
        assert await charger.call("StartTransaction", START) == first
        await charger.call("StopTransaction", stop(first["transactionId"]))
        assert await charger.call("StartTransaction", START) == first
        assert await csms.metric("ocpp_tx_active", cp_id="CP1", connector_id="1") == 0
    await interrupt()
    async with csms.charger("CP1") as charger:
        assert await charger.call("StartTransaction", START) == first
        second = await charger.call("StartTransaction", {**START, "timestamp": "2026-11-21T12:00:00Z"})
    assert second["transactionId"] != first["transactionId"]
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 2


@pytest.mark.parametrize("end", [None, "restart", "kill"])
async def test_a_repeated_stop_counts_its_energy_once(csms, end):
    async with csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        for _ in range(3):
            assert await charger.call("StopTransaction", stop(started["transactionId"])) == {}
    if end == "restart":
        await csms.restart()
    elif end == "kill":
        await csms.kill()
        await csms.start()
    async with csms.charger("CP1") as charger:
        assert await charger.call("StopTransaction", stop(started["transactionId"])) == {}
    assert await csms.lines("ocpp_cp_energy_total_wh") == [
        "# TYPE ocpp_cp_energy_total_wh counter",
        'ocpp_cp_energy_total_wh{cp_id="CP1"} 7500.0',
    ]


async def test_wh_at_the_outlet_and_kwh_at_the_inlet_in_one_message_give_no_negative_energy(csms):
    outlet = {"value": "27651034", "location": "Outlet", "unit": "Wh", "measurand": "Energy.Active.Import.Register"}
    inlet = {"value": "30513", "location": "Inlet", "unit": "kWh", "measurand": "Energy.Active.Import.Register"}
    async with csms.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", {**START, "meterStart": 27_650_000}))["transactionId"]
        for sampled in ((outlet, inlet), (inlet, outlet)):
            await charger.call("MeterValues", meter_values(tx, *sampled))
            assert await csms.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="1") == 1034
        await charger.call("StopTransaction", stop(tx, 27_652_000))
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 2000
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


@pytest.mark.parametrize("unlearnt", [0, -1])
async def test_a_transaction_id_never_learnt_loses_neither_readings_nor_energy(csms, unlearnt):
    async with csms.charger("CP1") as charger:
        await charger.call("StartTransaction", START)
        await charger.call("MeterValues", meter_values(unlearnt, energy(3000)))
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="1") == 2000
        for _ in range(2):
            assert await charger.call("StopTransaction", stop(unlearnt)) == {}
    assert await csms.metric("ocpp_tx_active", cp_id="CP1", connector_id="1") == 0
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_the_stop_of_a_transaction_nobody_started_keeps_its_energy_once(csms):
    def value(wh: int, context: str) -> dict[str, object]:
        return {"timestamp": "2026-11-21T10:00:00Z", "sampledValue": [{**energy(wh), "context": context}]}

    data = [value(100, "Transaction.Begin"), value(900, "Transaction.End")]
    async with csms.charger("CP1") as charger:
        for _ in range(2):
            assert await charger.call("StopTransaction", stop(-1, 900, transactionData=data)) == {}
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 800


async def test_connector_0_loses_no_message(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("MeterValues", meter_values(None, energy(3000), connector_id=0))
        tx = (await charger.call("StartTransaction", {**START, "connectorId": 0}))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, energy(3000), connector_id=0))
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="0") == 2000
        await charger.call("StopTransaction", stop(tx))
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_an_empty_value_loses_only_itself(csms):
    empty = {"value": "", "measurand": "Current.Import"}
    async with csms.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        assert await charger.call("MeterValues", meter_values(tx, empty, energy(3000))) == {}
        assert await charger.call("MeterValues", meter_values(tx)) == {}
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="1") == 2000


async def test_one_outage_that_ends_in_a_reboot_counts_once(make_csms):
    csms = await make_csms(plugins=[])
    async with csms.charger("CP1") as charger:
        await charger.call("StartTransaction", START)
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        assert await csms.metric("ocpp_cp_reconnect_during_tx_total", cp_id="CP1") == 1
        await charger.call("BootNotification", BOOT)
    assert await csms.metric("ocpp_cp_reconnect_during_tx_total", cp_id="CP1") == 1
    async with csms.charger("CP1"):
        assert await csms.metric("ocpp_cp_reconnect_during_tx_total", cp_id="CP1") == 2


async def test_not_anybody_may_connect_under_any_id(make_csms):
    csms = await make_csms(unknown_charge_points="refuse")
    with pytest.raises(InvalidStatus, match="404"):
        async with csms.charger("CP1"):
            pass
    assert [line for line in await csms.page() if "CP1" in line] == []
