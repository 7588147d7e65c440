"""Sessions as unusual chargers report them, over a socket: what is shown is what a person would read from them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from support.meters import AT, REGISTER, Meter, sample
from wattspan.domain.timestamps import wire_time

POWER, CURRENT, VOLTAGE, SOC = "Power.Active.Import", "Current.Import", "Voltage", "SoC"


@pytest.fixture(params=["1.6", "2.0.1", "2.1"])
async def any_meter(request, csms):
    async with csms.charger("CP1", subprotocols=[f"ocpp{request.param}"]) as connected:
        yield of_now(Meter(csms, connected, request.param))


@pytest.fixture
async def meter(csms):
    async with csms.charger("CP1") as connected:
        yield of_now(Meter(csms, connected))


def of_now(meter: Meter) -> Meter:
    """One whose session began a few minutes ago, so that its readings are current figures."""
    meter.began_ts = datetime.now(UTC).timestamp() - 240
    return meter


async def shown(meter: Meter) -> tuple[float | None, float | None, float | None]:
    """Current, power and state of charge of the connector."""
    current_a = await meter.csms.metric("ocpp_cp_current_a", **AT)
    power_w = await meter.csms.metric("ocpp_cp_power_w", **AT)
    return current_a, power_w, meter.csms.central.fleet.charge_points["CP1"].connectors["1"].soc_percent


def figures(current_a: float | None, power_w: float | None, soc: float | None) -> Any:
    return tuple(None if each is None else pytest.approx(each, abs=0.01) for each in (current_a, power_w, soc))


async def test_a_dc_charger_that_sends_each_location_in_a_message_of_its_own(any_meter):
    await any_meter.start(27_650_000)
    for n in (1, 2, 3):
        inlet = [sample(240.1 + n, unit="kWh", location="Inlet"), sample(121, POWER, "kW", location="Inlet")]
        await any_meter.read(60 * n, *inlet, sample(261, CURRENT, "A", location="Inlet"))
        outlet = [
            sample(27_650_000 + 1_400 * n, unit="Wh", location="Outlet"),
            sample(84_918, POWER, location="Outlet"),
        ]
        energy_wh = await any_meter.read(60 * n, *outlet, sample(157.6, CURRENT, location="Outlet"))
        await any_meter.read(60 * n, sample(40 + n, SOC, "Percent", location="EV"))
        assert energy_wh == 1_400 * n
        assert await shown(any_meter) == figures(157.6, 84_918, 40 + n)
    assert await any_meter.stop(240, 27_655_600) == 5_600
    assert await any_meter.corrections() == {}


@pytest.mark.parametrize("first", ["Inlet", "Outlet"])
async def test_a_session_without_a_start_is_that_of_the_outlet_whichever_location_comes_first(any_meter, first):
    await any_meter.start(None)
    for n in (1, 2, 3):
        sent = {"Inlet": 5_000_000 + 200 * n, "Outlet": 1_000 + 183 * n}
        for location in (first, *(sent.keys() - {first})):
            await any_meter.read(60 * n, sample(sent[location], location=location))
    assert await any_meter.energy() == 2 * 183
    assert await any_meter.stop(240, 1_732) == 3 * 183


@pytest.mark.parametrize("context", ["Sample.Periodic", "Trigger"])
@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("phases", [("",), ("L1", "L2", "L3")])
async def test_a_lifetime_register_with_the_context_of_the_clock_beside_that_of_the_session(
    any_meter, context, is_last, phases
):
    await any_meter.start(0)
    for n in (1, 2, 3):
        of_session = []
        for phase in phases:
            placed = {"context": context} | ({"phase": phase} if phase else {})
            of_session.append(sample(183 * n / len(phases), **placed))
            of_session.append(sample(11_100 / len(phases), POWER, **placed))
        of_clock = [sample(5_000_000 + 900 * n, context="Sample.Clock"), sample(54_000, POWER, context="Sample.Clock")]
        sampled = [*of_session, *of_clock] if is_last else [*of_clock, *of_session]
        assert await any_meter.read(60 * n, *sampled) == 183 * n
        assert await shown(any_meter) == figures(None, 11_100, None)
    assert await any_meter.stop(240, 732) == 732
    assert await any_meter.csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_signed_values_alone_leave_the_energy_to_start_and_stop(meter):
    await meter.start(1_000)
    ocmf = 'OCMF|{"RD":[{"RV":"1.5","RU":"kWh"}]}|{"SD":"30"}'
    for n in (1, 2):
        await meter.read(60 * n, {"value": ocmf, "format": "SignedData", "measurand": REGISTER})
    assert (
        await meter.stop(180, 1_550, transactionData=[at(meter, 180, {"value": ocmf, "format": "SignedData"})]) == 550
    )
    assert await meter.corrections() == {}


async def test_values_written_as_in_germany(meter):
    await meter.start(12_000)
    for n, text in enumerate(("12,183", "12,366", "12,549"), 1):
        power = {"value": "11,04", "measurand": POWER, "unit": "kW"}
        assert await meter.read(60 * n, {"value": text, "measurand": REGISTER, "unit": "kWh"}, power) == 183 * n
        assert await shown(meter) == figures(None, 11_040, None)
    assert await meter.stop(240, 12_732) == 732


async def test_a_car_that_gives_power_back(any_meter):
    """A negative power is no reason to doubt the register, which stands still meanwhile."""
    await any_meter.start(5_000)
    for n, (register_wh, power_w) in enumerate(((5_100, 6_000), (5_100, -4_000), (5_100, -4_000), (5_200, 6_000)), 1):
        assert await any_meter.read(60 * n, sample(register_wh), sample(power_w, POWER)) == register_wh - 5_000
    assert await any_meter.stop(300, 5_300) == 300
    assert await any_meter.corrections() == {}


async def test_a_charger_that_reports_nothing_but_the_state_of_charge(any_meter):
    await any_meter.start(700_000)
    for n in (1, 2, 3):
        await any_meter.read(60 * n, sample(20 + n, SOC, "Percent"))
        assert await shown(any_meter) == figures(None, None, 20 + n)
    assert await any_meter.stop(240, 712_000) == 12_000
    assert await any_meter.corrections() == {}


@pytest.mark.parametrize("suffix", ["", "-N"])
async def test_phases_to_neutral_are_phases_and_the_neutral_conductor_is_none(any_meter, suffix):
    await any_meter.start(1_000)
    sampled = [sample(1_183)]
    for number, current_a in ((1, 16.2), (2, 15.8), (3, 15.9)):
        sampled.append(sample(current_a, CURRENT, "A", phase=f"L{number}"))
        sampled.append(sample(3_680, POWER, "W", phase=f"L{number}{suffix}"))
        sampled.append(sample(230, VOLTAGE, "V", phase=f"L{number}-N"))
        sampled.append(sample(398, VOLTAGE, "V", phase=f"L{number}-L{number % 3 + 1}"))
    sampled.append(sample(25, CURRENT, "A", phase="N"))
    assert await any_meter.read(60, *sampled) == 183
    assert await shown(any_meter) == figures(16.2, 11_040, None)


async def test_phases_beside_their_total(any_meter):
    await any_meter.start(0)
    sampled = [sample(183), sample(11_000, POWER), sample(48, CURRENT)]
    for number in (1, 2, 3):
        sampled += [sample(61, phase=f"L{number}"), sample(3_666, POWER, phase=f"L{number}")]
        sampled += [sample(16, CURRENT, phase=f"L{number}")]
    assert await any_meter.read(60, *sampled) == 183
    assert (await shown(any_meter))[1] == 11_000


async def test_a_register_of_the_cable_and_a_temperature_of_the_body(meter):
    await meter.start(1_000)
    for n in (1, 2):
        sampled = [sample(35 + n, "Temperature", "Celsius", location="Body"), sample(1_000 + 200 * n, location="Cable")]
        assert await meter.read(60 * n, *sampled) == 200 * n
    assert await meter.stop(180, 1_600) == 600


async def test_measurands_that_are_no_use_of_energy(any_meter):
    """What is offered, reactive, exported or of the grid is neither the session's energy nor its figures."""
    await any_meter.start(1_000)
    others = [
        sample(32, "Current.Offered", "A"),
        sample(22_000, "Power.Offered", "W"),
        sample(9_000, "Power.Reactive.Import", "var"),
        sample(0.98, "Power.Factor"),
        sample(50, "Frequency"),
        sample(777_777, "Energy.Active.Export.Register", "Wh"),
        sample(888_888, "Energy.Reactive.Import.Register", "varh"),
        sample(12, "Current.Export", "A"),
    ]
    for n in (1, 2):
        sampled = [*others, sample(1_000 + 100 * n), sample(10, CURRENT), sample(6_900, POWER)]
        assert await any_meter.read(60 * n, *sampled) == 100 * n
        assert await shown(any_meter) == figures(10, 6_900, None)
    assert await any_meter.stop(180, 1_300) == 300
    assert await any_meter.corrections() == {}


