"""Sessions in the stranger shapes that chargers and simulators report: the rule of docs/metering.md, over a socket."""

from datetime import UTC, datetime

import pytest

from support.chargers import Payload
from support.meters import AT, Meter, sample
from wattspan.domain.timestamps import wire_time

POWER, CURRENT, VOLTAGE = "Power.Active.Import", "Current.Import", "Voltage"
INTERVAL = "Energy.Active.Import.Interval"


@pytest.fixture
async def meter(csms):
    async with csms.charger("CP1") as connected:
        yield Meter(csms, connected)


@pytest.fixture
async def meter_2x(csms):
    async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as connected:
        yield Meter(csms, connected, "2.0.1")


@pytest.fixture(params=["1.6", "2.0.1", "2.1"])
async def any_meter(request, csms):
    async with csms.charger("CP1", subprotocols=[f"ocpp{request.param}"]) as connected:
        yield Meter(csms, connected, request.param)


def values(meter: Meter, *measured: tuple[float, float]) -> list[Payload]:
    """MeterValues of these (seconds, register)."""
    return [{"timestamp": wire_time(meter.began_ts + at_s), "sampledValue": [sample(wh)]} for at_s, wh in measured]


# numbers


async def test_values_that_are_no_numbers_are_left_out_alone(csms, meter):
    """decimal commas, signs, exponents and spaces are numbers; empty, NaN, infinite and other values are not"""
    await meter.start(1_000)
    written = (
        "1100,5",
        "+1200",
        "1.3e3",
        " 1400 ",
        "",
        "NaN",
        "-inf",
        "1e400",
        "abc",
        None,
        True,
        [],
        {},
        "-5",
        "1450",
    )
    shown = [
        await meter.read(30 * n, {"value": value, "measurand": "Energy.Active.Import.Register"})
        for n, value in enumerate(written, 1)
    ]
    assert shown == [100.5, 200, 300, *([400] * 11), 450]
    assert await meter.stop(600, "1500") == 500
    assert await meter.corrections() == {}


async def test_signed_data_beside_raw_values_measures_nothing(csms, meter):
    await meter.start(5_000)
    for n in (1, 2, 3):
        signed = {"value": "12345678e9", "format": "SignedData"}
        assert await meter.read(60 * n, sample(5_000 + 100 * n, format="Raw"), signed) == 100 * n
    assert await meter.stop(240, None) == 300


async def test_figures_that_are_impossible_are_not_shown(csms, meter):
    """Infinite after the conversion of the unit, 10 kA, and 250 %."""
    meter.began_ts = datetime.now(UTC).timestamp() - 200
    await meter.start(1_000)
    await meter.read(60, sample(1_100), sample(7_400, POWER, "W"), sample(32, CURRENT, "A"), sample(40, "SoC"))
    wrong = ({"value": "1e308", "measurand": POWER, "unit": "kW"}, sample(1e12, CURRENT), sample(250, "SoC"))
    assert await meter.read(120, sample(1_200), *wrong) == 200
    assert await csms.metric("ocpp_cp_power_w", **AT) == 7_400
    assert await csms.metric("ocpp_cp_current_a", **AT) == 32
    assert not any(line.endswith(("Inf", "NaN", "e+300")) for line in await csms.page())


async def test_units_beyond_the_usual_ones(csms, meter):
    """MWh, kV and a current in mA."""
    meter.began_ts = datetime.now(UTC).timestamp() - 200
    await meter.start(27_650_000)
    volts = sample(0.23, VOLTAGE, "kV")
    assert await meter.read(60, sample(27.6505, unit="MWh"), sample(16_000, CURRENT, "mA"), volts) == 500
    assert await csms.metric("ocpp_cp_power_w", **AT) == 3_680


# power in the wrong unit


