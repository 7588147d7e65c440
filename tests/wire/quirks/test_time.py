"""Clocks of real chargers. Each docstring has the words of docs/quirks.md."""

import pytest

from support.chargers import Payload, energy
from support.transcripts import EndedSession

AT = {"cp_id": "CP1", "connector_id": "1"}
HOUR_S = 3600
DAY_S = 86_400
CURRENT = {"value": "16", "measurand": "Current.Import", "unit": "A"}


def start(told_at: str, wh: int = 1000) -> Payload:
    return {"connectorId": 1, "idTag": "TAG1", "meterStart": wh, "timestamp": told_at}


def stop(tx: int, told_at: str, wh: int = 8500) -> Payload:
    return {"transactionId": tx, "meterStop": wh, "timestamp": told_at}


def metered(tx: int | None, told_at: str, *sampled: Payload) -> Payload:
    named = {} if tx is None else {"transactionId": tx}
    return {"connectorId": 1, **named, "meterValue": [{"timestamp": told_at, "sampledValue": list(sampled)}]}


@pytest.fixture
async def charger(timed):
    async with timed.charger("CP1") as connected:
        yield connected


async def started(charger, told_at: str) -> int:
    return (await charger.call("StartTransaction", start(told_at)))["transactionId"]


async def stored(timed):
    await timed.durable()
    (transaction,) = await timed.store.transactions()
    return transaction


async def test_1970_before_the_first_sync(timed, clock, charger):
    """1970 before the first sync"""
    tx = await started(charger, "1970-01-01T00:00:17Z")
    clock.be_at(600)
    await charger.call("MeterValues", metered(tx, "1970-01-01T00:10:17Z", energy(2000), CURRENT))
    assert await timed.metric("ocpp_cp_current_a", **AT) == 16
    assert await timed.metric("ocpp_tx_energy_wh", **AT) == 1000
    clock.be_at(1200)
    await charger.call("MeterValues", metered(tx, clock.at(1200), energy(3000)))  # synchronised by now
    assert await timed.metric("ocpp_tx_energy_wh", **AT) == 2000
    clock.be_at(1800)
    await charger.call("StopTransaction", stop(tx, clock.at(1800)))
    assert await timed.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
    assert await timed.metric("ocpp_tx_duration_seconds_sum") == 1800
    kept = await stored(timed)
    assert (kept.started_ts, kept.started_received_ts) == (17.0, clock.began_ts)


async def test_two_starts_of_1970_are_two_transactions(timed, charger):
    """1970 before the first sync"""
    first = await started(charger, "1970-01-01T00:00:17Z")
    await charger.call("StopTransaction", stop(first, "1970-01-01T01:00:17Z"))
    again = (await charger.call("StartTransaction", start("1970-01-01T00:00:17Z", 8500)))["transactionId"]
    assert again != first
    assert await timed.metric("ocpp_tx_total", cp_id="CP1") == 2


@pytest.mark.parametrize("told_at", ["2026-03-02T08:00:00", "2026-03-02 08:00:00", "2026-03-02T08:00:00.1234567"])
async def test_no_zone(timed, clock, charger, told_at):
    """no zone"""
    tx = await started(charger, told_at)
    clock.be_at(HOUR_S)
    await charger.call("MeterValues", metered(tx, told_at.replace("08:", "09:"), energy(2000), CURRENT))
    assert await timed.metric("ocpp_cp_current_a", **AT) == 16
    await charger.call("StopTransaction", stop(tx, told_at.replace("08:", "09:")))
    assert await timed.metric("ocpp_tx_duration_seconds_sum") == HOUR_S
    assert (await stored(timed)).started_ts == pytest.approx(clock.began_ts, abs=1)


@pytest.mark.parametrize("zone_h", [2, 5.5, -5, -8])
async def test_local_time_labelled_z(timed, clock, charger, zone_h):
    """local time labelled Z"""
    off_s = zone_h * HOUR_S
    tx = await started(charger, clock.at(off_s))
    for minute in (1, 2, 3):
        clock.be_at(minute * 60)
        wh, amperes = 1000 + 100 * minute, {**CURRENT, "value": str(10 + minute)}
        await charger.call("MeterValues", metered(tx, clock.at(minute * 60 + off_s), energy(wh), amperes))
    assert await timed.metric("ocpp_cp_current_a", **AT) == 13
    assert await timed.metric("ocpp_tx_energy_wh", **AT) == 300
    clock.be_at(HOUR_S)
    await charger.call("StopTransaction", stop(tx, clock.at(HOUR_S + off_s)))
    assert await timed.metric("ocpp_tx_active", **AT) == 0
    assert await timed.metric("ocpp_tx_duration_seconds_sum") == HOUR_S
    kept = await stored(timed)
    assert (kept.started_ts, kept.stopped_ts) == (clock.began_ts + off_s, clock.began_ts + HOUR_S + off_s)