@pytest.mark.parametrize("stop", ["1550.0", "1550", 1550.0, "1550,0", " 1550 "])
async def test_a_stop_that_is_text_or_has_a_fraction(meter, stop):
    await meter.start("1000.0")
    assert await meter.read(60, sample(1_200)) == 200
    assert await meter.stop(120, stop) == 550
    assert await meter.corrections() == {}


@pytest.mark.parametrize("zone", ["Z", "", "+05:30", "-0800", " "])
async def test_times_with_and_without_a_zone(meter, zone):
    """Local time without a zone looks hours wrong; the registers are right all the same."""
    began = wire_time(meter.began_ts).removesuffix("Z")[:19] + zone
    await meter.start(1_000, timestamp=began)
    for n in (1, 2):
        values = at(meter, 60 * n, sample(1_000 + 200 * n))
        values["timestamp"] = values["timestamp"].removesuffix("Z")[:19] + zone
        await meter.charger.call("MeterValues", {"connectorId": 1, "transactionId": meter.tx, "meterValue": [values]})
        assert await meter.energy() == 200 * n
    ended = wire_time(meter.began_ts + 180).removesuffix("Z")[:19] + zone
    assert await meter.stop(180, 1_600, timestamp=ended) == 600
    assert await meter.corrections() == {}


