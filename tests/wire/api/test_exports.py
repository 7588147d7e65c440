"""Exports, monthly summaries, groups of id tags and previews of imports by HTTP."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from support.central import Csms
from support.chargers import START, energy, meter_values, stop
from support.operators import Operator, user_of_role
from support.waiting import eventually


def month() -> dict[str, str]:
    """The one in which a session ends now."""
    return {"month": f"{datetime.now(UTC):%Y-%m}"}


CSV = {"Content-Type": "text/csv"}


async def rows(operator: Operator, path: str, **query: object) -> list[dict[str, str]]:
    answer = await operator.send("GET", f"/exports/{path}", params=query)
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


async def charge(csms: Csms, cp_id: str, tag: str = "TAG1") -> None:
    async with csms.charger(cp_id) as charger:
        started = await charger.call("StartTransaction", {**START, "idTag": tag})
        await charger.call("MeterValues", meter_values(started["transactionId"], energy(1500)))
        await charger.call("StopTransaction", stop(started["transactionId"], 2000))
    await csms.durable()


async def test_sessions_and_readings_are_streamed_by_filter_and_range(
    csms: Csms, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattspan.api.routes.exports.PAGE_ROWS", 2)
    for cp_id in ("CP1", "CP2", "CP3"):
        await charge(csms, cp_id)
    assert [row["cp_id"] for row in await rows(operator, "sessions")] == ["CP1", "CP2", "CP3"]
    assert [row["energy_wh"] for row in await rows(operator, "sessions", cp_id="CP2")] == ["1000.0"]
    assert [row["cp_id"] for row in await rows(operator, "readings")] == ["CP1", "CP2", "CP3"]
    assert [row["register_wh"] for row in await rows(operator, "readings", cp_id="CP3")] == ["1500.0"]
    assert await rows(operator, "sessions", from_at="2099-01-01T00:00:00Z") == []
    assert await rows(operator, "sessions", open="true") == []
    assert len(await rows(operator, "sessions", open="false")) == 3
    assert await rows(operator, "readings", from_at="2099-01-01T00:00:00Z") == []
    assert await rows(operator, "readings", until_at="2020-01-01T00:00:00Z") == []
    lines = (await operator.send("GET", "/exports/sessions", params={"format": "jsonl"})).text.splitlines()
    assert [json.loads(line)["id_tag"] for line in lines] == ["TAG1"] * 3
    async with user_of_role(csms, "viewer") as viewer:
        assert {row["id_tag"] for row in await rows(viewer, "sessions")} == {"…"}
        await viewer.ask("GET", "/exports/sessions", 403, params={"id_tag": "TAG1"})
    assert "log_in" in {row["action"] for row in await rows(operator, "audit")}


async def test_no_cell_is_a_formula_and_id_tags_come_back_as_they_were(csms: Csms, operator: Operator) -> None:
    tag = {"group": "=staff", "note": "+1", "parent": "P"}
    before = await operator.ask("PUT", "/id-tags/A1", json=tag)
    text = (await operator.send("GET", "/exports/id-tags")).text
    assert "'=staff" in text
    await operator.ask("DELETE", "/id-tags/A1", 204)
    imported = await operator.ask("POST", "/id-tags/import", content=text, headers=CSV)
    assert imported["added"] == 1
    assert await operator.ask("GET", "/id-tags/A1") == before


async def test_a_preview_of_an_import_names_what_changes_and_changes_nothing(csms: Csms, operator: Operator) -> None:
    await operator.ask("PUT", "/id-tags/A1", json={"group": "staff"})
    await operator.ask("PUT", "/id-tags/A2", json={})
    content = "id_tag,status\nA1,Blocked\nA2,\nA3,\n"
    seen = await operator.ask("POST", "/id-tags/import", params={"preview": True}, content=content, headers=CSV)
    assert (seen["added"], seen["replaced"], seen["unchanged"]) == (1, 2, 1)
    assert [(each["id_tag"], each["fields"][:1]) for each in seen["changes"]] == [
        ("A1", ["status"]),
        ("A3", ["status"]),
    ]
    assert (await operator.ask("GET", "/id-tags/A1"))["status"] == "Accepted"
    await operator.ask("POST", "/id-tags/import", content=content, headers=CSV)
    after = await operator.ask("GET", "/id-tags/A1")
    assert (after["status"], after["group"]) == ("Blocked", "staff")


async def test_a_group_is_listed_blocked_and_accepted_again_at_once(csms: Csms, operator: Operator) -> None:
    for tag in ("A1", "A2"):
        await operator.ask("PUT", f"/id-tags/{tag}", json={"group": "staff"})
    await operator.ask("PUT", "/id-tags/B1", json={"expires_at": "2027-01-01T00:00:00Z"})
    assert await operator.ask("POST", "/id-tags/block", json={"group": "staff"}) == {"changed": 2}
    groups = await operator.ask("GET", "/id-tag-groups")
    assert groups == [{"group": "", "id_tags": 1, "blocked": 0}, {"group": "staff", "id_tags": 2, "blocked": 2}]
    async with csms.charger("CP1") as charger:
        assert (await charger.call("Authorize", {"idTag": "A1"}))["idTagInfo"]["status"] == "Blocked"
        assert await operator.ask("POST", "/id-tags/block", json={"id_tags": ["a1"], "blocked": False}) == {
            "changed": 1
        }
        assert (await charger.call("Authorize", {"idTag": "A1"}))["idTagInfo"]["status"] == "Accepted"

    async def found(**query: str) -> list[str]:
        return [each["id_tag"] for each in (await operator.ask("GET", "/id-tags", params=query))["items"]]

    assert await found(group="staff") == ["A1", "A2"]
    assert await found(expires_before="2028-01-01T00:00:00Z") == ["B1"]


async def test_where_an_id_tag_was_last_used_is_shown_and_does_not_change_its_version(
    csms: Csms, operator: Operator
) -> None:
    await operator.ask("PUT", "/id-tags/A1", json={})
    version = (await operator.send("GET", "/id-tags/A1")).headers["etag"]
    await charge(csms, "CP1", "a1")

    async def is_noted() -> bool:
        await csms.central._history.tag_use.write()
        return (await operator.ask("GET", "/id-tags/A1"))["last_used_cp_id"] == "CP1"

    await eventually(is_noted)
    assert (await operator.send("GET", "/id-tags/A1")).headers["etag"] == version


async def test_a_month_is_summed_up_by_site_group_and_charge_point(csms: Csms, operator: Operator) -> None:
    await operator.ask("PUT", "/sites/depot", json={"name": "The depot"})
    await operator.ask("PUT", "/id-tags/A1", json={"group": "staff"})
    await charge(csms, "CP1", "A1")
    await charge(csms, "CP2", "A2")
    await operator.ask("PATCH", "/charge-points/CP1", json={"site_id": "depot"}, headers={"If-Match": "*"})
    await csms.central._history.timelines.write()

    async def summed(by: str) -> dict[str, tuple[str, int, float]]:
        report = await operator.ask("GET", "/reports/monthly", params={**month(), "by": by})
        assert (report["total"]["sessions"], report["total"]["energy_wh"]) == (2, 2000)
        return {row["key"]: (row["name"], row["sessions"], row["energy_wh"]) for row in report["rows"]}

    assert await summed("site") == {"": ("", 1, 1000), "depot": ("The depot", 1, 1000)}
    assert await summed("tag_group") == {"": ("", 1, 1000), "staff": ("staff", 1, 1000)}
    assert await summed("charge_point") == {"CP1": ("CP1", 1, 1000), "CP2": ("CP2", 1, 1000)}
    exported = await rows(operator, "monthly", **month())
    assert [row["key"] for row in exported] == ["", "depot"]
    assert all(row["charging_s"].isdecimal() for row in exported)
    empty = await operator.ask("GET", "/reports/monthly", params={"month": "2020-02", "time_zone": "Asia/Tokyo"})
    assert (empty["total"]["sessions"], empty["from_at"]) == (0, "2020-01-31T15:00:00.000Z")
    await operator.ask("GET", "/reports/monthly", 422, params={**month(), "time_zone": "Mars"})
