"""Meters as real chargers read them. Each docstring has the words of docs/quirks.md."""

import pytest

from support.chargers import BOOT, START, Charger, Payload, energy, meter_values, stop

AT = {"cp_id": "CP1", "connector_id": "1"}


@pytest.fixture
async def charger(csms):
    async with csms.charger("CP1") as connected:
        yield connected


class Session:
    """A transaction whose meter starts at `start_wh`, and what becomes of what its meter shows."""

    def __init__(self, csms, charger: Charger) -> None:
        self.csms = csms
        self.charger = charger
        self.tx = 0

    async def start(self, start_wh: float) -> "Session":
        call = {**START, "meterStart": start_wh}
        self.tx = (await self.charger.call("StartTransaction", call))["transactionId"]
        return self

    async def read(self, *sampled: Payload) -> float | None:
        assert await self.charger.call("MeterValues", meter_values(self.tx, *sampled)) == {}
        return await self.csms.metric("ocpp_tx_energy_wh", **AT)

    async def stop(self, stop_wh: float) -> float | None:
        assert await self.charger.call("StopTransaction", stop(self.tx, stop_wh)) == {}
        return await self.csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1")


@pytest.fixture
def session(csms, charger) -> Session:
    return Session(csms, charger)


def labelled(value: float, unit: str, **more: str) -> Payload:
    return {"value": str(value), "measurand": "Energy.Active.Import.Register", "unit": unit, **more}


async def test_kwh_labelled_wh(csms, session):
    """kWh labelled Wh"""
    await session.start(1_500_000)
    assert await session.read(labelled(1500.5, "Wh")) == 500
    assert await session.read(labelled(1503.25, "Wh")) == 3250
    assert await session.stop(1_504_000) == 4000
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_wh_labelled_kwh(csms, session):
    """Wh labelled kWh"""
    await session.start(1_500_000)
    assert await session.read(labelled(1_500_500, "kWh")) == 500
    assert await session.read(labelled(1_503_250, "kWh")) == 3250
    assert await session.stop(1_504_000) == 4000
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_a_lifetime_register_at_the_start_and_a_session_relative_one_later(session):
    """register of the meter's lifetime at start, session-relative later"""
    await session.start(27_650_000)
    assert await session.read(energy(0)) == 0
    assert await session.read(energy(1200)) == 1200
    assert await session.read(energy(5400)) == 5400
    assert await session.stop(27_656_000) == 6000


async def test_a_register_reset_at_boot(csms, session, charger):
    """register reset at boot or at each transaction"""
    await session.start(5000)
    assert await session.read(energy(8000)) == 3000
    async with csms.charger("CP1") as rebooted:
        session.charger = rebooted
        assert await session.read(energy(400)) >= 3000
        assert await session.read(energy(1000)) >= 3600
        assert 3900 <= await session.stop(1300) <= 4300
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_a_register_reset_at_each_transaction(csms, charger):
    """register reset at boot or at each transaction"""
    for number in range(3):
        call = {**START, "meterStart": 0, "timestamp": f"2026-11-21T1{number}:00:00Z"}
        tx = (await charger.call("StartTransaction", call))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, energy(2000)))
        await charger.call("StopTransaction", {**stop(tx, 2500), "timestamp": f"2026-11-21T1{number}:30:00Z"})
        assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 2500 * (number + 1)


async def test_slightly_negative_energy_at_the_start(session):
    """slightly negative energy at the start"""
    await session.start(1000)
    assert await session.read(energy(997)) == 0
    assert await session.read(energy(-3)) == 0
    assert await session.read(energy(1500)) == 500
    assert await session.stop(2000) == 1000


@pytest.mark.parametrize("order", [1, -1])
async def test_wh_at_the_outlet_and_kwh_at_the_inlet_in_one_message(csms, session, order):
    """one message with 27,651,034 Wh at the outlet and 30,513 kWh at the inlet: key by measurand, phase, location and
    context, prefer Outlet, make units equal
    """
    outlet, inlet = labelled(27_651_034, "Wh", location="Outlet"), labelled(30_513, "kWh", location="Inlet")
    earlier = labelled(27_650_100, "Wh", location="Outlet", context="Transaction.Begin")
    await session.start(27_650_000)
    assert await session.read(*(outlet, inlet, earlier)[::order]) == 1034
    assert await session.stop(27_652_000) == 2000
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_per_phase_energy(session):
    """per-phase energy"""
    await session.start(3000)
    assert await session.read(*(labelled(wh, "Wh", phase=f"L{n}") for n, wh in enumerate((1200, 1300, 1250), 1))) == 750
    whole = [labelled(1400, "Wh", phase="L1"), labelled(4200, "Wh"), labelled(1400, "Wh", phase="L2")]
    assert await session.read(*whole) == 1200


