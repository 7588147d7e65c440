"""Sums over other nodes' charge points that the database makes are those of the charge points read one by one."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from wattspan.api.filters import FleetFilter, is_stale, real_connectors, status_counts, worst_status
from wattspan.api.fleet_sums import FleetSums
from wattspan.api.fleet_view import Connected, FleetView
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint
from wattspan.errors import RedisUnavailable
from wattspan.store.queries.sites import Place
from wattspan.store.schema import tables as t
from wattspan.store.store import Store

NOW = 1_790_000_000.0
NODES = ("north", "west")
STATUSES = (None, "Available", "Available", "Charging", "Faulted", "Unavailable", "Vendor", "Émoi", "Reserved")
FILTERS: Sequence[Mapping[str, Any]] = [
    *(
        dict(zip(("connected", "charging", "stale"), each, strict=True))
        for each in product((None, True, False), repeat=3)
    ),
    *({"worst": each} for each in STATUSES[1:]),
    *({"status": each} for each in STATUSES[1:]),
    {"site_id": ["depot"]},
    {"site_id": ["-"]},
    {"site_id": ["-", "quay"], "connected": True, "worst": "Charging"},
    {"vendor": "ACME", "model": "M1", "firmware": "1", "protocol": "ocpp1.6"},
    {"cp_id": ["CP001", "CP002", "nobody"]},
    {"search": "cp00"},
    {"label": ["lane:1"], "stale": False},
]


class Others:
    """The other nodes; `present` None: Redis is away. It has no connection that the rows lack."""

    name = "south"

    def __init__(self, present: Mapping[str, Connected] | None) -> None:
        self._present = present
        self.nodes: Sequence[str] = () if present is None else NODES

    async def connections(self, cp_ids: Sequence[str]) -> Mapping[str, Connected]:
        if self._present is None:
            raise RedisUnavailable("Redis does not answer")
        return {cp_id: self._present[cp_id] for cp_id in cp_ids if cp_id in self._present}


def fleet(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of every kind that sums distinguish."""
    pick = random.Random(seed)
    rows: dict[str, list[dict[str, Any]]] = {"charge_points": [], "connectors": [], "transactions": [], "places": []}
    for number in range(150):
        cp_id = f"CP{number:03}"
        rows["charge_points"].append({
            "cp_id": cp_id, "known_since_ts": 1.0, "owner_epoch": 1,
            "owner": pick.choice((None, "south", "dead", *NODES)), "connected": pick.random() < 0.6,
            "last_msg_ts": pick.choice((None, NOW, NOW - 3599.0, NOW - 3600.0, NOW - 3601.0)),
            "removed_ts": pick.choice((None, None, None, 1.0)), "vendor": pick.choice(("ACME", "")),
            "model": pick.choice(("M1", "M2")), "firmware": "1", "protocol": pick.choice(("ocpp1.6", "ocpp2.1")),
        })  # fmt: skip
        for connector_id in pick.sample(("0", "1", "2", "10"), pick.randrange(5)):
            rows["connectors"].append({
                "cp_id": cp_id, "connector_id": connector_id, "status": pick.choice(STATUSES), "error_code": "NoError",
                "had_transaction": pick.random() < 0.5, "power_w": pick.choice((None, 0.0, 0.5, 7_000.25)),
                "profiles": "[]", "last_meter_values": "", "readings_through": 0,
            })  # fmt: skip
        for transaction_id in (pick.choice(("1", "2")) for _ in range(pick.randrange(4))):
            rows["transactions"].append({
                "number": len(rows["transactions"]) + 1, "cp_id": cp_id, "connector_id": "1",
                "transaction_id": transaction_id, "key": f"{len(rows['transactions'])}", "id_token": "TAG",
                "start_wh": 0.0, "energy_wh": 0.0, "started_received_ts": 1.0, "reason": "", "story": "[]",
                "stopped_received_ts": pick.choice((None, None, 2.0)), "trace_id": "1", "span_id": "1",
                "readings_from": 0, "readings_through": 0,
            })  # fmt: skip
        if pick.random() < 0.7:
            labels = pick.choice(("{}", '{"lane":"1"}'))
            site_id = pick.choice((None, "depot", "quay"))
            rows["places"].append({"cp_id": cp_id, "site_id": site_id, "labels": labels})
    return rows


def one_by_one(cps: Sequence[ChargePoint]) -> FleetSums:
    """The sums by their definitions."""
    return FleetSums(
        charge_points=len(cps),
        connected=sum(cp.connected for cp in cps),
        stale=sum(is_stale(cp, NOW) for cp in cps),
        connectors=sum(len(real_connectors(cp)) for cp in cps),
        sessions=sum(len(cp.transactions) for cp in cps),
        power_w=sum(each.power_w or 0.0 for cp in cps for each in cp.connectors.values()),
        worst=Counter(worst_status(cp) for cp in cps),
        statuses=sum((Counter(status_counts(cp)) for cp in cps), Counter()),
        statuses_connected=sum((Counter(status_counts(cp)) for cp in cps if cp.connected), Counter()),
    )


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    opened = await Store.open(database)
    yield opened
    await opened.close()


@pytest.mark.parametrize("is_away", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_sums_of_the_database_are_those_of_its_charge_points(store: Store, seed: int, is_away: bool) -> None:
    rows = fleet(seed)

    def insert(connection: sa.Connection) -> None:
        tables = (t.charge_points, t.connectors, t.transactions, t.charge_point_places)
        for table, given in zip(tables, rows.values(), strict=True):
            connection.execute(sa.insert(table), given)

    await store.do(insert)
    rows_there = [each for each in rows["charge_points"] if each["connected"] and each["owner"] in NODES]
    present = {each["cp_id"]: Connected(protocol="", security_profile=0) for each in rows_there[::2]}
    places = {each["cp_id"]: each["site_id"] for each in rows["places"]}
    labels = {each["cp_id"]: {"lane": "1"} for each in rows["places"] if "lane" in each["labels"]}
    nobody: Any = SimpleNamespace(connection=lambda _cp_id: None)
    services: Any = SimpleNamespace(
        fleet=Fleet(),
        view=FleetView(Fleet(), store, nobody, Others(None if is_away else present)),
        now_ts=lambda: NOW,
        directory=SimpleNamespace(
            place=lambda cp_id: Place(cp_id=cp_id, site_id=places.get(cp_id), labels=labels.get(cp_id, {}))
        ),
    )
    for wanted in FILTERS:
        chosen = FleetFilter(**wanted)
        cps = await chosen.find(services)
        assert await chosen.sum(services) == one_by_one(cps), wanted
        by_site: dict[str, list[ChargePoint]] = {}
        for cp in cps:
            by_site.setdefault(places.get(cp.cp_id) or "", []).append(cp)
        assert await chosen.sum_by_site(services) == {site: one_by_one(each) for site, each in by_site.items()}, wanted
        # In memory, as a server that is alone has them.
        own = FleetSums()
        for cp in cps:
            own.add(cp, NOW)
        assert own == one_by_one(cps), wanted
