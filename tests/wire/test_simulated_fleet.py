"""A simulated fleet with faults against the real server: its metrics equal the fleet's ledger, to the Wh."""

import asyncio
from pathlib import Path

import pytest

from support.waiting import eventually
from wattspan import CentralSystem
from wattspan.simulator import MIX, ArrivalPattern, FaultRates, Simulation

ARRIVALS = ArrivalPattern(busy_at_start=0.8, sessions_per_day=60, stay_s=(600, 3600), quietest=1.0)


@pytest.mark.parametrize("rate", [0.0, 0.2])
async def test_the_totals_are_those_of_the_fleets_own_ledger(tmp_path: Path, rate: float) -> None:
    async with CentralSystem(database=str(tmp_path / "fleet.db"), port=0, metrics_port=0, api_port=0) as csms:
        simulation = Simulation(
            url=f"ws://127.0.0.1:{csms.port}/ws",
            charge_points=20,
            time_factor=600,
            faults=FaultRates.all(rate),
            arrivals=ARRIVALS,
            versions=MIX,
        )
        running = asyncio.create_task(simulation.run())
        await eventually(lambda: simulation.progress().sessions > 20)
        simulation.finish()
        ledger = await running
        assert ledger.total.errors == 0
        assert ledger.total.stops > 10
        for cp_id, expected in ledger.charge_points.items():
            counted = csms.fleet.charge_points[cp_id]
            assert (counted.tx_total, counted.energy_total_wh) == (expected.starts, expected.energy_wh)
            assert not counted.transactions
