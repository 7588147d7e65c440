"""Fleets against a small central system: the ledger must equal what that system received."""

import asyncio
import json
import time
from base64 import b64encode
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from random import Random

import pytest

from wattspan.simulator import ArrivalPattern, FaultRates, Hardware, InitialConnector, SessionUnderWay, Simulation
from wattspan.simulator.arrivals import draw_visit
from wattspan.simulator.meter import REGISTER
from wattspan.simulator.model import Transaction
from wattspan.simulator.outbox import Outbox

BUSY = ArrivalPattern(sessions_per_day=200, busy_at_start=1.0, stay_s=(600, 3_600), meter_interval_s=60, quietest=1.0)
"""As busy at night: the tests run at any time of day."""


async def play(central, running, sessions, **options):
    """Run a fleet until `sessions` have stopped, finish it, and return its ledger."""
    async with running(charge_points=4, arrivals=BUSY, seed=7, time_factor=5_000, **options) as simulation:
        await central.until(lambda: len(central.stopped_wh) >= sessions)
    return simulation.ledger


async def agrees(ledger, central):
    total = ledger.total
    await central.until(lambda: central.disconnects == total.connections)  # it notices an aborted connection later
    assert total.starts == len(central.starts)
    assert total.stops == len(central.stopped_wh)
    assert total.energy_wh == sum(central.stopped_wh.values())
    assert central.open == {}
    assert total.connections == central.connections
    assert total.disconnects == total.connections
    assert total.unacknowledged == 0


async def test_no_status_is_sent_any_more_once_the_last_message_is_answered(central, running, monkeypatch):
    wait_until_drained, answered = Outbox.drained, []

    async def drained_and_a_while(self):
        await wait_until_drained(self)
        answered.append(len(central.of("StatusNotification")))
        await asyncio.sleep(0.2)  # 1,000 simulated seconds, in which cars would be unplugged

    monkeypatch.setattr(Outbox, "drained", drained_and_a_while)
    async with running(arrivals=BUSY, seed=7, time_factor=5_000):
        await central.until(lambda: central.stopped_wh)
    assert len(central.of("StatusNotification")) == answered[0]


async def test_the_ledger_equals_what_the_central_system_received(central, running):
    ledger = await play(central, running, 12)
    await agrees(ledger, central)
    total, seen = ledger.total, central.counted()
    assert total.energy_wh > 1_000
    assert total.meter_values == seen["MeterValues"] > 12
    assert (total.boots, total.statuses) == (4, seen["StatusNotification"])
    assert total.starts == seen["StartTransaction"]
    assert (total.errors, total.drops, total.repeats) == (0, 0, 0)
    assert central.close_codes == [1000] * 4
    assert {"Available", "Preparing", "Charging", "Finishing"} <= set(central.statuses(1))


async def test_the_ledger_is_right_under_all_faults(central, running):
    faults = replace(FaultRates.all(0.4), late_answer_s=0.01)
    ledger = await play(central, running, 25, faults=faults)
    await agrees(ledger, central)
    total, seen = ledger.total, central.counted()
    assert min(total.drops, total.repeats, total.offline_sessions, total.error_notices.total()) > 0
    assert total.meter_values == sum(central.distinct("MeterValues").values())
    assert seen["StartTransaction"] + seen["StopTransaction"] > total.starts + total.stops
    assert total.boots == 4
    assert total.mismatches == 0


async def test_a_wrong_clock_shows_in_the_timestamps(central, running):
    await play(central, running, 3, faults=FaultRates(clock_off=1.0))
    assert len({start["timestamp"][:13] for start in central.of("StartTransaction")}) > 1


async def test_a_start_that_is_always_refused_is_given_up_with_all_that_follows(central, running):
    central.refuse = lambda action, _: action == "StartTransaction"
    async with running(arrivals=BUSY, connectors=1) as simulation:
        await central.until(lambda: len(central.of("StartTransaction")) >= 3)
    total = simulation.ledger.total
    assert total.starts == total.stops == total.meter_values == 0
    assert central.of("StopTransaction") == []
    assert total.given_up >= 2
    assert total.refused >= 3


async def test_a_message_refused_once_is_sent_again_in_its_place(central, running):
    refused = []

    def once(action, payload):
        if action == "StopTransaction" and not refused:
            refused.append(payload)
            return True
        return False

    central.refuse = once
    async with running(arrivals=BUSY, connectors=1) as simulation:
        await central.until(lambda: len(central.stopped_wh) >= 2)
    assert central.of("StopTransaction")[:2] == [refused[0], refused[0]]
    await agrees(simulation.ledger, central)


async def test_a_card_that_is_refused_does_not_charge(central, running):
    central.id_tag_status = "Blocked"
    async with running(arrivals=BUSY, connectors=1):
        await central.until(lambda: len(central.of("Authorize")) >= 2)
    assert central.of("StartTransaction") == []


async def test_a_card_refused_at_the_start_ends_the_transaction(central, running):
    async with running(connectors=1):
        central.id_tag_status = "Invalid"
        await central.command("RemoteStartTransaction", {"idTag": "T"})
        await central.until(lambda: central.stopped_wh)
    assert central.of("StopTransaction")[0]["reason"] == "DeAuthorized"


async def test_nothing_is_sent_before_the_boot_is_accepted(central, running):
    central.boots = ["Pending", "Rejected", "Accepted"]
    async with running() as simulation:
        pass
    assert [action for _, action, _ in central.calls][:4] == [*["BootNotification"] * 3, "StatusNotification"]
    assert simulation.ledger.total.boots == 1


