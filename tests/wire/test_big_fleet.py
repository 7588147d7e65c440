"""Lists and searches over a fleet of 100,000 charge points that another node owns: a page reads a page."""

from collections import Counter

import pytest

from support.central import Csms
from support.databases import query
from support.operators import admin

FLEET = 100_000
OWNER = """
    INSERT INTO nodes (name, instance, version, started_ts, heartbeat_ts, stopped, metrics_url, api_url)
    VALUES ('south', 'x', '1', 1, extract(epoch FROM now()) + 86400, false, '', '')
"""
CHARGE_POINTS = f"""
    INSERT INTO charge_points (cp_id, known_since_ts, registered_ts, owner, owner_epoch, connected, last_msg_ts,
        vendor, model, firmware, protocol, name, location)
    SELECT 'CP' || lpad(n::text, 6, '0'), 1, 1, 'south', 1, true, extract(epoch FROM now()),
        'ACME', 'M' || n % 10, '1.' || n % 7, 'ocpp1.6', 'Bay ' || n, 'Town ' || n % 300
    FROM generate_series(1, {FLEET}) n
"""  # noqa: S608
CONNECTORS = f"""
    INSERT INTO connectors (cp_id, connector_id, status, error_code, had_transaction, power_w, profiles,
        last_meter_values, readings_through)
    SELECT 'CP' || lpad(n::text, 6, '0'), connector, CASE WHEN n % 10 = connector THEN 'Charging' ELSE 'Available' END,
        'NoError', false, CASE WHEN n % 10 = connector THEN 11000 END, '[]', '', 0
    FROM generate_series(1, {FLEET}) n, generate_series(0, 2) connector
"""  # noqa: S608
PLACES = """
    INSERT INTO charge_point_places (cp_id, site_id, labels)
    VALUES ('CP050000', 'depot', '{"lane":"Nord \\"A\\""}'), ('CP060000', NULL, '{"lane":"west"}')
"""
SEARCHES = [
    ({"search": "p099999"}, ["CP099999"]),
    ({"search": "nothing like it"}, []),
    ({"search": "bay 77777"}, ["CP077777"]),
    ({"search": "DEPOT"}, ["CP050000"]),
    ({"search": "lane:west"}, ["CP060000"]),
    ({"site_id": "depot"}, ["CP050000"]),
    ({"cp_id": ["CP000007", "CP070000"]}, ["CP000007", "CP070000"]),
    ({"vendor": "Other"}, []),
    ({"search": "CP00000", "model": "M3", "firmware": "1.3", "protocol": "ocpp1.6"}, ["CP000003"]),
]


@pytest.fixture
async def north(postgres, tmp_path):
    """A node that owns nothing, with the charge points that it reads of the database in `read`."""
    url = postgres.empty()
    node = Csms(
        tmp_path / "fleet.db",
        url=url,
        redis="redis://127.0.0.1:1/0",
        node_name="north",
        drain_s=0,
        admin_password="correct horse battery",
    )
    for statement in (OWNER, CHARGE_POINTS, CONNECTORS, PLACES):
        query(url, statement)
    query(url, "ANALYZE")
    await node.start()
    node.first_password = "correct horse battery"
    yield node
    await node.stop()


@pytest.fixture
def read(north, monkeypatch):
    """How many charge points were read of the database."""
    rows = Counter()
    plain = north.store.read

    async def counted(work, *arguments):
        found = await plain(work, *arguments)
        if work.__name__ == "list_charge_points":
            rows["read"] += len(found)
        return found

    monkeypatch.setattr(north.store, "read", counted)
    return rows


async def test_a_page_of_a_large_fleet_reads_a_page(north, read):
    async with admin(north) as operator:
        seen, cursor = [], ""
        for _ in range(3):
            found = await operator.ask("GET", "/charge-points", params={"limit": 100, "cursor": cursor})
            seen += [each["cp_id"] for each in found["items"]]
            cursor = found["next"]
        assert seen == [f"CP{number:06}" for number in range(1, 301)]
        assert read["read"] <= 3 * 500


async def test_a_search_reads_what_it_finds(north, read):
    async with admin(north) as operator:
        for wanted, expected in SEARCHES:
            read.clear()
            found = await operator.ask("GET", "/charge-points", params=wanted)
            assert [each["cp_id"] for each in found["items"]] == expected, wanted
            assert read["read"] == len(expected), wanted
        # In JSON, the label has these letters in another form.
        found = await operator.ask("GET", "/charge-points", params={"search": 'nord "a', "cp_id": "CP050000"})
        assert [each["cp_id"] for each in found["items"]] == ["CP050000"]


async def test_sums_over_a_large_fleet_are_made_by_the_database(north, read):
    some = {"model": "M1", "firmware": "1.3"}
    found = [n for n in range(1, FLEET + 1) if (n % 10, n % 7) == (1, 3)]
    async with admin(north) as operator:
        await operator.ask("PUT", "/sites/depot", json={})
        whole = await operator.ask("GET", "/charge-points/summary")
        summed = await operator.ask("GET", "/charge-points/summary", params=some)
        (site,) = (await operator.ask("GET", "/sites"))["items"]
        assert site == await operator.ask("GET", "/sites/depot")
    charging = 2 * FLEET // 10
    assert (whole["charge_points"], whole["connectors"], whole["power_w"]) == (FLEET, 2 * FLEET, 3 * FLEET // 10 * 11e3)
    assert whole["worst"] == {"Charging": charging + FLEET // 10, "Available": FLEET - charging - FLEET // 10}
    assert whole["statuses"] == {"Charging": charging, "Available": 2 * FLEET - charging}
    assert (summed["charge_points"], summed["worst"]) == (len(found), {"Charging": len(found)})
    assert (site["now"]["charge_points"], site["now"]["statuses"]) == (1, {"Available": 2})
    assert read["read"] == 0