@pytest.mark.parametrize(
    ("watts", "sent", "label"),
    [(11_000, 11.0, "W"), (350_000, 350.0, "W"), (11_000, 11_000.0, "kW"), (3_700, 3_700.0, "kW")],
)
async def test_power_in_a_wrong_unit_changes_no_energy_and_is_shown_as_measured(csms, any_meter, watts, sent, label):
    """At 11 W nobody charges, nor at 11 MW: the register beside it shows which of the two units is wrong."""
    any_meter.began_ts = datetime.now(UTC).timestamp() - 290
    await any_meter.start(0)
    minute_wh = watts // 60
    for n in (1, 2, 3, 4):
        await any_meter.read(60 * n, sample(minute_wh * n), sample(sent, POWER, label))
    assert await any_meter.energy() == 4 * minute_wh
    assert await csms.metric("ocpp_cp_power_w", **AT) == watts
    assert await any_meter.stop(280, 5 * minute_wh) == 5 * minute_wh
    assert await any_meter.corrections() == {}


async def test_what_is_known_of_the_unit_of_power_survives_a_restart(csms):
    async with csms.charger("CP1") as charger:
        meter = Meter(csms, charger)
        meter.began_ts = datetime.now(UTC).timestamp() - 290
        await meter.start(0)
        for n in (1, 2, 3):
            await meter.read(60 * n, sample(183 * n), sample(11.0, POWER, "W"))
    await csms.restart()
    async with csms.charger("CP1") as charger:
        meter.charger = charger
        await meter.read(240, sample(183 * 4), sample(12.0, POWER, "W"))
        assert await csms.metric("ocpp_cp_power_w", **AT) == 12_000


# intervals instead of a register


@pytest.mark.parametrize("end", [None, "restart"])
@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_intervals_are_summed_where_there_is_no_register(csms, version, end):
    """A second series of intervals, by the clock, is about the same energy."""
    async with csms.charger("CP1", subprotocols=[f"ocpp{version}"]) as charger:
        meter = Meter(csms, charger, version)
        await meter.start(None)
        for n in (1, 2, 3):
            assert await meter.read(60 * n, sample(100, INTERVAL, "Wh")) == 100 * n
        assert await meter.read(181, sample(0.3, INTERVAL, "kWh", context="Sample.Clock")) == 300
    if end:
        await csms.restart()
    async with csms.charger("CP1", subprotocols=[f"ocpp{version}"]) as charger:
        meter.charger = charger
        assert await meter.read(240, sample(50, INTERVAL, "Wh")) == 350
        assert await meter.stop(300, None) == 350
        assert await meter.corrections() == {"stop_missing": 1}


async def test_intervals_beside_a_register_change_nothing(meter):
    await meter.start(1_000)
    assert await meter.read(60, sample(300, INTERVAL, "Wh")) == 300
    assert await meter.read(120, sample(1_250)) == 250
    assert await meter.read(180, sample(300, INTERVAL, "Wh")) == 250
    assert await meter.stop(240, 1_500) == 500
    assert await meter.corrections() == {}


# the highest value of a register


@pytest.mark.parametrize("highest_kwh", [65_536, 1_000_000, 2**32 / 1000])
async def test_a_register_that_passes_its_highest_value(any_meter, highest_kwh):
    highest = int(highest_kwh * 1000)
    await any_meter.start(highest - 1_000)
    await any_meter.read(60, sample(highest - 500))
    await any_meter.read(120, sample(500))
    assert await any_meter.read(180, sample(1_500)) == 2_500
    assert await any_meter.stop(240, 2_000) == 3_000
    assert await any_meter.corrections() == {"register_reset": 1}


@pytest.mark.parametrize("reads", [True, False])
async def test_a_register_that_passes_its_highest_value_before_the_stop(meter, reads):
    await meter.start(999_999_000)
    if reads:
        assert await meter.read(60, sample(999_999_500)) == 500
    assert await meter.stop(1_200, 2_000) == 3_000
    assert await meter.corrections() == {"register_reset": 1}


# order and clocks


