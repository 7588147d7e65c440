"""Registers of start and stop that readings contradict, or only seem to: the rule of docs/metering.md, over a socket.

The model of sessions (test_metering_model.py) found most of them.
"""

import pytest

from support.meters import Meter, sample, sample_2x
from wattspan.domain.timestamps import wire_time

POWER = "Power.Active.Import"


@pytest.fixture
async def meter(csms):
    async with csms.charger("CP1") as connected:
        yield Meter(csms, connected)


@pytest.mark.parametrize("begin_wh", [27_650_000, 98_000])
@pytest.mark.parametrize("is_late", [False, True])
async def test_the_sample_of_the_begin_is_the_start_where_the_readings_contradict_meter_start(meter, is_late, begin_wh):
    """meterStart and meterStop are 0, and the first reading comes when some energy was delivered already."""
    await meter.start(0)
    begin = (0, (sample(begin_wh, context="Transaction.Begin"),))
    readings = [(60, (sample(begin_wh + 1_833),)), (600, (sample(begin_wh + 50_000),))]
    await meter.send(readings if is_late else [begin, *readings])
    data = [
        {"timestamp": wire_time(meter.began_ts + at_s), "sampledValue": [*sampled]}
        for at_s, sampled in (begin, (900, (sample(begin_wh + 90_615, context="Transaction.End"),)))
    ]
    assert await meter.stop(900, 0, transactionData=data) == 90_615
    assert await meter.corrections() == {"no_energy": 1}


@pytest.mark.parametrize("begin_wh", [0, 30_000_000])
async def test_a_sample_of_the_begin_that_the_readings_contradict_is_not_used(meter, begin_wh):
    await meter.start(5_000)
    await meter.send([(0, (sample(begin_wh, context="Transaction.Begin"),))])
    assert [await meter.read(60 * n, sample(5_000 + 300 * n)) for n in (1, 2)] == [300, 600]
    assert await meter.stop(180, 5_900) == 900
    assert await meter.corrections() == {}


async def test_a_sample_of_the_begin_that_was_taken_later_contradicts_nothing(meter):
    """Some chargers mark their whole first message as the begin, whenever they send it."""
    await meter.start(1_000)
    assert await meter.send([(600, (sample(31_000, context="Transaction.Begin"),))]) == 0
    assert [await meter.read(600 + 60 * n, sample(31_000 + 300 * n)) for n in (1, 2)] == [30_300, 30_600]
    assert await meter.stop(800, 32_000) == 31_000
    assert await meter.corrections() == {}


async def test_a_sample_of_the_begin_that_every_message_repeats_is_read_once(meter):
    """Growatt THOR: beside each reading. meterStart is that of the meter's lifetime, or untold."""
    await meter.start(0)
    for n in range(1, 5):
        repeated = sample(235_800, context="Transaction.Begin")
        assert await meter.read(60 * n, sample(235_800 + 100 * n, context="Sample.Periodic"), repeated) == 100 * n
    assert await meter.stop(300, 236_300) == 500
    assert await meter.corrections() == {"start_unreachable": 1}


@pytest.mark.parametrize("interval_s", [10, 300])
async def test_a_begin_in_the_ended_event_after_a_wrong_first_reading(csms, interval_s):
    """OCPP 2.x: until it is told, the first reading, 68 kWh too high, passes for the start."""
    async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as station:
        meter = await Meter(csms, station, "2.0.1").start(None)
        for n, wh in enumerate((166_400, 98_003, 100_919), 1):
            await meter.read(interval_s * n, sample(wh))
        at = [wire_time(meter.began_ts + at_s) for at_s in (0, 1_700)]
        ends = (
            sample_2x(sample(98_000, context="Transaction.Begin")),
            sample_2x(sample(188_419, context="Transaction.End")),
        )
        values = [{"timestamp": each, "sampledValue": [end]} for each, end in zip(at, ends, strict=True)]
        call = {"eventType": "Ended", "timestamp": at[1], "triggerReason": "StopAuthorized", "seqNo": meter.seq_no}
        call |= {"transactionInfo": {"transactionId": meter.tx}, "evse": {"id": 1, "connectorId": 1}}
        await station.call("TransactionEvent", call | {"meterValue": values})
        assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 90_419


async def test_the_sample_of_the_begin_alone_is_the_start_that_the_stop_continues(meter):
    await meter.start(0)
    await meter.send([(0, (sample(27_650_000, context="Transaction.Begin"),))])
    assert await meter.stop(900, 27_652_500) == 2_500
    assert await meter.corrections() == {"start_unreachable": 1}


async def test_readings_made_after_a_stop_of_0_leave_its_session_without_energy(meter):
    """They came before the stop, whose own sample is 0 too."""
    await meter.start(0)
    await meter.send([(50, (sample(122),)), (70, (sample(244),))])
    data = [
        {"timestamp": wire_time(meter.began_ts + 30), "sampledValue": [sample(0, context="Transaction.End")]},
    ]
    assert await meter.stop(30, 0, transactionData=data) == 0
    assert await meter.corrections() == {}


