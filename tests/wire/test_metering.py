"""Energy, current and power of sessions as chargers report them: the rule of docs/metering.md, over a real socket."""

from datetime import UTC, datetime

import pytest

from support.meters import AT, Meter, sample
from wattspan.domain.timestamps import wire_time

VERSIONS = ("1.6", "2.0.1")


@pytest.fixture
async def charger(csms):
    async with csms.charger("CP1") as connected:
        yield connected


@pytest.fixture
def meter(csms, charger) -> Meter:
    return Meter(csms, charger)


@pytest.fixture(params=VERSIONS)
async def either(request, csms):
    """A session of 1.6, then one of 2.0.1."""
    async with csms.charger("CP1", subprotocols=[f"ocpp{request.param}"]) as connected:
        yield Meter(csms, connected, request.param)


# 1. start and stop


async def test_start_and_stop_win_over_a_spike(csms, meter):
    await meter.start(2_000)
    shown = [await meter.read(60 * n, sample(wh)) for n, wh in enumerate((2_600, 71_000, 3_000), 1)]
    assert shown[0] == 600
    assert shown[2] == 1_000
    assert await meter.stop(240, 3_400) == 1_400
    assert await meter.corrections() == {}
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 2


async def test_a_transaction_without_a_register_at_its_start_begins_with_its_first_reading(meter):
    await meter.start(None)
    assert await meter.read(60, sample(700_000)) == 0
    assert await meter.read(120, sample(701_000)) == 1_000
    assert await meter.stop(180, 702_000) == 2_000
    assert await meter.corrections() == {"start_missing": 1}


async def test_a_start_that_the_first_reading_contradicts_is_not_used(meter):
    await meter.start(0)
    assert await meter.read(60, sample(700_000)) == 0
    assert await meter.read(120, sample(701_000)) == 1_000
    assert await meter.stop(180, 702_000) == 2_000
    assert await meter.corrections() == {"start_unreachable": 1}


async def test_ends_that_show_no_energy_while_readings_rise(meter):
    await meter.start(0)
    for n in (1, 2, 3):
        await meter.read(60 * n, sample(500 * n))
    assert await meter.stop(240, 0) == 1_500
    assert await meter.corrections() == {"no_energy": 1}


async def test_ends_in_kwh_beside_labelled_readings(meter):
    await meter.start(210)
    for n, kwh in enumerate((210.0, 211.5, 213.9), 1):
        await meter.read(300 * n, sample(kwh, unit="kWh"))
    assert await meter.stop(1200, 214) == 4_000
    assert await meter.corrections() == {"unit": 1}


async def test_a_stop_below_the_start_without_readings_counts_from_the_start_of_the_session(meter):
    await meter.start(5_000)
    assert await meter.stop(1200, 4_000) == 4_000
    assert await meter.corrections() == {"session_relative": 1}


async def test_a_stop_below_the_start_that_is_physically_impossible_is_no_energy(meter):
    await meter.start(27_650_000)
    assert await meter.stop(60, 27_600_000) == 0
    assert await meter.corrections() == {"stop_unreachable": 1}


async def test_a_stop_out_of_reach_is_replaced_by_the_last_reading(meter):
    await meter.start(1_000)
    for n in (1, 2, 3):
        await meter.read(60 * n, sample(1_000 + 500 * n))
    assert await meter.stop(200, 900_000) == 1_500
    assert await meter.corrections() == {"stop_unreachable": 1}


async def test_a_stop_without_a_register_has_that_of_its_transaction_data(meter):
    await meter.start(1_000)
    data = [
        {"timestamp": wire_time(meter.began_ts), "sampledValue": [sample(1_000, context="Transaction.Begin")]},
        {"timestamp": wire_time(meter.began_ts + 600), "sampledValue": [sample(3_000, context="Transaction.End")]},
    ]
    assert await meter.stop(600, None, transactionData=data) == 2_000
    assert await meter.corrections() == {}


async def test_a_stop_without_any_register_has_that_of_the_last_reading(meter):
    await meter.start(1_000)
    await meter.read(60, sample(1_700))
    assert await meter.stop(120, None) == 700
    assert await meter.corrections() == {"stop_missing": 1}


# 2. the running figure