async def test_data_of_a_stop_newest_first_with_all_measurands(meter):
    await meter.start(1_000)
    data = [
        at(meter, 60 * n, sample(1_000 + 100 * n), sample(6_000, POWER), sample(30 + n, SOC)) for n in (4, 3, 2, 1, 0)
    ]
    assert await meter.stop(240, None, transactionData=data) == 400
    assert await meter.corrections() == {}


async def test_a_register_without_a_measurand_in_kwh_beside_figures_without_units(any_meter):
    await any_meter.start(1_000)
    for n in (1, 2, 3):
        default = {name: value for name, value in sample(1 + 0.183 * n, unit="kWh").items() if name != "measurand"}
        assert await any_meter.read(60 * n, default, sample(11_000, POWER), sample(16, CURRENT)) == pytest.approx(
            183 * n
        )
        assert await shown(any_meter) == figures(16, 11_000, None)


async def test_samples_at_an_interruption_are_readings_like_others(any_meter):
    await any_meter.start(1_000)
    contexts = ("Interruption.Begin", "Interruption.End", "Trigger", "Other", "Sample.Periodic")
    for n, context in enumerate(contexts, 1):
        assert await any_meter.read(60 * n, sample(1_000 + 100 * n, context=context)) == 100 * n
    assert await any_meter.stop(360, 1_600) == 600


async def test_readings_of_another_evse_never_move_a_session(any_meter):
    meter, other = any_meter, "connectorId" if any_meter.version == "1.6" else "evseId"
    await meter.start(1_000)
    for n in (1, 2, 3):
        assert await meter.read(60 * n, sample(1_000 + 100 * n), sample(6_000, POWER)) == 100 * n
        sampled: Sequence[Any] = [sample(500 * n), sample(90_000, POWER), sample(200, CURRENT), sample(88, SOC)]
        if meter.version != "1.6":
            sampled = [{**each, "value": float(each["value"])} for each in sampled]
        value = {"timestamp": wire_time(meter.began_ts + 60 * n), "sampledValue": sampled}
        for place in (2, 3):
            await meter.charger.call("MeterValues", {other: place, "meterValue": [value]})
        assert await meter.energy() == 100 * n
        assert await shown(meter) == figures(None, 6_000, None)
    assert await meter.stop(240, None) == 300


async def test_a_wrong_unit_is_found_in_a_session_with_pauses(any_meter):
    """Wh labelled kWh: no charger adds 20 kWh in ten seconds, and the measured power says Wh as well."""
    await any_meter.start(0, unit="kWh" if any_meter.version != "1.6" else "")
    told = ((0, 0), (0, 0), (0, 0), (3, 1_400), (23, 7_400), (23, 0), (23, 0), (43, 7_400))
    for n, (register, power_w) in enumerate(told, 1):
        await any_meter.read(10 * n, sample(register, unit="kWh"), sample(power_w, POWER, "W"))
    assert await any_meter.energy() == pytest.approx(43)
    assert await any_meter.stop(90, 63, unit="kWh") == pytest.approx(63)


def at(meter: Meter, at_s: float, *sampled: Any) -> Any:
    """A MeterValue."""
    return {"timestamp": wire_time(meter.began_ts + at_s), "sampledValue": [*sampled]}