async def test_kwh_labelled_wh_after_a_wrong_first_reading_are_no_reset(meter):
    """2,001 Wh, and then kWh: as labelled, the register was reset, and rose by 1,499 Wh in the last 10 s."""
    await meter.start(1_000)
    for n, kwh in enumerate((2_001, 1.0, 1.0, 1.0, 1.25), 1):
        await meter.read(10 * n, sample(kwh, unit="Wh"))
    assert await meter.stop(60, 1_500) == 500
    assert await meter.corrections() == {}


async def test_kwh_labelled_wh_beside_power_after_a_wrong_first_reading_are_no_reset(meter):
    """Power shows the unit; then the readings never were below the start."""
    await meter.start(101)
    for n, (kwh, watts) in enumerate(((400.101, 0), (0.101, 0), (0.101, 0), (0.104, 1_400), (0.354, 90_000)), 1):
        await meter.read(10 * n, sample(kwh, unit="Wh"), sample(watts, POWER, unit="W"))
    assert await meter.stop(60, 604) == 503
    assert await meter.corrections() == {}


async def test_a_late_reading_that_is_wrong_is_no_proof_of_a_reset(meter):
    """It is older and higher, as if the clock had been set back. The next one fell, but not near 0."""
    await meter.start(1)
    for at_s, wh in ((940, 23_656), (1_240, 52_822), (900, 90_901), (930, 22_684), (2_140, 55_572), (2_480, 63_852)):
        await meter.read(at_s, sample(wh))
    assert await meter.stop(2_540, 65_352) == 65_351
    assert await meter.corrections() == {}


async def test_ends_in_kwh_of_more_than_any_meter_shows_are_in_wh(meter):
    """987 GWh: the readings are in Wh, too, whatever their label says."""
    await meter.start(987_654_321)
    for at_s, wh, watts in ((10, 3, 1_400), (70, 186, 11_000), (80, 189, 1_400), (980, 189, 0), (1_040, 189, 0)):
        await meter.read(at_s, sample(987_654_321 + wh, unit="kWh"), sample(watts, POWER, unit="W"))
    assert await meter.stop(1_050, 987_654_510) == 189
    assert await meter.corrections() == {}


async def test_power_decides_between_ends_in_kwh_and_readings_labelled_kwh(meter):
    """23 "kWh" in a minute from a start of 5,535 Wh could continue 5,535 kWh, but 1,400 W are measured."""
    await meter.start(5_535)
    for at_s, wh in ((60, 5_558), (120, 5_581), (150, 5_592), (210, 5_615), (270, 5_638)):
        shown = await meter.read(at_s, sample(wh, unit="kWh"), sample(1_400, POWER, unit="W"))
    assert shown == 103
    assert await meter.stop(330, 5_661) == 126
    assert await meter.corrections() == {}


async def test_one_wrong_reading_is_no_proof_of_ends_in_kwh(meter):
    await meter.start(260)
    for at_s, wh in ((900, 260), (930, 443), (940, 400_446)):
        await meter.read(at_s, sample(wh))
    assert await meter.stop(950, 449) == 189
    assert await meter.corrections() == {}


async def test_readings_that_power_contradicts_prove_no_ends_in_kwh(meter):
    await meter.start(7_594)
    for at_s, wh in ((10, 7_597), (20, 7_600), (30, 7_603)):
        await meter.read(at_s, sample(wh, unit="kWh"), sample(1_400, POWER, unit="W"))
    assert await meter.stop(40, 7_606) == 12
    assert await meter.corrections() == {}


async def test_ends_in_kwh_of_a_session_whose_readings_end_early(meter):
    """Nearly all energy came after the last reading, in 15 minutes."""
    await meter.start(98)
    for at_s, wh in ((10, 98_250), (20, 98_500)):
        await meter.read(at_s, sample(wh, unit="Wh"))
    assert await meter.stop(920, 121) == 23_000
    assert await meter.corrections() == {"unit": 1}


async def test_a_fall_from_what_was_impossible_is_no_reset(meter):
    """The reading of the first minute comes late, and is 68 kWh too high."""
    await meter.start(0)
    for at_s, wh in ((1_080, 3_179), (1_140, 3_202), (60, 68_523), (120, 246), (1_020, 2_996), (1_210, 9_038)):
        await meter.read(at_s, sample(wh))
    assert await meter.stop(1_250, 9_159) == 9_159
    assert await meter.corrections() == {}


async def test_wh_labelled_kwh_that_power_shows_prove_no_ends_in_kwh(meter):
    await meter.start(0)
    for n, wh in enumerate((0, 0, 0, 0, 0, 3, 6, 9), 1):
        await meter.read(10 * n, sample(wh, unit="kWh"), sample(1_400 if wh else 0, POWER, unit="W"))
    assert await meter.stop(90, 12) == 12
    assert await meter.corrections() == {}