async def test_a_reset_is_proven_by_readings_that_rise_from_it(meter):
    await meter.start(5_000)
    assert await meter.read(60, sample(8_000)) == 3_000
    assert await meter.read(120, sample(400)) == 3_000
    assert await meter.read(180, sample(1_000)) == 4_000
    assert await meter.stop(240, 1_300) == 4_300
    assert await meter.corrections() == {"register_reset": 1}


async def test_a_net_register_that_falls_is_no_reset(meter):
    await meter.start(10_000)
    shown = [await meter.read(60 * n, sample(wh)) for n, wh in enumerate((12_000, 11_000, 9_900, 10_800, 12_500), 1)]
    assert shown == [2_000, 1_000, 0, 800, 2_500]
    assert await meter.stop(600, 13_000) == 3_000
    assert await meter.corrections() == {}


async def test_exported_energy_is_stored_and_never_netted(csms, meter):
    await meter.start(10_000)
    exported = sample(700, "Energy.Active.Export.Register")
    assert await meter.read(60, sample(11_000), exported) == 1_000
    assert await meter.stop(120, 11_500) == 1_500
    await csms.durable()
    (reading,) = await csms.store.readings(1)
    assert exported["measurand"] in [each["measurand"] for each in reading.samples]


async def test_the_counter_never_falls_when_a_late_stop_says_less(csms, meter):
    await meter.start(1_000)
    await meter.read(60, sample(3_000))
    await meter.charger.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    await csms.becomes(2_000, "ocpp_cp_energy_total_wh", cp_id="CP1")
    assert await meter.stop(120, 2_500) == 2_000
    following = Meter(csms, meter.charger)
    await following.start(2_500)
    assert await following.stop(1_200, 3_200) == 2_200  # 700, less the 500 booked too much


# 3. readings after the stop


async def test_a_queued_stop_wins_over_readings_that_were_made_later(meter):
    await meter.start(0)
    for at_s, wh in ((60, 40), (120, 80), (180, 140), (240, 200), (300, 260)):
        await meter.read(at_s, sample(wh))
    assert await meter.stop(120, 80) == 80
    assert await meter.corrections() == {}


async def test_readings_made_after_a_stop_without_a_register_do_not_count(meter):
    await meter.start(0)
    for at_s, wh in ((60, 40), (120, 80), (180, 140), (240, 200), (300, 260)):
        await meter.read(at_s, sample(wh))
    assert await meter.stop(120, None) == 80


# 4. one reading for each time


async def test_a_meter_value_for_each_measurand_of_one_time_is_one_reading(csms, meter):
    """Three of three real DC chargers: the outlet beside the inlet, whose register is in kWh."""
    meter.began_ts = datetime.now(UTC).timestamp() - 200
    await meter.start(27_650_000)
    for n in (1, 2, 3):
        outlet = 27_650_000 + 1_400 * n
        sampled = [
            sample(157.6, "Current.Import", "A", location="Outlet"),
            sample(261, "Current.Import", "A", location="Inlet"),
            sample(84_918, "Power.Active.Import", "W", location="Outlet"),
            sample(121, "Power.Active.Import", "kW", location="Inlet"),
            sample(outlet, unit="Wh", location="Outlet"),
            sample(30_513 + n, unit="kWh", location="Inlet"),
        ]
        assert await meter.send([(60 * n, [each]) for each in sampled]) == 1_400 * n
    assert await csms.metric("ocpp_cp_current_a", **AT) == 157.6
    assert await csms.metric("ocpp_cp_power_w", **AT) == 84_918
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0
    assert await meter.stop(200, 27_655_000) == 5_000
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


@pytest.mark.parametrize("apart", [True, False])
async def test_a_young_charger_with_an_inlet_in_kwh(csms, meter, apart):
    await meter.start(210_000)
    for n in (1, 2, 3):
        sampled = [
            sample(240.1 + 0.01 * n, unit="kWh", location="Inlet"),
            sample(210_000 + 1_400 * n, unit="Wh", location="Outlet"),
        ]
        values = [(60 * n, [each]) for each in sampled] if apart else [(60 * n, sampled)]
        assert await meter.send(values) == 1_400 * n
    assert await meter.stop(240, 214_500) == 4_500
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0
    assert await meter.corrections() == {}


