"""Sessions that we closed without a message of the charger, and that go on: open again, and counted once."""

import pytest
from websockets.typing import Subprotocol

from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, status, stop
from support.databases import BACKENDS
from support.otlp import receiver
from support.stations import event, register

AT = {"cp_id": "CP1", "connector_id": "1"}
OF = {"cp_id": "CP1"}
NEXT = {**START, "timestamp": "2026-11-21T15:00:00Z", "meterStart": 9000}
V201 = {"subprotocols": [Subprotocol("ocpp2.0.1")]}


@pytest.fixture(params=BACKENDS)
async def csms(request, tmp_path):
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").empty()
    csms = Csms(tmp_path / "fleet.db", url=url)
    await csms.start()
    yield csms
    await csms.stop()


async def figures(csms) -> tuple[float | None, ...]:
    """Open transactions, their energy, the total, transactions counted and durations counted."""
    names = ("ocpp_tx_active", "ocpp_tx_energy_wh")
    there = [await csms.metric(name, **AT) for name in names]
    totals = [await csms.metric(name, **OF) for name in ("ocpp_cp_energy_total_wh", "ocpp_tx_total")]
    return (*there, *totals, await csms.metric("ocpp_tx_duration_seconds_count"))


async def orphan(csms, charger) -> int:
    """A transaction of 2,000 Wh so far, which a boot has closed."""
    tx: int = (await charger.call("StartTransaction", START))["transactionId"]
    await charger.call("MeterValues", meter_values(tx, energy(3000)))
    await charger.call("BootNotification", BOOT)
    await csms.becomes(0, "ocpp_tx_active", **AT)
    assert await csms.metric("ocpp_cp_energy_total_wh", **OF) == 2000
    return tx


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_session_that_goes_on_after_a_boot_is_open_again(csms, restarts):
    async with csms.charger("CP1") as charger:
        tx = await orphan(csms, charger)
    if restarts:
        await csms.restart()
    durations = None if restarts else 1  # counted by the server that closed it
    async with csms.charger("CP1") as charger:
        assert await charger.call("MeterValues", meter_values(tx, energy(4000))) == {}
        assert await figures(csms) == (1, 3000, 2000, 1, durations)
        (shown,) = await csms.store.transactions()
        assert (shown.open, shown.reason, shown.meter_stop_wh) == (True, "", None)
    if restarts:
        await csms.restart()
    async with csms.charger("CP1") as charger:
        assert await charger.call("MeterValues", meter_values(tx, energy(5000))) == {}
        assert await figures(csms) == (1, 4000, 2000, 1, durations)
        for _ in range(2):
            assert await charger.call("StopTransaction", stop(tx)) == {}
        assert await figures(csms) == (0, 0, 7500, 1, durations)
    await csms.durable()
    (kept,) = await csms.store.transactions()
    assert (kept.open, kept.reason, kept.meter_stop_wh, kept.meter.energy_wh) == (False, "Local", 8500, 7500)
    assert len(await csms.store.readings(kept.number)) == 3


async def test_a_session_that_every_boot_closes_counts_once(csms):
    async with csms.charger("CP1") as charger:
        tx = await orphan(csms, charger)
        for register_wh, booked_wh in ((4000, 3000), (5000, 4000)):
            await charger.call("MeterValues", meter_values(tx, energy(register_wh)))
            await charger.call("BootNotification", BOOT)
            await csms.becomes(booked_wh, "ocpp_cp_energy_total_wh", **OF)
            await csms.becomes(0, "ocpp_tx_active", **AT)
        await charger.call("StopTransaction", stop(tx))
        assert await figures(csms) == (0, 0, 7500, 1, 1)
        following = (await charger.call("StartTransaction", NEXT))["transactionId"]
        await charger.call("StopTransaction", stop(following, 9400))
        assert await figures(csms) == (0, 0, 7900, 2, 2)


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_was_booked_too_much_is_set_off_against_the_next_sessions(csms, restarts):
    async with csms.charger("CP1") as charger:
        tx = await orphan(csms, charger)
        await charger.call("StopTransaction", stop(tx, 2500))
        assert await figures(csms) == (0, 0, 2000, 1, 1)
    await csms.durable()
    (kept,) = await csms.store.transactions()
    assert kept.meter.energy_wh == 1500
    if restarts:
        await csms.restart()
    async with csms.charger("CP1") as charger:
        for minute, total_wh in ((1, 2000), (2, 2300)):
            start = {**NEXT, "timestamp": f"2026-11-21T15:0{minute}:00Z"}
            following = (await charger.call("StartTransaction", start))["transactionId"]
            assert await csms.metric("ocpp_cp_energy_total_wh", **OF) == 2000
            at = f"2026-11-21T15:3{minute}:00Z"
            await charger.call("StopTransaction", stop(following, 9400, timestamp=at))
            assert await csms.metric("ocpp_cp_energy_total_wh", **OF) == total_wh


