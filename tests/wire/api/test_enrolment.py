"""Tap to enrol by HTTP: the next unknown id tag at a chosen charge point."""

import pytest

from support.central import Csms
from support.operators import Operator

PATH = "/charge-points/CP1/enrol"


async def test_the_next_unknown_id_tag_is_put_on_file_and_no_other(csms: Csms, operator: Operator) -> None:
    await operator.ask("PUT", "/id-tags/KNOWN", json={"status": "Blocked"})
    async with csms.charger("CP1") as charger, csms.charger("CP2") as other:

        async def tapped(tag: str, at: object = charger) -> str:
            answer = await at.call("Authorize", {"idTag": tag})  # type: ignore[attr-defined]
            return str(answer["idTagInfo"]["status"])

        await operator.ask("PATCH", "/charge-points/CP1", json={"unknown_id_tags": "reject"}, headers={"If-Match": "*"})
        opened = await operator.ask("POST", PATH, 201, json={"group": "staff", "note": "Anna"})
        assert (opened["state"], opened["id_tag"]) == ("waiting", None)
        await tapped("OTHER", other)
        assert await tapped("KNOWN") == "Blocked"
        assert await tapped("NEW1") == "Accepted"
        assert await tapped("NEW2") == "Invalid"
    found = await operator.ask("GET", PATH)
    assert (found["state"], found["id_tag"]) == ("enrolled", "NEW1")
    tag = await operator.ask("GET", "/id-tags/NEW1")
    assert (tag["group"], tag["note"]) == ("staff", "Anna")
    for absent in ("OTHER", "NEW2"):
        await operator.ask("GET", f"/id-tags/{absent}", 404)
    noted = (await operator.ask("GET", "/audit", params={"target": "id-tags/NEW1"}))["items"]
    assert [(each["action"], each["who"]) for each in noted] == [("enrol_id_tag", "admin")]


async def test_an_enrolment_that_is_cancelled_or_whose_time_is_over_takes_nothing(
    csms: Csms, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operator.ask("POST", PATH, 404, json={})
    async with csms.charger("CP1") as charger:
        await operator.ask("POST", PATH, 201, json={})
        await operator.ask("DELETE", PATH, 204)
        await charger.call("Authorize", {"idTag": "NEW1"})
        await operator.ask("GET", "/id-tags/NEW1", 404)
        await operator.ask("DELETE", PATH, 404)
        await operator.ask("POST", PATH, 201, json={"seconds": 1})
        enrolments = csms.central._enrolments
        monkeypatch.setattr(enrolments, "_clock", lambda: csms.central._core.clock() + 2)
        await charger.call("Authorize", {"idTag": "NEW1"})
        await operator.ask("GET", "/id-tags/NEW1", 404)
    await operator.ask("POST", PATH, 409, json={})
