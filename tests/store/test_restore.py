import asyncio
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.fleet_events import NOW, connected, day, metered, started, stopped
from support.sites import opened
from wattspan.domain import events as ev
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint
from wattspan.store.journal.batch import MAX_STALE
from wattspan.store.store import Store

OF_THE_PROCESS = {"connected", "outage_counted", "clock_offset"}
"""No connection outlives the process; the next one's outage is counted then, its clock compared anew."""
MAY_BE_STALE = {"last_msg_ts", "last_heartbeat_ts", "errors", "authorizations", "schema_faults"}
"""No answer waited for these to be stored: a crash may lose the last second of them."""


def figures_of(cp: ChargePoint, *, but: set[str]) -> dict[str, Any]:
    """Return every field, the meters of transactions by their three values."""
    found = {field.name: getattr(cp, field.name) for field in fields(cp) if field.name not in but}
    found["connectors"] = {name: repr(connector) for name, connector in sorted(cp.connectors.items())}
    found["transactions"] = {name: repr(transaction) for name, transaction in sorted(cp.transactions.items())}
    return found


def same(fleet: Fleet, again: Fleet, *, but: set[str] = OF_THE_PROCESS) -> None:
    assert set(again.charge_points) == set(fleet.charge_points)
    for cp_id, cp in fleet.charge_points.items():
        assert figures_of(again.charge_points[cp_id], but=but) == figures_of(cp, but=but)
    assert (again.last_number, again.last_transaction_id) == (fleet.last_number, fleet.last_transaction_id)


async def test_after_a_clean_stop_every_figure_is_back(site, open_site):
    site.apply(*day())
    await site.journal.flush()
    await site.end()
    again = await open_site()
    same(site.fleet, again.fleet)
    assert again.fleet.charge_points["CP1"].energy_total_wh == 8000.0
    assert not again.fleet.changes.due


async def test_after_an_abrupt_end_every_committed_fact_is_back(site, open_site):
    for event in day():
        site.apply(event)
        assert await site.commit() is None
    await site.end()
    again = await open_site()
    same(site.fleet, again.fleet, but=OF_THE_PROCESS | MAY_BE_STALE)
    running = again.fleet.charge_points["CP1"].transactions["2"]
    assert running.meter.energy_wh == 16_500.0


@pytest.mark.parametrize("parts", range(5))
async def test_an_end_amid_a_flush_loses_nothing(site, open_site, parts):
    """A flush goes with several batches; readings come in between, and the process ends after some of them."""
    ids = [f"CP{n:04}" for n in range(3 * MAX_STALE)]
    for cp_id in ids:
        site.apply(connected(cp_id), started(cp_id), metered(1500.0, NOW, cp_id))
    await site.journal.flush()
    for turn in (1, 2):
        for cp_id in ids:
            site.apply(metered(1500.0 + 100 * turn, NOW + turn, cp_id))
        await site.commit()
        if turn == 1:
            site.journal.tick()
            for part in range(parts):
                site.apply(metered(1550.0 + part, NOW + 1 + part / 10, ids[-1 - part]))
                await site.commit()
    await site.end()
    same(site.fleet, (await open_site()).fleet, but=OF_THE_PROCESS | MAY_BE_STALE)


async def test_readings_before_a_flush_are_not_replayed(site, open_site):
    site.apply(connected(), started(), metered(1500.0, NOW + 10))
    await site.journal.flush()
    # The register was reset: read twice, 300 Wh would count twice.
    site.apply(metered(300.0, NOW + 20), metered(600.0, NOW + 30))
    await site.commit()
    await site.end()
    again = await open_site()
    same(site.fleet, again.fleet)


async def test_a_connector_shows_nothing_of_a_session_that_ended(site, open_site):
    site.apply(connected(), metered(5.0, NOW, transaction_id=None))
    await site.commit()
    site.apply(started(), metered(1500.0, NOW + 1))
    await site.commit()
    site.apply(stopped(at=NOW + 2))
    await site.commit()
    await site.end()
    again = await open_site()
    connector = again.fleet.charge_points["CP1"].connectors["1"]
    assert (connector.current_a, connector.power_w, connector.transaction) == (0.0, 0.0, None)
    same(site.fleet, again.fleet)