async def test_meter_values_of_a_closed_session_do_not_open_it_beside_the_next_one(csms):
    async with csms.charger("CP1") as charger:
        tx = await orphan(csms, charger)
        following = (await charger.call("StartTransaction", NEXT))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, energy(4000)))
        assert await figures(csms) == (1, 0, 2000, 2, 1)
        await charger.call("StopTransaction", stop(tx, 5000))
        await charger.call("StopTransaction", stop(following, 9400))
        assert await figures(csms) == (0, 0, 4400, 2, 2)


async def test_an_unknown_id_is_looked_up_once_and_answered(csms):
    async with csms.charger("CP2") as other, csms.charger("CP1") as charger:
        of_other = (await other.call("StartTransaction", START))["transactionId"]
        for register_wh in (3000, 3100):
            assert await charger.call("MeterValues", meter_values(of_other, energy(register_wh))) == {}
    assert await csms.metric("ocpp_tx_active", cp_id="CP2", connector_id="1") == 1
    assert await csms.metric("ocpp_tx_total", **OF) == 0


async def test_a_2x_transaction_that_goes_on_after_we_closed_it_is_open_again(csms):
    async with csms.charger("CP1", **V201) as station:
        await station.call(
            "TransactionEvent", event("Started", 0, register(1000, "Transaction.Begin"), state="Charging")
        )
        await station.call("TransactionEvent", event("Updated", 1, register(3000), minute=5, state="Charging"))
        await station.call(
            "TransactionEvent", event("Started", 0, register(3000), minute=10, transaction_id="T-2", state="Charging")
        )
        await csms.becomes(2000, "ocpp_cp_energy_total_wh", **OF)
        await station.call("TransactionEvent", event("Ended", 1, register(3000), minute=11, transaction_id="T-2"))
        assert await figures(csms) == (0, 0, 2000, 2, 2)
        await station.call("TransactionEvent", event("Updated", 2, register(4000), minute=15, state="Charging"))
        assert await figures(csms) == (1, 3000, 2000, 2, 2)
        await station.call("TransactionEvent", event("Ended", 3, register(5000, "Transaction.End"), minute=20))
        assert await figures(csms) == (0, 0, 4000, 2, 2)


async def test_the_last_span_of_a_reopened_session_is_one_of_its_own_and_links_to_the_first(make_csms, monkeypatch):
    with receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        csms = await make_csms()
        async with csms.charger("CP1") as charger:
            await charger.call("StatusNotification", status("Charging"))
            tx = await orphan(csms, charger)
        await csms.restart()
        async with csms.charger("CP1") as charger:
            await charger.call("MeterValues", meter_values(tx, energy(4000)))
            await charger.call("StopTransaction", stop(tx))
        await csms.stop()
        first, last = (span for span in collector.spans() if span.name == "charging session")
        assert (first.trace_id, first.start_time_unix_nano) == (last.trace_id, last.start_time_unix_nano)
        assert first.span_id != last.span_id
        assert [(link.trace_id, link.span_id) for link in last.links] == [(first.trace_id, first.span_id)]
        assert list(first.links) == []
        assert "reopened" in [each.name for each in last.events]
        linked = {
            span.attributes[-1].key: link.span_id
            for span in collector.spans()
            if span.name in ("MeterValues", "StopTransaction")
            for link in span.links
        }
        assert set(linked.values()) <= {first.span_id, last.span_id}
        (reading,) = [span for span in collector.spans() if span.name == "StopTransaction"]
        assert [link.span_id for link in reading.links] == [last.span_id]
