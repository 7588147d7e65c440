"""Each metric of the catalogue through its whole life, by the raw lines of the page, types included."""

import time

import pytest
from ocpp.v16 import call

from support.chargers import BOOT, START, energy, meter_values, status, stop
from support.lines import AT, CP, of, typed
from wattspan.errors import CommandTimeout


async def test_the_central_system_is_up_and_its_process_is_told(csms):
    assert await csms.lines("ocpp_central_up") == ["# TYPE ocpp_central_up gauge", "ocpp_central_up 1"]
    told = await csms.lines("process_[a-z_]+")
    assert [line for line in told if line.startswith("#")] == [
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE process_virtual_memory_bytes gauge",
        "# TYPE process_cpu_seconds_total counter",
        "# TYPE process_open_fds gauge",
        "# TYPE process_max_fds gauge",
        "# TYPE process_start_time_seconds gauge",
    ]
    assert await csms.metric("process_resident_memory_bytes") > 10_000_000


async def test_nobody_known_means_no_series_of_a_charge_point(csms):
    assert [line for line in await csms.page() if "cp_id=" in line] == []


async def test_counters_of_a_known_charge_point_exist_from_0(csms):
    async with csms.charger("CP1"):
        for name in (
            "ocpp_cp_disconnects_total",
            "ocpp_cp_boots_total",
            "ocpp_cp_reconnect_during_tx_total",
            "ocpp_tx_total",
            "ocpp_energy_jump_total",
        ):
            assert await csms.lines(name) == of(name, "counter", 0)
        assert await csms.lines("ocpp_cp_energy_total_wh") == of("ocpp_cp_energy_total_wh", "counter", 0.0)


async def test_connected_and_disconnects(csms):
    async with csms.charger("CP1"):
        assert await csms.lines("ocpp_cp_connected") == of("ocpp_cp_connected", "gauge", 1)
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    assert await csms.lines("ocpp_cp_disconnects_total") == of("ocpp_cp_disconnects_total", "counter", 1)
    async with csms.charger("CP1") as charger:
        assert await csms.metric("ocpp_cp_connected", cp_id="CP1") == 1
        charger.vanish()
        await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    assert await csms.lines("ocpp_cp_disconnects_total") == of("ocpp_cp_disconnects_total", "counter", 2)


async def test_last_message_is_moved_by_the_connect_and_by_every_message(csms):
    before = time.time()
    async with csms.charger("CP1") as charger:
        connected = await csms.metric("ocpp_cp_last_msg_ts", cp_id="CP1")
        assert before <= connected <= time.time()
        for action, payload in (("DataTransfer", {"vendorId": "v"}), ("Heartbeat", {}), ("Nonsense", {})):
            last = await csms.metric("ocpp_cp_last_msg_ts", cp_id="CP1")
            await charger.raw(f'[2,"x","{action}",{{}}]' if not payload else '[2,"x","DataTransfer",{"vendorId":"v"}]')
            assert await csms.metric("ocpp_cp_last_msg_ts", cp_id="CP1") > last
        await charger.raw("no frame")
    assert (await csms.lines("ocpp_cp_last_msg_ts"))[0] == "# TYPE ocpp_cp_last_msg_ts gauge"