async def test_a_decommissioned_charge_point_is_not_back_and_its_transactions_are_kept_closed(site, open_site):
    site.apply(*day())
    await site.journal.flush()
    site.apply(ev.ChargePointDecommissioned(cp_id="CP1", received_ts=NOW))
    await site.commit()
    await site.end()
    again = await open_site()
    assert set(again.fleet.charge_points) == {"CP2"}
    kept = await again.store.transactions(cp_id="CP1")
    assert [(t.transaction_id, t.open, t.reason) for t in kept] == [
        ("2", False, "Decommissioned"),
        ("1", False, "Local"),
    ]


async def test_one_removed_while_no_server_ran_is_not_back_and_leaves_the_tables(site, open_site):
    site.apply(*day())
    await site.journal.flush()
    assert await site.store.remove_charge_point("CP1")
    await site.end()
    again = await open_site()
    assert set(again.fleet.charge_points) == {"CP2"}
    await again.commit()
    assert await again.store.removed_charge_points() == []


@pytest.mark.parametrize("charge_points", [300])
async def test_ids_go_on_from_the_highest_ever_given(site, open_site, charge_points):
    for n in range(1, charge_points + 1):
        site.apply(connected(f"CP{n}"), started(f"CP{n}", str(n)))
    await site.commit()
    await site.end()
    again = await open_site()
    assert (again.fleet.last_number, again.fleet.last_transaction_id) == (charge_points, charge_points)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("metered"), st.sampled_from([0.0, 0.5, 900.0, 1200.0, 1.3, 5000.0, 30_000.0]), st.integers(-400, 90)
        ),
        st.tuples(st.just("begins"), st.just(1000.0), st.integers(-90, 90)),
        st.tuples(st.just("commit"), st.just(0.0), st.just(0)),
        st.tuples(st.just("flush"), st.just(0.0), st.just(0)),
        st.tuples(st.just("status"), st.just(0.0), st.just(0)),
        st.tuples(st.just("stop"), st.just(7000.0), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_the_order_the_restored_figures_are_those_committed(steps, tmp_path_factory):
    asyncio.run(_round(steps, str(tmp_path_factory.mktemp("round") / "fleet.db")))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_the_order_postgresql_restores_what_was_committed(steps, postgres):
    asyncio.run(_round(steps, postgres.empty()))


async def _round(steps: list[tuple[str, float, int]], path: str) -> None:
    site = await opened(path)
    at = NOW
    site.apply(connected(), started())
    for what, register_wh, shift in steps:
        at += 30
        if what == "commit":
            await site.commit()
        elif what == "flush":
            await site.journal.flush()
        else:
            site.apply(EVENTS[what](register_wh, at, shift))
    await site.commit()
    await site.end()
    store = await Store.open(path)
    again = Fleet()
    await store.restore(again)
    await store.close()
    same(site.fleet, again, but=OF_THE_PROCESS | MAY_BE_STALE)


EVENTS: dict[str, Callable[[float, float, int], ev.Event]] = {
    "metered": lambda register_wh, at, shift: metered(register_wh, at, charger_ts=at + shift),
    "begins": lambda register_wh, at, shift: metered(register_wh, at, charger_ts=at + shift, begins=True),
    "status": lambda _wh, at, _s: ev.ConnectorStatusChanged(
        cp_id="CP1", received_ts=at, connector_id="1", status="Charging"
    ),
    "stop": lambda register_wh, at, _s: stopped(meter_stop_wh=register_wh, at=at),
}


@pytest.mark.parametrize("flushed", [True, False])
async def test_meter_values_whose_answer_a_crash_took_are_stored_once(site, open_site, flushed):
    site.apply(connected(), started())
    await site.commit()
    site.apply(metered(1500.0, NOW + 10))
    await site.commit()
    if flushed:
        await site.journal.flush()
    await site.end()
    again = await open_site()
    again.apply(connected(at=NOW + 20), metered(1500.0, NOW + 21, charger_ts=NOW + 10), metered(1600.0, NOW + 22))
    await again.commit()
    assert [reading.register_wh for reading in await again.store.readings(1)] == [1500.0, 1600.0]


async def test_what_was_replayed_survives_the_next_end_too(site, open_site):
    """A flush marks all readings so far as included, so it must write the figures that a restart replayed."""
    site.apply(connected(), started())
    await site.commit()
    site.apply(metered(1500.0, NOW + 10))
    await site.commit()
    await site.end()
    second = await open_site()
    second.apply(connected("CP2"))
    await second.journal.flush()
    await second.end()
    third = await open_site()
    del third.fleet.charge_points["CP2"]
    same(site.fleet, third.fleet)


async def test_the_meter_of_a_transaction_that_was_overtaken_on_its_connector_is_kept(site, open_site):
    site.apply(connected(), started(), started(transaction_id="2"), metered(1500.0, NOW + 10))
    await site.journal.flush()
    site.apply(metered(1700.0, NOW + 20))
    await site.journal.flush()
    await site.end()
    same(site.fleet, (await open_site()).fleet)


async def test_the_meters_of_many_transactions_are_written_together(site, open_site):
    names = [f"CP{number}" for number in range(75)]
    for number, name in enumerate(names, 1):
        site.apply(connected(cp_id=name), started(cp_id=name, transaction_id=str(number)))
    await site.journal.flush()
    for number, name in enumerate(names, 1):
        site.apply(metered(1000.0 + number, NOW + 10, cp_id=name, transaction_id=str(number)))
    await site.journal.flush()
    await site.end()
    again = await open_site()
    meters = [again.fleet.charge_points[name].transactions[str(n)].meter for n, name in enumerate(names, 1)]
    assert [meter.energy_wh for meter in meters] == [float(number) for number in range(1, 76)]


@pytest.mark.parametrize("flushed_after", range(5))
async def test_the_figures_of_a_charger_whose_clock_is_behind_are_back(site, open_site, flushed_after):
    """Its second reading shows that it is no replay, which the restart must not forget for those after a flush."""
    site.apply(connected(), started())
    for number in range(4):
        if number == flushed_after:
            await site.journal.flush()
        at = NOW + 60 * number
        site.apply(metered(1500.0 + 100 * number, at, charger_ts=at - 7200, current_a=10.0 + number))
        await site.commit()
    assert site.fleet.charge_points["CP1"].connectors["1"].current_a == 13.0
    await site.end()
    same(site.fleet, (await open_site()).fleet)


def event_2x(seq_no: int, at: float, register_wh: float, *, late_s: float = 0.0, **parts: Any) -> ev.Event:
    """Return a TransactionEvent with a reading, measured `late_s` before it arrived."""
    charger_ts = at - late_s
    offline = parts.pop("offline", False)
    reading = ev.Reading(charger_ts, register_wh, current_a=float(seq_no), begins=parts.pop("begins", False))
    return ev.TransactionEventReceived(
        cp_id="CP1",
        received_ts=at,
        connector_id="1",
        transaction_id="T1",
        ref=ev.EventRef(seq_no, charger_ts, offline),
        readings=(reading,),
        **parts,
    )


@pytest.mark.parametrize("flushed_after", range(8))
async def test_a_2x_transaction_is_back_with_late_repeated_and_replayed_messages(site, open_site, flushed_after):
    events = [
        event_2x(3, NOW + 30, 1300.0),
        event_2x(4, NOW + 40, 1400.0, charging_state="Charging"),
        event_2x(1, NOW + 45, 1100.0, late_s=30.0),
        event_2x(4, NOW + 46, 1400.0, late_s=6.0),
        event_2x(0, NOW + 47, 1000.0, late_s=47.0, begins=True),
        event_2x(5, NOW + 5000, 1500.0, late_s=4000.0, offline=True),
        event_2x(6, NOW + 5010, 1600.0),
        event_2x(9, NOW + 5020, 14_000.0),
    ]
    site.apply(ev.ChargePointConnected(cp_id="CP1", received_ts=NOW, protocol="ocpp2.0.1"))
    for number, event in enumerate(events):
        if number == flushed_after:
            await site.journal.flush()
        site.apply(event)
        await site.commit()
    (running,) = site.fleet.charge_points["CP1"].transactions.values()
    assert (running.meter.energy_wh, running.seq_nos.missing) == (13_000.0, 3)
    await site.end()
    same(site.fleet, (await open_site()).fleet, but=OF_THE_PROCESS | MAY_BE_STALE)