async def test_heartbeats_use_the_interval_of_the_boot_answer(central, running):
    async with running() as simulation:
        await central.until(lambda: len(central.of("Heartbeat")) >= 2)
    assert simulation.fleet[0].configuration.text("HeartbeatInterval") == "100"


async def test_the_password_is_sent_as_basic_credentials(central, running):
    async with running(password="s3cret") as simulation:
        pass
    assert central.headers[0]["Authorization"] == f"Basic {b64encode(b'SIM0001:s3cret').decode()}"
    assert "s3cret" not in repr(simulation)


async def test_the_same_seed_gives_the_same_cards_in_the_same_order(central, running):
    def tags(calls):
        return [call["idTag"] for _, action, call in calls if action == "StartTransaction"][:4]

    played = []
    for _ in range(2):
        central.calls.clear()
        async with running(arrivals=BUSY, seed=3, connectors=1, time_factor=20_000):
            await central.until(lambda: len(central.of("StartTransaction")) >= 4)
        played.append(tags(central.calls))
    assert played[0] == played[1]


async def test_progress_counts_connections_transactions_and_energy(central, running):
    async with running(arrivals=BUSY, charge_points=2) as simulation:
        await central.until(lambda: central.open and central.of("MeterValues"))
        await central.until(lambda: simulation.progress().energy_wh > 0)
        progress = simulation.progress()
    assert (progress.charge_points, progress.connected) == (2, 2)
    assert progress.charging > 0
    assert progress.errors == 0


async def test_a_simulation_finishes_after_its_duration(central):
    simulation = Simulation(url=central.url, charge_points=1, duration_s=0.0)
    async with asyncio.timeout(10):
        await simulation.run()


async def test_cancellation_closes_the_connections_and_leaves_no_task(central):
    simulation = Simulation(url=central.url, charge_points=3, arrivals=BUSY, time_factor=2_000)
    task = asyncio.create_task(simulation.run())
    await central.until(lambda: central.open)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks() - {asyncio.current_task()}) <= 8  # the server's own
    assert simulation.progress().connected == 0
    await central.until(lambda: central.disconnects == 3)
    assert central.close_codes == [1000] * 3


async def test_charge_points_reconnect_until_the_simulation_finishes(closed_port):
    simulation = Simulation(url=f"ws://127.0.0.1:{closed_port}", charge_points=1, duration_s=0.05)
    async with asyncio.timeout(10):
        ledger = await simulation.run()
    assert ledger.total.refusals >= 1
    assert ledger.total.connections == 0


async def test_the_ledger_dumps_as_json(central, running, tmp_path):
    async with running() as simulation:
        pass
    simulation.ledger.dump(tmp_path / "ledger.json")
    dumped = json.loads((tmp_path / "ledger.json").read_text())
    assert dumped["total"]["boots"] == dumped["charge_points"]["SIM0001"]["boots"] == 1


async def test_readings_are_dated_as_fast_as_the_car_charges(central, running):
    """Energy and time agree with the measured power, though the simulation runs thousands of times faster."""
    async with running(arrivals=BUSY, time_factor=4_000):
        await central.until(lambda: len(central.of("MeterValues")) >= 20)
    by_transaction: dict[int, list[tuple[float, float]]] = {}
    for call in central.of("MeterValues"):
        (value,) = call["meterValue"]
        (wh,) = (float(s["value"]) for s in value["sampledValue"] if s["measurand"].startswith("Energy"))
        at = datetime.fromisoformat(value["timestamp"]).timestamp()
        by_transaction.setdefault(call["transactionId"], []).append((at, wh))
    rates_w = [
        (wh - before_wh) / (at - before) * 3600
        for readings in by_transaction.values()
        for (before, before_wh), (at, wh) in pairwise(readings)
        if at > before
    ]
    assert rates_w
    assert max(rates_w) < 400_000


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_session_under_way_goes_on_without_a_boot_or_a_start(central, running, version):
    transaction = Transaction(
        connector_id=1,
        id=7 if version == "1.6" else "tx-7",
        id_tag="TAG",
        meter_start_wh=1_000,
        started_ts=time.time() - 600,
        next_seq_no=1,
    )
    visit = draw_visit(Random(1), replace(BUSY, suspensions=0.0), FaultRates(), ("TAG",))
    session = SessionUnderWay(visit=visit, transaction=transaction, elapsed_s=600.0, status="Charging")
    central.open[transaction.id] = ("SIM0001", {"meterStart": 1_000})
    central.events["tx-7"] = [
        {"eventType": "Started", "meterValue": [{"sampledValue": [{"measurand": REGISTER, "value": 1_000}]}]}
    ]
    states = {"SIM0001": (InitialConnector(register_wh=3_000.0, session=session), InitialConnector(register_wh=5.0))}
    async with running(versions=(version,), initial_states=states):
        await central.until(lambda: central.stopped_wh)
    assert central.of("BootNotification") == central.of("StartTransaction") == []
    assert central.statuses(1)[0] == ("Charging" if version == "1.6" else "Occupied")
    assert central.stopped_wh[transaction.id] >= 2_000


async def test_charge_points_of_different_vendors_say_so_in_every_version(central, running):
    hardware = (Hardware("Alfen", "Eve", "6.4.1"), Hardware("Keba", "P40", "1.9.0"))
    async with running(charge_points=3, versions=("1.6", "2.0.1", "2.1"), hardware=hardware):
        await central.until(lambda: len(central.of("BootNotification")) == 3)
    stations = [call.get("chargingStation", call) for call in central.of("BootNotification")]
    vendors = {each["vendorName"] if "vendorName" in each else each["chargePointVendor"] for each in stations}
    assert vendors == {"Alfen", "Keba"}
    assert {each["firmwareVersion"] for each in stations} == {"6.4.1", "1.9.0"}