async def test_phases_split_over_meter_values_are_summed(csms, meter):
    meter.began_ts = datetime.now(UTC).timestamp() - 100
    await meter.start(3_000)
    values = [
        (60, [sample(1_000 + 100 * n, phase=f"L{n}"), sample(1_000 * n, "Power.Active.Import", "W", phase=f"L{n}")])
        for n in (1, 2, 3)
    ]
    assert await meter.send(values) == 600
    assert await csms.metric("ocpp_cp_power_w", **AT) == 6_000


async def test_a_repeated_sample_begins_the_next_reading(csms, meter):
    """Timestamps that are all the same: energy and current of three readings, one after another."""
    meter.began_ts = datetime.now(UTC).timestamp() - 100
    await meter.start(1_000)
    values = [
        (60, [each]) for n in (1, 2, 3) for each in (sample(1_000 + 100 * n), sample(10 + n, "Current.Import", "A"))
    ]
    assert await meter.send(values) == 300
    assert await csms.metric("ocpp_cp_current_a", **AT) == 13
    await csms.durable()
    assert len(await csms.store.readings(1)) == 3


async def test_begin_and_end_are_readings_of_their_own(csms, meter):
    await meter.start(None)
    sampled = [
        sample(1_000, context="Transaction.Begin"),
        sample(1_400, context="Sample.Periodic"),
        sample(1_400, context="Transaction.End"),
    ]
    assert await meter.send([(60, sampled)]) == 400
    await csms.durable()
    assert [each.register_wh for each in await csms.store.readings(1)] == [1_000, 1_400, 1_400]


# 5. one register


async def test_a_lifetime_register_without_a_transaction_moves_nothing(csms, meter):
    await meter.start(0)
    for n in (1, 2, 3):
        await meter.send([(60 * n, [sample(500_000 + 10 * n, context="Sample.Clock")])], named=False)
        assert await meter.read(60 * n + 1, sample(100 * n)) == 100 * n
    assert await meter.stop(240, 400) == 400
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0
    assert await meter.corrections() == {}


async def test_readings_without_a_transaction_count_where_there_are_no_others(meter):
    await meter.start(1_000)
    assert await meter.send([(60, [sample(1_500)])], named=False) == 500
    assert await meter.stop(120, None) == 500


async def test_the_main_meter_on_connector_0_moves_no_session(csms, meter):
    await meter.start(0)
    for n in (1, 2, 3):
        assert await meter.read(60 * n, sample(100 * n)) == 100 * n
        assert await meter.send([(60 * n, [sample(9_000_000 + 50_000 * n)])], connector_id=0) == 100 * n
    assert await meter.stop(240, None) == 300
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_the_main_meter_is_replaced_by_the_first_reading_of_the_connector(meter):
    await meter.start(0)
    await meter.send([(60, [sample(9_000_000)])], connector_id=0)
    assert await meter.read(61, sample(100)) == 100
    assert await meter.stop(240, None) == 100


async def test_an_inlet_that_continues_the_start_is_the_session_s(meter):
    await meter.start(30_513_000)
    for n in (1, 2, 3):
        sampled = [sample(27_651_034 + 90 * n, location="Outlet"), sample(30_513_000 + 100 * n, location="Inlet")]
        assert await meter.read(60 * n, *sampled) == 100 * n
    assert await meter.stop(240, None) == 300


async def test_an_inlet_in_messages_of_its_own_moves_nothing(csms, meter):
    await meter.start(1_000)
    for n in (1, 2, 3):
        assert await meter.read(60 * n, sample(1_000 + 100 * n, location="Outlet")) == 100 * n
        assert await meter.read(60 * n, sample(500 + 0.1 * n, unit="kWh", location="Inlet")) == 100 * n
    assert await meter.stop(240, None) == 300
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_current_and_power_of_the_inlet_in_messages_of_their_own_are_not_shown(csms, meter):
    meter.began_ts = datetime.now(UTC).timestamp() - 100
    await meter.start(1_000)
    for location, ampere, watt in (("Inlet", 261, 121_000), ("Outlet", 157.6, 84_918), ("Inlet", 262, 122_000)):
        power = sample(watt, "Power.Active.Import", "W", location=location)
        await meter.read(60, sample(ampere, "Current.Import", "A", location=location), power)
    assert await csms.metric("ocpp_cp_current_a", **AT) == 157.6
    assert await csms.metric("ocpp_cp_power_w", **AT) == 84_918


