"""A made-up past, as the demo records one, and the charge points that go on with it."""

import asyncio
import time
from collections.abc import Iterator
from math import isnan

from support.central import Csms
from support.chargers import energy, meter_values
from support.fleet_events import metered
from support.waiting import eventually
from wattspan.domain import events as ev
from wattspan.store.series.blocks import ENERGY, WHOLE

STEP_S = 60


def past(now_ts: float) -> list[tuple[int, list[ev.Event]]]:
    """A session that began ten minutes ago and is under way."""
    first_ts = int(now_ts) // STEP_S * STEP_S - 600
    at_ts = float(first_ts)
    events: list[ev.Event] = [
        ev.ChargePointConnected(cp_id="CP1", received_ts=at_ts, protocol="ocpp1.6"),
        ev.ConnectorStatusChanged(
            cp_id="CP1", received_ts=at_ts, connector_id="1", status="Charging", error_code="NoError"
        ),
        ev.TransactionStarted(
            cp_id="CP1",
            received_ts=at_ts,
            connector_id="1",
            transaction_id="1",
            key="start",
            id_token="TAG",
            meter_start_wh=1000.0,
            started_ts=at_ts,
        ),
    ]
    return [(first_ts, events), *((ts, []) for ts in range(first_ts + STEP_S, int(now_ts), STEP_S))]


async def test_a_session_of_a_made_up_past_goes_on_without_an_interruption(csms: Csms) -> None:
    await csms.central.record_past(past(time.time()), STEP_S)
    cp = csms.central.fleet.charge_points["CP1"]
    assert cp.connected  # from the first second
    async with csms.charger("CP1") as charger:
        await charger.call("MeterValues", meter_values(1, energy(1500)))
        (transaction,) = cp.transactions.values()
        assert transaction.meter.energy_wh == 500
        assert not [each.name for each in transaction.timeline if each.name in {"disconnected", "reconnected"}]
        assert (cp.disconnects, cp.reconnects_during_tx) == (0, 0)
    await eventually(lambda: not cp.connected)
    async with csms.charger("CP1"):
        await eventually(lambda: cp.connected)
    assert (cp.disconnects >= 1, cp.reconnects_during_tx) == (True, 1)  # from then on as always


async def test_the_energy_of_a_made_up_past_is_not_that_of_the_present_minute(csms: Csms) -> None:
    """A minute ends while the past is recorded, which takes a while on a busy machine."""
    now_ts = time.time()
    series, minute_ts = csms.central._history.series, int(now_ts) // STEP_S * STEP_S
    first, second, (third_ts, _), *rest = past(now_ts)
    sampled = []

    def steps() -> Iterator[tuple[int, list[ev.Event]]]:
        yield first
        sampled.append(asyncio.create_task(series.record(minute_ts - STEP_S)))
        yield second
        yield third_ts, [metered(1_100.0, third_ts + 1.0)]
        yield from rest

    await csms.central.record_past(steps(), STEP_S)
    await asyncio.gather(*sampled)
    await series.record(minute_ts)
    channels = [block.places[WHOLE][ENERGY] for block in series.open_blocks(["CP1"])]
    assert {wh for energies_wh in channels for wh in energies_wh if not isnan(wh)} == {0.0}
    cp = csms.central.fleet.charge_points["CP1"]
    assert [each.meter.energy_wh for each in cp.transactions.values()] == [100.0]
