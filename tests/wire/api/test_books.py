"""Transactions, id tags, reservations and profiles by HTTP."""

import asyncio
import re
from typing import Any

import pytest

from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, stop
from support.operators import Operator, user_of_role
from support.waiting import WITHIN_S, eventually
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.records import IdTag

IMPORTED = {"unchanged": 0, "preview": False, "changes": []}


async def test_a_session_is_shown_with_its_curve_its_story_and_its_trace(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        for register_wh in range(1100, 2100, 100):
            await charger.call("MeterValues", meter_values(started["transactionId"], energy(register_wh)))
        await charger.call("StopTransaction", stop(started["transactionId"], 2100))
        (row,) = (await operator.ask("GET", "/transactions"))["items"]
        whole = await operator.ask("GET", f"/transactions/{row['number']}", params={"points": 5})
    assert (row["energy_wh"], row["open"], row["id_tag"]) == (1100.0, False, "TAG1")
    assert row["energy_correction"] == ""
    assert whole["readings_total"] == 10
    assert [point["energy_wh"] for point in whole["curve"]] == [200.0, 400.0, 600.0, 800.0, 1000.0]
    assert whole["story"][0]["name"] == "preparing"
    assert len(whole["trace_id"]) == 32


async def test_a_session_is_listed_as_soon_as_the_fleet_shows_it_however_long_its_commit_takes(
    csms: Csms, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The console reads the list because of an event, which is sent before the commit, and reads it only then."""
    monkeypatch.setattr("wattspan.api.services.CATCH_UP_S", WITHIN_S)
    journal = csms.central._core.journal
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await csms.durable()
        with monkeypatch.context() as held:
            batches: list[Any] = []
            held.setattr(csms.store, "write", lambda *batch: batches.append(batch))
            sent = await charger.send("StartTransaction", START)
            await eventually(lambda: journal.waiting == 1)
            listing = asyncio.create_task(operator.ask("GET", "/transactions"))
            await eventually(lambda: listing.done() or journal.waiting == 2)
        for batch in batches:
            csms.store.write(*batch)
        assert [row["cp_id"] for row in (await listing)["items"]] == ["CP1"]
        await charger.answer_to(sent)


async def test_sessions_are_found_by_charge_point_tag_time_and_whether_they_run(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as one, csms.charger("CP2") as two:
        first = await one.call("StartTransaction", START)
        await one.call("StopTransaction", stop(first["transactionId"]))
        await two.call("StartTransaction", {**START, "idTag": "TAG2"})

        async def found(**query: Any) -> list[str]:
            page = await operator.ask("GET", "/transactions", params=query)
            return [row["cp_id"] for row in page["items"]]

        assert await found() == ["CP2", "CP1"]
        assert await found(cp_id="CP1") == await found(open=False) == await found(id_tag="tag1") == ["CP1"]
        assert await found(open=True) == ["CP2"]
        assert await found(from_at="2020-01-01T00:00:00Z") == ["CP2", "CP1"]
        assert await found(until_at="2020-01-01T00:00:00Z") == []
        page = await operator.ask("GET", "/transactions", params={"limit": 1})
        assert await found(limit=1, cursor=page["next"]) == ["CP1"]


async def test_a_session_closed_by_hand_is_corrected_by_the_chargers_late_stop(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        (row,) = (await operator.ask("GET", "/transactions"))["items"]
        path = f"/transactions/{row['number']}"
        closed = await operator.ask("POST", f"{path}/close", json={"meter_stop_wh": 1500})
        assert (closed["open"], closed["energy_wh"], closed["energy_correction"]) == (False, 500.0, "")
        await operator.ask("POST", f"{path}/close", 409, json={})
        await charger.call("StopTransaction", stop(started["transactionId"], 2000))
        assert (await operator.ask("GET", path))["energy_wh"] == 1000.0
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 1000


async def test_a_viewer_sees_id_tags_in_part_and_can_not_look_for_them(csms: Csms) -> None:
    async with user_of_role(csms, "viewer") as viewer, csms.charger("CP1") as charger:
        await charger.call("StartTransaction", START | {"idTag": "04E1C9AA"})
        (row,) = (await viewer.ask("GET", "/transactions"))["items"]
        assert row["id_tag"] == "…AA"
        await viewer.ask("GET", "/transactions", 403, params={"id_tag": "04E1C9AA"})


async def test_an_id_tag_is_put_changed_and_removed_against_the_version_that_was_seen(
    csms: Csms, operator: Operator
) -> None:
    made = await operator.send("PUT", "/id-tags/Tag1", json={"max_active_transactions": 1})
    await operator.ask("PUT", "/id-tags/TAG1", 428, json={})
    headers = {"If-Match": made.headers["etag"]}
    await operator.ask("PUT", "/id-tags/Tag1", json={"status": "Blocked"}, headers=headers)
    await operator.ask("PUT", "/id-tags/Tag1", 412, json={}, headers=headers)
    async with csms.charger("CP1") as charger:
        answer = await charger.call("Authorize", {"idTag": "tag1"})
    assert answer["idTagInfo"]["status"] == "Blocked"
    await operator.ask("DELETE", "/id-tags/tag1", 204)
    await operator.ask("GET", "/id-tags/tag1", 404)


async def test_id_tags_are_imported_all_or_none(operator: Operator) -> None:
    async def send(text: str, status: int) -> Any:
        return await operator.ask("POST", "/id-tags/import", status, content=text.encode(), headers=CSV)

    good = "id_tag,status,expires_at,parent\nA1,Accepted,2031-01-01T00:00:00Z,G\nA2,Blocked,,\nA1,Blocked,,\n"
    assert await send("\ufeff" + good, 200) == {**IMPORTED, "added": 2, "replaced": 0}
    assert await send(good, 200) == {**IMPORTED, "added": 0, "replaced": 2, "unchanged": 2}
    bad = await send("id_tag,status\nA3,Accepted\nA4,Perhaps\n,Accepted\nA5\n", 422)
    assert [fault["path"] for fault in bad["errors"]] == ["line 3", "line 4", "line 5"]
    assert "Perhaps" not in str(bad)
    listed = await operator.ask("GET", "/id-tags", params={"prefix": "a"})
    assert [tag["id_tag"] for tag in listed["items"]] == ["A1", "A2"]


async def test_a_long_import_is_written_in_parts_between_which_chargers_are_answered(
    csms: Csms, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattspan.store.queries.id_tags.BATCH_SIZE", 10)
    written: list[int] = []
    put = id_tag_queries.put_id_tags
    monkeypatch.setattr(
        id_tag_queries, "put_id_tags", lambda connection, tags: written.append(len(tags)) or put(connection, tags)
    )
    lines = "".join(f"TAG{number}\n" for number in range(95))
    told = await operator.ask("POST", "/id-tags/import", content=f"id_tag\n{lines}tag3\n".encode(), headers=CSV)
    assert told == {**IMPORTED, "added": 95, "replaced": 0}
    assert written == [10] * 9 + [5]
    assert await csms.store.do(put, [IdTag(id_token=f"TAG{number}") for number in range(94, 130)]) == 35


CSV = {"Content-Type": "text/csv"}


@pytest.mark.parametrize("text", [b"", b"id_tag,extra\nA,B\n", b"\xff\xfe", b'id_tag\n"A\n', b"nothing\n1\n"])
async def test_a_file_that_is_no_list_of_id_tags_is_422(operator: Operator, text: bytes) -> None:
    await operator.ask("POST", "/id-tags/import", 422, content=text, headers=CSV)


async def test_a_reservation_is_made_shown_and_cancelled(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        body = {"id_tag": "TAG1", "connector_id": 1, "expires_at": "2031-01-01T00:00:00Z", "reservation_id": 7}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/reserve", json=body))
        await charger.reply(await charger.expect("ReserveNow"), {"status": "Accepted"})
        await asking
        await csms.durable()
        (shown,) = await operator.ask("GET", "/reservations")
        assert (shown["cp_id"], shown["reservation_id"], shown["id_tag"]) == ("CP1", 7, "TAG1")
        path = "/charge-points/CP1/cancel-reservation"
        asking = asyncio.create_task(operator.ask("POST", path, json={"reservation_id": 7}))
        await charger.reply(await charger.expect("CancelReservation"), {"status": "Accepted"})
        await asking
        await csms.durable()
        assert await operator.ask("GET", "/reservations", params={"cp_id": "CP1"}) == []


async def test_a_start_by_somebody_else_is_judged_by_its_token_and_leaves_the_reservation(
    csms: Csms, operator: Operator
) -> None:
    """OCPP 1.6 §5.13: the charger compares; no status of ours could say that the place is another's (docs/adr 8)."""
    await operator.ask("PUT", "/id-tags/CHILD", json={"parent": "FAMILY"})
    async with csms.charger("CP1") as charger:
        body = {"id_tag": "TAG1", "parent_id_tag": "FAMILY", "connector_id": 1, "expires_at": "2031-01-01T00:00:00Z"}
        asking = asyncio.create_task(
            operator.ask("POST", "/charge-points/CP1/reserve", json={**body, "reservation_id": 7})
        )
        await charger.reply(await charger.expect("ReserveNow"), {"status": "Accepted"})
        await asking
        told = await charger.call("Authorize", {"idTag": "CHILD"})
        assert told["idTagInfo"] == {"status": "Accepted", "parentIdTag": "FAMILY"}
        other = await charger.call("StartTransaction", START | {"idTag": "OTHER"})
        assert other["idTagInfo"]["status"] == "Accepted"
        await csms.durable()
        assert len(await operator.ask("GET", "/reservations")) == 1
        await charger.call("StopTransaction", stop(other["transactionId"]))
        own = START | {"timestamp": "2026-11-21T12:00:00Z", "idTag": "CHILD", "reservationId": 7}
        await charger.call("StartTransaction", own)
        await csms.durable()
        assert await operator.ask("GET", "/reservations") == []


async def test_a_limit_is_set_shown_as_schedule_and_cleared(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"})
        body = {"limit": 10, "connector_id": 1, "lasts_s": 3600}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/limit", json=body))
        await charger.reply(await charger.expect("SetChargingProfile"), {"status": "Accepted"})
        await asking
        (stack,) = await operator.ask("GET", "/charge-points/CP1/charging-profiles")
        assert stack["profiles"][0]["chargingProfilePurpose"] == "TxDefaultProfile"
        schedule = await operator.ask("GET", "/charge-points/CP1/connectors/1/composite-schedule")
        assert [period["limit_a"] for period in schedule["periods"]] == [10.0, None]
        assert await csms.metric("ocpp_cp_current_limit_a", cp_id="CP1", connector_id="1") == 10
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/clear-limit", json={}))
        await charger.reply(await charger.expect("ClearChargingProfile"), {"status": "Accepted"})
        await asking
        assert await operator.ask("GET", "/charge-points/CP1/charging-profiles") == []


async def test_configuration_is_read_without_its_secrets_and_changed(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        asking = asyncio.create_task(operator.ask("GET", "/charge-points/CP1/configuration"))
        keys = [
            {"key": "HeartbeatInterval", "readonly": False, "value": "60"},
            {"key": "AuthorizationKey", "readonly": False, "value": "hunter2hunter2hunter2"},
        ]
        await charger.reply(await charger.expect("GetConfiguration"), {"configurationKey": keys})
        assert [key["value"] for key in (await asking)["keys"]] == ["60", None]
        asking = asyncio.create_task(operator.command("CP1", "GetConfiguration", {}))
        await charger.reply(await charger.expect("GetConfiguration"), {"configurationKey": keys})
        assert [key["value"] for key in (await asking)["payload"]["configurationKey"]] == ["60", "***"]
        path = "/charge-points/CP1/configuration/HeartbeatInterval"
        change = asyncio.create_task(operator.ask("PUT", path, json={"value": "90"}))
        frame = await charger.expect("ChangeConfiguration")
        assert frame[3] == {"key": "HeartbeatInterval", "value": "90"}
        await charger.reply(frame, {"status": "RebootRequired"})
        assert (await change)["accepted"] is True


async def test_prometheus_finds_the_node(csms: Csms, operator: Operator) -> None:
    (target,) = (await operator.http.get("/sd/prometheus")).json()
    assert target["targets"] == [f"127.0.0.1:{csms.central.metrics_port}"]
    assert all(isinstance(value, str) for value in target["labels"].values())


async def test_the_documentation_needs_nothing_from_elsewhere(operator: Operator) -> None:
    page = await operator.http.get("/docs")
    assert page.status_code == 200
    assert "/charge-points/{cp_id}/start" in page.text
    assert "http:" not in page.text
    assert "https:" not in page.text
    assert "<script" not in page.text
    assert "`" not in page.text
    (summary,) = re.findall("<summary>.*?/charge-points/{cp_id}/reset<.*?</summary>", page.text)
    assert "Restart the charge point" in summary
    assert "<code>hard</code>: at once" in page.text
    assert "Example:</p><pre><code>{\n  &quot;id_tag&quot;: &quot;text&quot;\n}" in page.text
    assert "<span class=what>Read fleet</span>" in page.text
    document = await operator.ask("GET", "/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert (await operator.http.get("/openapi.json")).json() == document