async def test_last_heartbeat_is_absent_before_the_first(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        assert await csms.metric("ocpp_cp_last_heartbeat_ts", cp_id="CP1") is None
        before = time.time()
        await charger.call("Heartbeat")
        assert before <= await csms.metric("ocpp_cp_last_heartbeat_ts", cp_id="CP1") <= time.time()
    assert (await csms.lines("ocpp_cp_last_heartbeat_ts"))[0] == "# TYPE ocpp_cp_last_heartbeat_ts gauge"


async def test_last_transaction_is_absent_until_one_stops(csms):
    async with csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        assert await csms.metric("ocpp_cp_last_tx_ts", cp_id="CP1") is None
        before = time.time()
        await charger.call(
            "StopTransaction", {"transactionId": started["transactionId"], "meterStop": 1, "timestamp": ""}
        )
        assert before <= await csms.metric("ocpp_cp_last_tx_ts", cp_id="CP1") <= time.time()
    assert (await csms.lines("ocpp_cp_last_tx_ts"))[0] == "# TYPE ocpp_cp_last_tx_ts gauge"


async def test_status_is_a_number(csms):
    words = ["Available", "Preparing", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing"]
    words += ["Reserved", "Unavailable", "Faulted"]
    async with csms.charger("CP1") as charger:
        assert await csms.metric("ocpp_cp_status", cp_id="CP1") is None
        for number, word in [*enumerate(words), (-1, "Occupied")]:
            await charger.call("StatusNotification", status(word, connector_id=2))
            assert await csms.lines("ocpp_cp_status") == of("ocpp_cp_status", "gauge", number)


async def test_status_follows_whichever_connector_and_our_own_metrics_keep_them_apart(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("StatusNotification", status("Charging", connector_id=1))
        await charger.call("StatusNotification", status("Available", connector_id=2))
    assert await csms.lines("ocpp_cp_status") == of("ocpp_cp_status", "gauge", 0)
    assert await csms.lines("ocpp_connector_status") == typed(
        "ocpp_connector_status", "gauge", f"{{{AT}}} 2", '{cp_id="CP1",connector_id="2"} 0'
    )
    assert await csms.lines("ocpp_connector_state") == typed(
        "ocpp_connector_state",
        "gauge",
        f'{{{AT},state="available"}} 0',
        f'{{{AT},state="charging"}} 1',
        f'{{{AT},state="unavailable"}} 0',
        '{cp_id="CP1",connector_id="2",state="available"} 1',
        '{cp_id="CP1",connector_id="2",state="charging"} 0',
        '{cp_id="CP1",connector_id="2",state="unavailable"} 0',
    )


async def test_errors_are_counted_by_type_and_no_error_is_none(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("StatusNotification", status("Available"))
        assert await csms.lines("ocpp_cp_errors_total") == []
        await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
        await charger.call("StatusNotification", status("Available"))
        await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
        await charger.call("StatusNotification", status("Faulted", error_code="HighTemperature"))
        await charger.raw("{}")
        await charger.raw('[2,"x","Nope",{}]')
    assert sorted(await csms.lines("ocpp_cp_errors_total")) == sorted(
        typed(
            "ocpp_cp_errors_total",
            "counter",
            f'{{{CP},error_type="GroundFailure"}} 2',
            f'{{{CP},error_type="HighTemperature"}} 1',
            f'{{{CP},error_type="ProtocolError"}} 1',
            f'{{{CP},error_type="NotImplemented"}} 1',
        )
    )


async def test_boots(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("BootNotification", BOOT)
    assert await csms.lines("ocpp_cp_boots_total") == of("ocpp_cp_boots_total", "counter", 2)
    assert await csms.lines("ocpp_cp_info") == typed(
        "ocpp_cp_info", "gauge", f'{{{CP},vendor="Acme",model="One",firmware="1.0",protocol="ocpp1.6",site=""}} 1'
    )


async def test_a_transaction_from_start_to_stop_and_through_a_restart_in_its_middle(csms):
    figures = ("ocpp_tx_active", "ocpp_tx_energy_wh", "ocpp_cp_current_a", "ocpp_cp_power_w")

    async def told() -> list[str]:
        return [line for line in await csms.lines(*figures) if not line.startswith("#")]

    phases = [
        {"value": value, "measurand": "Current.Import", "phase": phase}
        for phase, value in (("L1", "14.5"), ("L2", "16.1"), ("L3", "15.9"))
    ]
    power = {"value": "10.6", "measurand": "Power.Active.Import", "unit": "kW"}
    async with csms.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        assert await told() == [f"ocpp_tx_active{{{AT}}} 1", f"ocpp_tx_energy_wh{{{AT}}} 0.0"]
        assert await csms.lines("ocpp_tx_total") == of("ocpp_tx_total", "counter", 1)
        await charger.call("MeterValues", meter_values(tx, energy(2500), power, *phases))
        charging = [
            f"ocpp_tx_active{{{AT}}} 1",
            f"ocpp_tx_energy_wh{{{AT}}} 1500.0",
            f"ocpp_cp_current_a{{{AT}}} 16.1",
            f"ocpp_cp_power_w{{{AT}}} 10600.0",
        ]
        assert await told() == charging
        assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 0
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    before = [line for line in await csms.page() if line.startswith("ocpp_") and CP in line]

    await csms.restart()
    after = await csms.page()
    assert await told() == charging
    assert [line for line in before if "handling" not in line and line not in after] == []

    async with csms.charger("CP1") as charger:
        await charger.call("StopTransaction", stop(tx, 8500))
    assert await told() == [
        f"ocpp_tx_active{{{AT}}} 0",
        f"ocpp_tx_energy_wh{{{AT}}} 0.0",
        f"ocpp_cp_current_a{{{AT}}} 0.0",
        f"ocpp_cp_power_w{{{AT}}} 0.0",
    ]
    assert [line for line in await csms.page() if line.startswith("# TYPE ocpp_") and line.split()[2] in figures] == [
        f"# TYPE {name} gauge" for name in figures
    ]
    assert await csms.lines("ocpp_cp_energy_total_wh") == of("ocpp_cp_energy_total_wh", "counter", 7500.0)
    assert await csms.lines("ocpp_tx_total") == of("ocpp_tx_total", "counter", 1)
    assert await csms.lines("ocpp_cp_reconnect_during_tx_total") == of(
        "ocpp_cp_reconnect_during_tx_total", "counter", 1
    )


async def test_every_figure_is_on_the_page_before_the_charger_returns(csms):
    """After a good end and after a power cut alike, but for what nobody was told is safe."""
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("Heartbeat")
        await charger.call("StatusNotification", status("Faulted", error_code="OverVoltage"))
        await charger.call("Authorize", {"idTag": "TAG1"})
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, energy(1200)))
        await charger.call("MeterValues", meter_values(tx, energy(31_300)))
        await charger.call("StopTransaction", stop(tx, 31_400))
        await charger.call("StartTransaction", {**START, "connectorId": 2, "idTag": "TAG2"})
        with pytest.raises(CommandTimeout):
            await csms.central.call("CP1", call.ClearCache(), timeout_s=0.01)
        await csms.durable()
        running = {line for line in await csms.page() if line.startswith("ocpp_") and CP in line}
    running = {line for line in running if "handling" not in line and "ocpp_cp_connected" not in line}
    assert len(running) > 20
    await csms.kill()
    await csms.start()
    assert running - set(await csms.page()) == set()
    assert await csms.lines("ocpp_cp_connected") == of("ocpp_cp_connected", "gauge", 0)
    await csms.restart()
    assert running - set(await csms.page()) == set()


async def test_one_outage_counts_once_for_each_open_transaction(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("StartTransaction", START)
        await charger.call("StartTransaction", {**START, "connectorId": 2})
    async with csms.charger("CP1"):
        await csms.becomes(2, "ocpp_cp_reconnect_during_tx_total", cp_id="CP1")


async def test_energy_jumps(csms):
    async with csms.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        for wh in (1000, 11_000, 21_001):
            await charger.call("MeterValues", meter_values(tx, energy(wh)))
    assert await csms.lines("ocpp_energy_jump_total") == of("ocpp_energy_jump_total", "counter", 1)