# 6. units


async def test_wh_labelled_kwh_from_0(either):
    """11 kW are 183 Wh a minute; as labelled it would be 11 MW."""
    await either.start(0, "kWh")
    shown = [await either.read(60 * n, sample(183 * n, unit="kWh")) for n in (1, 2, 3, 4)]
    assert shown[1:] == [366, 549, 732]
    assert await either.stop(300, 900, "kWh") == 900
    assert await either.corrections() == ({} if either.version == "1.6" else {"unit": 1})


async def test_wh_labelled_kwh_beside_measured_power(either):
    """At 3.7 kW the label is not impossible, but the power says otherwise."""
    await either.start(0, "kWh")
    power = sample(3_700, "Power.Active.Import", "W")
    shown = [await either.read(60 * n, sample(62 * n, unit="kWh"), power) for n in (1, 2, 3, 4)]
    assert shown[1:] == [124, 186, 248]
    assert await either.stop(300, 310, "kWh") == 310


async def test_kwh_without_a_unit_beside_measured_power(csms):
    """OCPP 2.1 chargers that send kWh and no unit."""
    async with csms.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
        meter = Meter(csms, charger, "2.1")
        await meter.start(0.0)
        power = sample(11_000, "Power.Active.Import", "W")
        for n in (1, 2, 3, 4):
            await meter.read(60 * n, sample(round(0.183 * n, 3)), power)
        assert await meter.energy() == pytest.approx(732)
        assert await meter.stop(300, 0.915) == pytest.approx(915)


@pytest.mark.parametrize(("factor", "unit"), [(1000.0, "kWh"), (0.001, "Wh")])
async def test_a_wrong_label_beside_a_lifetime_register(csms, meter, factor, unit):
    await meter.start(1_500_000)
    wrong = factor if unit == "Wh" else 1.0
    shown = [await meter.read(60 * n, sample((1_500_000 + 500 * n) * wrong, unit=unit)) for n in (1, 2, 3)]
    assert shown == [500, 1_000, 1_500]
    assert await meter.stop(240, 1_502_000) == 2_000
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_a_right_label_is_kept(either):
    """350 kW are 5.8 kWh a minute."""
    await either.start(0, "kWh")
    shown = [await either.read(60 * n, sample(5.8 * n, unit="kWh")) for n in (1, 2, 3)]
    assert shown == pytest.approx([5_800, 11_600, 17_400])


# 7. OCPP 2.x


@pytest.fixture
async def meter_2x(csms):
    async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as connected:
        yield Meter(csms, connected, "2.0.1")


async def test_the_start_of_2x_is_transaction_begin_in_any_event(meter_2x):
    await meter_2x.start(None)
    begin = sample(1_000, context="Transaction.Begin")
    assert await meter_2x.read(60, sample(1_500), begin) == 500
    assert await meter_2x.stop(120, 2_000) == 1_000
    assert await meter_2x.corrections() == {}


async def test_the_start_of_2x_is_else_the_earliest_sample_and_the_stop_the_last_before_ended(meter_2x):
    await meter_2x.start(None)
    await meter_2x.read(60, sample(1_500))
    assert await meter_2x.read(120, sample(1_900)) == 400
    assert await meter_2x.stop(180, None) == 400
    assert await meter_2x.corrections() == {}


# restart


@pytest.mark.parametrize("after", range(1, 5))
async def test_a_restart_in_the_middle_changes_nothing(csms, after):
    """Of a session with a reset, whose proof begins before the restart and ends after it."""
    async with csms.charger("CP1") as charger:
        meter = await Meter(csms, charger).start(5_000)
        for n, wh in enumerate((6_000, 8_000, 400, 1_000), 1):
            await meter.read(60 * n, sample(wh))
            if n == after:
                break
    await csms.restart()
    async with csms.charger("CP1") as charger:
        meter.charger = charger
        for n, wh in list(enumerate((6_000, 8_000, 400, 1_000), 1))[after:]:
            await meter.read(60 * n, sample(wh))
        assert await meter.energy() == 4_000
        assert await meter.stop(300, 1_300) == 4_300