async def test_a_lone_n_phase(csms, session):
    """a lone `N` phase"""
    await session.start(1000)
    neutral = [{"value": "7", "measurand": measurand, "phase": "N"} for measurand in ("Current.Import", "Voltage")]
    assert await session.read(*neutral) == 0
    assert await session.read(labelled(9_999, "Wh", phase="N")) == 0
    for name in ("ocpp_cp_current_a", "ocpp_cp_power_w"):
        assert await csms.metric(name, **AT) is None


async def test_power_factor_is_not_summed(csms, session):
    """power factor is not summed"""
    await session.start(1000)
    factors = [{"value": "0.98", "measurand": "Power.Factor", "phase": f"L{number}"} for number in (1, 2, 3)]
    power = {"value": "7200", "measurand": "Power.Active.Import", "unit": "W"}
    await session.read(*factors, power, energy(1100))
    assert await csms.metric("ocpp_cp_power_w", **AT) == 7200
    await session.read(*factors, energy(1200))
    assert await csms.metric("ocpp_cp_power_w", **AT) == 7200


async def test_transaction_begin_samples_that_arrive_late(csms, session):
    """`Transaction.Begin` samples arriving late must not overwrite the live value"""

    def sampled(current_a: float, wh: float, context: str) -> list[Payload]:
        current = {"value": str(current_a), "measurand": "Current.Import", "context": context}
        return [current, labelled(wh, "Wh", context=context)]

    await session.start(1000)
    assert await session.read(*sampled(16, 3000, "Sample.Periodic")) == 2000
    assert await session.read(*sampled(0, 1000, "Transaction.Begin")) == 2000
    assert await csms.metric("ocpp_cp_current_a", **AT) == 16
    assert await session.read(*sampled(15, 3500, "Sample.Clock"), *sampled(0, 1000, "Transaction.Begin")) == 2500
    assert await csms.metric("ocpp_cp_current_a", **AT) == 15
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") == 0


async def test_a_register_that_jumps_is_counted_and_one_that_jumps_back_costs_nothing(csms, session):
    """registers that reset, jump or go backwards"""
    await session.start(1000)
    assert await session.read(energy(2000)) == 1000
    assert await session.read(energy(2_000_000_000)) == 1000
    assert await session.read(energy(3000)) == 2000
    assert await session.stop(4000) == 3000
    assert await csms.metric("ocpp_energy_jump_total", cp_id="CP1") >= 1


async def test_a_register_that_goes_backwards_lowers_the_provisional_figure_alone(session):
    """registers that reset, jump or go backwards"""
    await session.start(100_000)
    shown = [await session.read(energy(wh)) for wh in (103_000, 102_950, 103_500, 101_000, 104_000)]
    assert shown == [3000, 2950, 3500, 1000, 4000]
    assert await session.stop(105_000) == 5000


async def test_every_session_of_a_charger_that_boots_in_its_middle_is_counted_once(csms, charger):
    """register reset at boot or at each transaction"""
    tx = (await charger.call("StartTransaction", START))["transactionId"]
    await charger.call("MeterValues", meter_values(tx, energy(3000)))
    await charger.call("BootNotification", BOOT)
    await csms.becomes(2000, "ocpp_cp_energy_total_wh", cp_id="CP1")
    assert await charger.call("StopTransaction", stop(tx, 200)) == {}
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") <= 2200


async def test_figures_have_the_resolution_of_meters(csms, charger, session):
    """figures with the error of binary fractions (1625.0000000000002)"""
    await session.start(0)
    await session.read(labelled(0.1, "kWh"), {"value": "16.000000000000004", "measurand": "Current.Import"})
    assert await session.read(labelled(1.6250000000000002, "kWh")) == 1625
    assert await csms.metric("ocpp_cp_current_a", **AT) == 16
    assert await session.stop(1625.0000000000002) == 1625