@pytest.mark.parametrize("stop_s", [10 * DAY_S, -HOUR_S])
async def test_a_stop_in_the_future_or_before_its_start(timed, clock, charger, stop_s):
    """a stop in the future or before its start: flagged, still answered"""
    told: list[EndedSession] = []
    timed.central.fleet.on_stopped.append(lambda session: told.append(EndedSession.of(session)))
    tx = await started(charger, clock.at(0))
    clock.be_at(HOUR_S)
    assert await charger.call("StopTransaction", stop(tx, clock.at(stop_s))) == {}
    assert await timed.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
    (flagged,) = told
    assert flagged.timeline == ["implausible stop time"]
    assert 0 <= await timed.metric("ocpp_tx_duration_seconds_sum") <= HOUR_S
    assert clock.began_ts <= await timed.metric("ocpp_cp_last_tx_ts", cp_id="CP1") <= clock.began_ts + HOUR_S
    kept = await stored(timed)
    assert (kept.stopped_ts, kept.stopped_received_ts) == (clock.began_ts + stop_s, clock.began_ts + HOUR_S)


async def test_a_plausible_stop_is_not_flagged(timed, clock, charger):
    """a stop in the future or before its start: flagged, still answered"""
    told: list[EndedSession] = []
    timed.central.fleet.on_stopped.append(lambda session: told.append(EndedSession.of(session)))
    tx = await started(charger, clock.at(0))
    clock.be_at(HOUR_S)
    await charger.call("StopTransaction", stop(tx, clock.at(HOUR_S + 30)))
    assert told[0].timeline == []


@pytest.mark.parametrize("told_at", ["yesterday", "", None, 0, "2026-02-30T00:00:00Z", "24:00", []])
async def test_a_time_that_is_none(timed, charger, told_at):
    """1970 before the first sync"""
    tx = (await charger.call("StartTransaction", {**start(""), "timestamp": told_at}))["transactionId"]
    assert await charger.call("MeterValues", metered(tx, told_at, energy(2000), CURRENT)) == {}
    assert await timed.metric("ocpp_cp_current_a", **AT) == 16
    assert await charger.call("StopTransaction", {**stop(tx, ""), "timestamp": told_at}) == {}
    assert await timed.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_a_session_replayed_after_days_offline(timed, clock, charger):
    """sessions replayed after days offline: the stored times are the charger's and ours, the energy is counted once,
    the gauges of *now* are not moved by the past
    """
    began_s, ended_s, now_s = DAY_S, DAY_S + HOUR_S, 3 * DAY_S
    clock.be_at(now_s)
    tx = await started(charger, clock.at(began_s))
    for minute in range(1, 60):
        clock.be_at(now_s + minute / 10)
        told = metered(tx, clock.at(began_s + minute * 60), energy(1000 + minute * 100), CURRENT)
        await charger.call("MeterValues", told)
        assert await timed.metric("ocpp_cp_current_a", **AT) is None
    assert await timed.metric("ocpp_tx_energy_wh", **AT) == 5900
    for _ in range(2):
        await charger.call("StopTransaction", stop(tx, clock.at(ended_s), 7000))
        await charger.call("StartTransaction", start(clock.at(began_s)))
        await charger.call("MeterValues", metered(tx, clock.at(ended_s - 60), energy(6900), CURRENT))
    assert await timed.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 6000
    assert await timed.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert await timed.metric("ocpp_cp_last_tx_ts", cp_id="CP1") == clock.began_ts + ended_s
    assert await timed.metric("ocpp_cp_last_msg_ts", cp_id="CP1") == pytest.approx(clock.began_ts + now_s, abs=10)
    assert await timed.metric("ocpp_cp_current_a", **AT) == 0
    kept = await stored(timed)
    assert (kept.started_ts, kept.stopped_ts) == (clock.began_ts + began_s, clock.began_ts + ended_s)
    assert kept.started_received_ts == clock.began_ts + now_s
    assert (await timed.store.readings(kept.number))[0].charger_ts == clock.began_ts + began_s + 60


@pytest.mark.parametrize("end", ["restart", "kill"])
async def test_a_replay_moves_no_gauge_of_now_across_an_end_of_ours_either(timed, clock, charger, end):
    """sessions replayed after days offline: the stored times are the charger's and ours, the energy is counted once,
    the gauges of *now* are not moved by the past
    """
    await charger.call("MeterValues", metered(None, clock.at(0), {**CURRENT, "value": "7"}))
    clock.be_at(3 * DAY_S)
    for minute in (1, 2, 3):
        await charger.call("MeterValues", metered(None, clock.at(DAY_S + minute * 60), CURRENT))
    await timed.durable()
    if end == "restart":
        await timed.restart()
    else:
        await timed.kill()
        await timed.start()
    assert await timed.metric("ocpp_cp_current_a", **AT) == 7
    async with timed.charger("CP1") as again:
        await again.call("MeterValues", metered(None, clock.at(DAY_S + 240), CURRENT))
        assert await timed.metric("ocpp_cp_current_a", **AT) == 7
        await again.call("MeterValues", metered(None, clock.at(3 * DAY_S), {**CURRENT, "value": "9"}))
        assert await timed.metric("ocpp_cp_current_a", **AT) == 9
