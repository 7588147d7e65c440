"""The fleet as the API reads it: charge points of other nodes come from the store, and look as those in memory do."""

import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, status
from wattspan.api.filters import FleetFilter
from wattspan.api.fleet_view import Connected, FleetView
from wattspan.api.models import charge_points as models
from wattspan.domain.fleet import Fleet
from wattspan.errors import RedisUnavailable
from wattspan.store.queries.sites import Place


class Others:
    """The other nodes as a test has them: who is connected where; `away`: nobody knows."""

    name, nodes = "south", ("north",)

    def __init__(self, *connected: str, away: bool = False) -> None:
        self._connected, self._away = connected, away

    async def connections(self, cp_ids: Sequence[str]) -> Mapping[str, Connected]:
        if self._away:
            raise RedisUnavailable("Redis does not answer")
        found = Connected(protocol="ocpp1.6", security_profile=1)
        return {cp_id: found for cp_id in cp_ids if cp_id in self._connected}


def of_another_node(csms: Csms, others: Others) -> FleetView:
    """The view of a node that owns nothing."""
    nobody: Any = SimpleNamespace(connection=lambda _cp_id: None)
    return FleetView(Fleet(), csms.store, nobody, others)


def of_this_node(csms: Csms) -> FleetView:
    return FleetView(csms.central.fleet, csms.store, csms.central._gateway)


async def ids(view: FleetView, limit: int = 10, after: str = "", **wanted: object) -> list[str]:
    services: Any = SimpleNamespace(
        fleet=view._fleet,
        view=view,
        now_ts=time.time,
        directory=SimpleNamespace(place=lambda cp_id: Place(cp_id=cp_id)),
    )
    fleet = FleetFilter(**wanted)  # type: ignore[arg-type]
    found = [cp.cp_id for cp in await fleet.first(services, after, limit)]
    assert set(found) <= {cp.cp_id for cp in await fleet.find(services)}
    return found


async def test_another_node_shows_the_same_charge_points(csms: Csms) -> None:
    async with csms.charger("CP2") as two, csms.charger("cp1") as one:
        await two.call("BootNotification", BOOT | {"chargePointVendor": "Ümlaut 50%"})
        await one.call("BootNotification", BOOT)
        tx = (await two.call("StartTransaction", START))["transactionId"]
        await two.call("MeterValues", meter_values(tx, energy(3000)))
        await one.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
        await csms.central._core.journal.flush()
        here, there = of_this_node(csms), of_another_node(csms, Others("CP2", "cp1"))
        for wanted in (
            {},
            {"charging": True},
            {"charging": False},
            {"status": "Faulted"},
            {"search": "ACME"},
            {"search": "50%"},
            {"search": "0_"},
            {"after": "CP2"},
        ):
            assert await ids(there, **wanted) == await ids(here, **wanted), wanted
        assert await ids(there) == ["CP2", "cp1"], "as Python compares, whatever the database's language"
        assert await ids(there, limit=1) == ["CP2"]
        now_ts = csms.central._core.clock()
        for cp_id in ("CP2", "cp1"):
            shown = [
                models.whole(await found(view, cp_id), Place(cp_id=cp_id), None, now_ts, None) for view in (here, there)
            ]
            assert shown[0] == shown[1]


async def found(view: FleetView, cp_id: str):
    cp = await view.find(cp_id)
    assert cp is not None
    return cp


async def test_who_is_connected_to_another_node_is_known_from_redis_and_without_it_from_the_rows(csms: Csms) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await csms.central._core.journal.flush()
        assert (await found(of_another_node(csms, Others("CP1")), "CP1")).connected
        assert not (await found(of_another_node(csms, Others()), "CP1")).connected
        connection = await of_another_node(csms, Others("CP1")).connection("CP1")
        assert connection == Connected(protocol="ocpp1.6", security_profile=1)
        assert await of_this_node(csms).connection("CP1") == Connected(protocol="ocpp1.6", security_profile=0)
        away = of_another_node(csms, Others(away=True))
        assert (await found(away, "CP1")).cp_id == "CP1"
        with pytest.raises(RedisUnavailable):
            await away.connection("CP1")


async def test_a_charge_point_that_nobody_knows_is_nowhere(csms: Csms) -> None:
    assert await of_another_node(csms, Others()).find("CP1") is None
    assert await of_this_node(csms).find("CP1") is None
