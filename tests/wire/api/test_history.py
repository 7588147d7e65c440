"""Series, timelines and availability by HTTP."""

import pytest

from support.central import Csms
from support.chargers import START, meter_values, stop
from support.operators import Operator, admin
from support.waiting import eventually
from wattspan.domain.timestamps import wire_time

POWER = {"measurand": "Power.Active.Import", "unit": "W", "value": "7200"}
CURRENT = {"measurand": "Current.Import", "unit": "A"}
REGISTER = {"measurand": "Energy.Active.Import.Register", "unit": "Wh"}


def status(name, error="NoError", connector=1):
    return {"connectorId": connector, "errorCode": error, "status": name}


async def test_power_and_energy_of_a_session_are_shown_by_connector_site_and_in_total(
    csms: Csms, operator: Operator
) -> None:
    series = csms.sample_by_hand()
    await operator.ask("PUT", "/sites/depot", json={"name": "Depot"})
    async with csms.charger("CP1") as charger, csms.charger("CP2") as other:
        await operator.ask("PATCH", "/charge-points/CP1", json={"site_id": "depot"}, headers={"If-Match": "*"})
        started = await charger.call("StartTransaction", START)
        await other.call("StatusNotification", status("Faulted", "GroundFailure"))
        # A minute before the present one, which may end after the restart: then the server samples it.
        minute_ts = int(csms.central._core.clock()) // 60 * 60 - 60
        await series.record(minute_ts - 120)
        values = meter_values(started["transactionId"], {**REGISTER, "value": "1600"}, POWER)
        await charger.call("MeterValues", values)
        await series.record(minute_ts - 60)
        await charger.call("StopTransaction", stop(started["transactionId"], 2000))
        await series.record(minute_ts)
    query = {
        "from_at": wire_time(minute_ts - 120),
        "until_at": wire_time(minute_ts + 60),
        "step_s": 60,
        "metric": ["power_w", "energy_wh", "sessions", "connected", "faults"],
    }

    async def shown(by_whom: Operator = operator, **more: str) -> dict[tuple[str | None, ...], list[float | None]]:
        found = await by_whom.ask("GET", "/series", params={**query, **more})
        return {
            tuple(each[name] for name in ("metric", "site_id", "cp_id", "connector_id")): each["values"]
            for each in found["series"]
        }

    total = await shown()
    assert total["power_w", None, None, None][1] == 7200
    assert total["energy_wh", None, None, None] == [0, 600, 400]
    assert total["sessions", None, None, None] == [1, 1, 0]
    assert total["connected", None, None, None] == [2, 2, 2]
    assert total["faults", None, None, None] == [1, 1, 1]
    by_site = await shown(by="site")
    assert by_site["energy_wh", "depot", None, None] == [0, 600, 400]
    assert by_site["faults", None, None, None] == [1, 1, 1]
    assert (await shown(by="site", site_id="depot")).keys() == {key for key in by_site if key[1] == "depot"}
    by_connector = await shown(by="connector", cp_id="CP1")
    assert by_connector["energy_wh", None, "CP1", "1"] == [0, 600, 400]
    await csms.restart()
    async with admin(csms) as again:
        assert await shown(again) == total  # what was only in memory was written at the end


async def test_current_is_shown_by_connector_and_as_the_sum_of_a_charge_point(csms: Csms, operator: Operator) -> None:
    series, minute_ts = csms.sample_by_hand(), int(csms.central._core.clock()) // 60 * 60
    async with csms.charger("CP1") as charger:
        await series.record(minute_ts - 120)
        for connector_id, value in ((1, "31.5"), (2, "8")):
            started = await charger.call("StartTransaction", {**START, "connectorId": connector_id})
            sampled = {**CURRENT, "value": value}
            await charger.call(
                "MeterValues", meter_values(started["transactionId"], sampled, connector_id=connector_id)
            )
        await series.record(minute_ts - 60)
    await eventually(lambda: not csms.central.fleet.charge_points["CP1"].connected)
    await series.record(minute_ts)
    query = {
        "from_at": wire_time(minute_ts - 120),
        "until_at": wire_time(minute_ts + 60),
        "step_s": 60,
        "metric": "current_a",
        "by": "charge_point",
    }
    found = await operator.ask("GET", "/series", params=query)
    assert [each["values"] for each in found["series"]] == [[None, 39.5, None]]
    found = await operator.ask("GET", "/series", params={**query, "by": "connector"})
    assert {each["connector_id"]: each["values"] for each in found["series"]} == {
        "1": [None, 31.5, None],
        "2": [None, 8, None],
    }


@pytest.mark.parametrize(
    "query", [{"step_s": 90}, {"from_at": "2030-01-01T00:00:00Z", "until_at": "2029-01-01T00:00:00Z"}]
)
async def test_a_range_that_is_not_valid_is_refused(csms: Csms, operator: Operator, query) -> None:
    await operator.ask("GET", "/series", 422, params=query)


async def test_a_timeline_shows_states_sessions_and_commands(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("StatusNotification", status("Available"))
        await charger.call("StatusNotification", status("Preparing"))
        started = await charger.call("StartTransaction", START)
        await charger.call("StatusNotification", status("Faulted", "GroundFailure"))
        await charger.call("StopTransaction", stop(started["transactionId"]))
    await csms.central._history.timelines.write()
    found = await operator.ask("GET", "/timelines", params={"cp_id": "CP1"})
    connection, connector = found["timelines"]
    assert [each["state"] for each in connection["intervals"]][:1] == ["connected"]
    assert [(each["state"], each["detail"]) for each in connector["intervals"]] == [
        ("Available", ""),
        ("Preparing", ""),
        ("Faulted", "GroundFailure"),
    ]
    assert [each["energy_wh"] for each in connector["sessions"]] == [7500]
    stepped = await operator.ask("GET", "/timelines", params={"cp_id": "CP1", "step_s": 3600, "kind": "status"})
    assert len(stepped["timelines"][0]["intervals"]) == 1


async def test_a_planned_outage_does_not_count_against_availability(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("StatusNotification", status("Faulted", "GroundFailure"))
    await csms.central._history.timelines.write()
    before = (await operator.ask("GET", "/availability"))["connectors"]
    assert [(each["connector_id"], each["meets_target"]) for each in before] == [("1", False)]
    outage = {"cp_id": "CP1", "from_at": "2020-01-01T00:00:00Z", "until_at": "2099-01-01T00:00:00Z", "reason": "works"}
    added = await operator.ask("POST", "/planned-outages", 201, json=outage)
    (after,) = (await operator.ask("GET", "/availability"))["connectors"]
    assert (after["availability"], after["meets_target"]) == (1.0, True)
    assert [each["reason"] for each in await operator.ask("GET", "/planned-outages")] == ["works"]
    await operator.ask("DELETE", f"/planned-outages/{added['id']}", 204)
    await operator.ask("DELETE", f"/planned-outages/{added['id']}", 404)