@pytest.mark.parametrize("has_stop", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
async def test_transaction_data_with_the_newest_first(csms, meter, has_stop, is_known):
    await meter.start(1_000)
    data = values(meter, (240, 3_000), (180, 2_500), (120, 2_000), (60, 1_500))
    if not is_known:
        meter.tx = 77
    assert await meter.stop(300, 3_000 if has_stop else None, transactionData=data) == (2_000 if is_known else 1_500)


async def test_meter_values_with_the_newest_first(csms, meter):
    meter.began_ts = datetime.now(UTC).timestamp() - 250
    await meter.start(None)
    newest_first = [(60 * n, (sample(1_000 + 300 * n), sample(10 + n, CURRENT))) for n in (4, 3, 2, 1)]
    assert await meter.send(newest_first) == 900
    assert await csms.metric("ocpp_cp_current_a", **AT) == 14


async def test_a_clock_that_is_set_back_in_a_session_loses_no_energy(any_meter):
    """The end of summer time, on a clock that shows local time."""
    began_ts = any_meter.began_ts = any_meter.began_ts - 18_000
    await any_meter.start(1_000)
    for n in range(1, 10):
        any_meter.began_ts = began_ts - (3_600 if n > 4 else 0)
        assert await any_meter.read(600 * n, sample(1_000 + 600 * n)) == 600 * n
    assert await any_meter.stop(6_000, None) == 5_400


async def test_timestamps_without_a_zone_with_another_zone_and_of_2000(csms, meter):
    await meter.start(1_000)
    for n in range(1, 10):
        at = datetime.fromtimestamp(meter.began_ts + 60 * n, UTC)
        east = at.timestamp() + 7_200
        written = (
            at.isoformat(timespec="seconds")[:-6],
            datetime.fromtimestamp(east, UTC).isoformat(timespec="seconds")[:-6] + "+02:00",
            "2000-01-01T00:00:00Z",
        )[n % 3]
        value = {"timestamp": written, "sampledValue": [sample(1_000 + 600 * n)]}
        await meter.charger.call("MeterValues", {"connectorId": 1, "transactionId": meter.tx, "meterValue": [value]})
        assert await meter.energy() == 600 * n


async def test_the_end_inside_a_queued_stop_counts_though_readings_made_later_came_before_it(meter):
    """meterStart and meterStop are 0; the samples of begin and end tell the energy."""
    await meter.start(0)
    await meter.send([(0, (sample(98_000, context="Transaction.Begin"),)), (10, (sample(98_000),))])
    for at_s, wh in ((20, 98_001), (80, 98_003), (110, 98_128)):
        await meter.read(at_s, sample(wh))
    at = wire_time(meter.began_ts + 90)
    data = [{"timestamp": at, "sampledValue": [sample(98_006, context="Transaction.End")]}]
    assert await meter.stop(90, 0, transactionData=data) == 6
    assert await meter.corrections() == {"no_energy": 1}


async def test_a_queue_of_old_readings_after_newer_ones_changes_nothing(meter):
    await meter.start(1_000)
    assert await meter.read(600, sample(2_500)) == 1_500
    for n in (1, 2, 3):
        assert await meter.read(100 * n, sample(1_000 + 250 * n)) == 1_500
    assert await meter.read(700, sample(3_000)) == 2_000
    assert await meter.stop(720, None) == 2_000


async def test_a_last_reading_that_can_not_be_reached_is_not_the_stop(any_meter):
    """69 kWh in a minute, and then an end without a register."""
    await any_meter.start(1_000)
    for n, wh in enumerate((1_200, 1_400, 1_600, 71_000), 1):
        await any_meter.read(60 * n, sample(wh))
    assert await any_meter.stop(300, None) == 600


# transactions


@pytest.mark.parametrize("end", [None, "restart"])
async def test_an_id_of_2x_that_is_used_again(csms, end):
    """A station that numbers its transactions from 1 again after a boot."""
    for session in range(3):
        async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as charger:
            meter = Meter(csms, charger, "2.0.1")
            meter.began_ts += 400 * session
            await meter.start(1_000 * session)
            await meter.read(60, sample(1_000 * session + 500))
            assert await meter.energy() == 500
            assert await meter.stop(120, 1_000 * session + 800) == 800 * (session + 1)
            meter.seq_no = 2
            assert await meter.stop(120, 1_000 * session + 800) == 800 * (session + 1)  # the same again
        if end:
            await csms.restart()
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 3
    await csms.durable()
    assert [each.meter.energy_wh for each in await csms.store.transactions()] == [800, 800, 800]


async def test_a_session_that_is_corrected_twice_is_counted_once(csms, meter):
    """A boot closes it without a stop, and then the charger's late stop is 0."""
    await meter.start(1_000)
    await meter.read(60, sample(1_700))
    await meter.charger.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    await csms.becomes(700, "ocpp_cp_energy_total_wh", cp_id="CP1")
    assert await meter.stop(120, 0) == 700
    counted = [line for line in await csms.page() if line.startswith("ocpp_tx_energy_corrected_total{")]
    assert [float(line.rpartition(" ")[2]) for line in counted] == [1]
    await csms.durable()
    (kept,) = await csms.store.transactions()
    assert kept.energy_correction == "stop_unreachable"


async def test_two_transactions_at_one_connector_keep_their_own_registers(make_csms):
    csms = await make_csms(plugins=[])
    async with csms.charger("CP1") as charger:
        first, second = Meter(csms, charger), Meter(csms, charger)
        await first.start(1_000)
        await first.read(60, sample(1_200))
        await second.start(5_000, idTag="OTHER")
        await second.read(90, sample(5_100))
        await first.read(120, sample(1_500))
        assert await first.stop(200, 2_000) == 1_000
        await second.read(240, sample(5_300))
        assert await second.stop(300, 5_500) == 1_500


@pytest.mark.parametrize("order", [1, -1])
async def test_an_end_that_has_all_readings_in_any_order(meter_2x, order):
    meter_2x.tx = "T1"
    at = [
        {"timestamp": wire_time(meter_2x.began_ts + at_s), "sampledValue": [{"value": wh}]}
        for at_s, wh in ((0, 1_000.0), (60, 1_500.0), (120, 2_000.0))
    ]
    call = {
        "eventType": "Ended",
        "timestamp": wire_time(meter_2x.began_ts + 120),
        "triggerReason": "EVDeparted",
        "seqNo": 3,
        "transactionInfo": {"transactionId": "T1"},
        "evse": {"id": 1},
        "meterValue": at[::order],
    }
    await meter_2x.charger.call("TransactionEvent", call)
    assert await meter_2x.csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 1_000


async def test_multipliers_of_2x(meter_2x):
    await meter_2x.start(1_000)
    scaled = ((15, "kWh", -1, 500), (2_000_000, "Wh", -3, 1_000), (2.5, "Wh", 3, 1_500))
    for n, (value, unit, multiplier, energy_wh) in enumerate(scaled, 1):
        sampled = {"value": value, "unitOfMeasure": {"unit": unit, "multiplier": multiplier}}
        at = wire_time(meter_2x.began_ts + 60 * n)
        call = {
            "eventType": "Updated",
            "timestamp": at,
            "triggerReason": "MeterValueClock",
            "seqNo": 10 + n,
            "transactionInfo": {"transactionId": meter_2x.tx},
            "evse": {"id": 1},
            "meterValue": [{"timestamp": at, "sampledValue": [sampled]}],
        }
        await meter_2x.charger.call("TransactionEvent", call)
        assert await meter_2x.energy() == energy_wh


async def test_a_session_that_exports_takes_nothing(any_meter):
    await any_meter.start(1_000)
    for n in (1, 2, 3):
        exported = sample(5_000 + 183 * n, "Energy.Active.Export.Register"), sample(11_000, "Power.Active.Export")
        assert await any_meter.read(60 * n, sample(1_000), *exported) == 0
    assert await any_meter.stop(240, 1_000) == 0
    assert await any_meter.corrections() == {}