async def test_ends_in_kwh_of_a_session_without_energy_do_not_contradict_the_readings(meter):
    await meter.start(2)
    for at_s in (30, 40):
        await meter.read(at_s, sample(2_000, unit="Wh"))
    assert await meter.stop(940, 2) == 0
    assert await meter.corrections() == {}


async def test_kwh_labelled_wh_whose_last_reading_is_wrong_leave_the_stop_as_it_is(meter):
    """As labelled, 30 kWh would have come in the last 10 s. In kWh, only the last reading is above the stop."""
    await meter.start(6)
    for at_s, kwh in ((60, 5.839), (960, 28.339), (970, 29.311), (1_270, 98.327)):
        await meter.read(at_s, sample(kwh, unit="Wh"))
    assert await meter.stop(1_280, 29_947) == 29_941
    assert await meter.corrections() == {}


async def test_kwh_labelled_wh_near_the_highest_value_are_no_rollover(meter):
    """Measured power shows the unit. Until then, 7,998 "Wh" could follow 9,997,998 Wh in a register of seven digits."""
    await meter.start(9_997_998)
    read = ((10, 7_997.998, 0), *((10 * n, 9_997.998, 0) for n in range(2, 7)), (360, 9_998.914, 11_000))
    for at_s, kwh, watts in read:
        await meter.read(at_s, sample(kwh, unit="Wh"), sample(watts, POWER, unit="W"))
    end = [sample(9_998.944, unit="Wh", context="Transaction.End"), sample(11_000, POWER, context="Transaction.End")]
    data = [{"timestamp": wire_time(meter.began_ts + 370), "sampledValue": end}]
    assert await meter.stop(370, 9_998_944, transactionData=data) == 946
    assert await meter.corrections() == {}


@pytest.mark.parametrize(("start_wh", "label", "scale"), [(2, "kWh", 1), (2_000, "kWh", 1), (5_000, "Wh", 0.001)])
async def test_a_sample_of_the_begin_in_the_wrong_unit_is_the_same_start(meter, start_wh, label, scale):
    await meter.start(start_wh)
    begin = (0, (sample(start_wh * scale, unit=label, context="Transaction.Begin"),))
    read = ((10, 0), (20, 0), (30, 0), (40, 61))
    values = [(at_s, (sample((start_wh + wh) * scale, unit=label),)) for at_s, wh in read]
    await meter.send([begin, *values])
    assert await meter.stop(940, start_wh + 5_561) == 5_561
    assert await meter.corrections() == {}


@pytest.mark.parametrize(("is_labelled", "end_s"), [(False, 601), (True, 601), (True, 600.4)])
async def test_readings_that_came_with_the_stop_count_though_they_are_dated_after_it(meter, is_labelled, end_s):
    await meter.start(0)
    end = {"context": "Transaction.End"} if is_labelled else {}
    data = [
        {"timestamp": wire_time(meter.began_ts + at_s), "sampledValue": [sample(wh, **more)]}
        for at_s, wh, more in ((300, 500, {}), (590, 1_000, {}), (end_s, 1_500, end))
    ]
    assert await meter.stop(600, 0, transactionData=data) == 1_500
    assert await meter.corrections() == {"no_energy": 1}


async def test_a_reading_made_between_the_stop_and_the_end_of_its_own_data_counts_no_more_than_they_do(meter):
    """The stop was queued, and the readings of the next hour had arrived before it."""
    await meter.start(0)
    for at_s, wh in ((300, 500), (590, 1_000), (3_600, 9_000)):
        await meter.read(at_s, sample(wh))
    data = [{"timestamp": wire_time(meter.began_ts + 601), "sampledValue": [sample(1_500)]}]
    assert await meter.stop(600, 0, transactionData=data) == 1_500


@pytest.mark.parametrize("stop_ts", [3.0, -7_200.0])
async def test_readings_count_where_the_clock_of_the_stop_is_another(meter, stop_ts):
    """It was never set, or is two hours behind that of the readings."""
    await meter.start(0)
    for at_s, wh in ((300, 500), (590, 1_000), (600, 1_500)):
        await meter.read(at_s, sample(wh))
    assert await meter.stop(stop_ts - (meter.began_ts if stop_ts > 0 else 0), None) == 1_500


async def test_the_offered_current_limits_what_a_reading_can_show(meter):
    """Of 32 A, 700,000 Wh in a quarter of an hour are no energy: the register is the meter's own."""
    await meter.start(0)
    for at_s, wh in ((900, 700_000), (1_000, 700_800), (1_100, 701_600)):
        await meter.read(at_s, sample(wh), sample(32, "Current.Offered", unit="A"))
    assert await meter.stop(1_150, 702_000) == 2_000
