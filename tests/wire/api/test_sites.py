"""Sites, labels, search, summaries and saved views by HTTP."""

from support.central import Csms
from support.operators import Operator, user_of_role
from support.waiting import eventually

SITE = {
    "name": "Airport",
    "address": "1 Main Street",
    "time_zone": "Europe/Luxembourg",
    "latitude": 49.6,
    "longitude": 6.2,
    "grid_limit_kw": 250,
    "labels": {"owner": "city"},
}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


async def test_a_site_is_added_changed_only_by_its_reader_and_deleted(csms: Csms, operator: Operator) -> None:
    added = await operator.ask("PUT", "/sites/airport", json=SITE)
    assert {name: added[name] for name in SITE} == SITE
    await operator.ask("PUT", "/sites/airport", 428, json=SITE)
    await operator.ask("PUT", "/sites/airport", json={**SITE, "note": "new"}, headers={"If-Match": "*"})
    assert (await operator.ask("GET", "/sites/airport"))["note"] == "new"
    await operator.ask("PUT", "/sites/nowhere", 422, json={"time_zone": "Mars/Olympus"})
    await operator.ask("DELETE", "/sites/airport", 204)
    await operator.ask("GET", "/sites/airport", 404)
    assert (await operator.ask("GET", "/sites"))["items"] == []


async def test_charge_points_are_found_by_name_location_site_and_label(csms: Csms, operator: Operator) -> None:
    await operator.ask("PUT", "/sites/airport", json=SITE)
    async with csms.charger("CP1") as one, csms.charger("CP2") as two:
        await one.call("StatusNotification", STATUS)
        await two.call("StatusNotification", {**STATUS, "connectorId": 1, "status": "Faulted"})
        await two.call("StatusNotification", {**STATUS, "connectorId": 2, "status": "Charging"})
        await two.call("StatusNotification", {**STATUS, "connectorId": 0})
        change = {"name": "North gate", "location": "Level 2", "site_id": "airport", "labels": {"zone": "public"}}
        await operator.ask("PATCH", "/charge-points/CP1", json=change, headers={"If-Match": "*"})

        async def found(**query: object) -> list[str]:
            return [row["cp_id"] for row in (await operator.ask("GET", "/charge-points", params=query))["items"]]

        for search in ("north", "level 2", "zone:pub", "airp"):
            assert await found(search=search) == ["CP1"]
        assert (
            await found(label="zone") == await found(label="zone:public") == await found(site_id="airport") == ["CP1"]
        )
        assert await found(label="zone:private") == []
        assert await found(site_id="-") == await found(worst="Faulted") == ["CP2"]
        (row,) = (await operator.ask("GET", "/charge-points", params={"cp_id": "CP2"}))["items"]
        assert (row["status"], row["worst"], row["statuses"]) == ("Available", "Faulted", {"Faulted": 1, "Charging": 1})
        summary = await operator.ask("GET", "/charge-points/summary")
        assert summary["worst"] == {"Available": 1, "Faulted": 1}
        assert summary["statuses"] == {"Available": 1, "Faulted": 1, "Charging": 1}
        assert (summary["connectors"], summary["faulted"], summary["offline"]) == (3, 1, 0)
        assert await operator.ask("GET", "/labels") == [{"name": "zone", "values": ["public"], "charge_points": 1}]
        (site,) = (await operator.ask("GET", "/sites"))["items"]
        assert site["now"]["charge_points"] == 1

        async def has_site() -> bool:
            return any(line.startswith("ocpp_cp_info{") and 'site="airport"' in line for line in await csms.page())

        await eventually(has_site)
        await operator.ask("PATCH", "/charge-points/CP1", 422, json={"site_id": "none"}, headers={"If-Match": "*"})
        await operator.ask("PATCH", "/charge-points/CP1", json={"site_id": ""}, headers={"If-Match": "*"})
        assert await found(site_id="-") == ["CP1", "CP2"]


async def test_a_view_is_seen_by_others_only_if_it_is_shared(csms: Csms, operator: Operator) -> None:
    view = {"name": "Faults", "page": "fleet", "query": {"worst": "Faulted"}}
    mine = await operator.ask("POST", "/views", 201, json=view)
    shared = await operator.ask("POST", "/views", 201, json={**view, "is_shared": True})
    async with user_of_role(csms, "viewer") as viewer:
        seen = await viewer.ask("GET", "/views")
        assert [(each["view_id"], each["is_mine"]) for each in seen] == [(shared["view_id"], False)]
        await viewer.ask("POST", "/views", 403, json={**view, "is_shared": True})
        await viewer.ask("PATCH", f"/views/{shared['view_id']}", 404, json={"name": "Mine"})
        await viewer.ask("DELETE", f"/views/{shared['view_id']}", 404)
    await operator.ask("PATCH", f"/views/{mine['view_id']}", 422, json={"name": ""})
    renamed = await operator.ask("PATCH", f"/views/{mine['view_id']}", json={"name": "Faulted"})
    assert (renamed["name"], renamed["query"]) == ("Faulted", view["query"])
    await operator.ask("DELETE", f"/views/{mine['view_id']}", 204)
    assert [each["view_id"] for each in await operator.ask("GET", "/views")] == [shared["view_id"]]
