"""Several operators at once: nobody's change is lost, and pages neither repeat nor skip what was there all the time."""

import asyncio
from typing import Any

import pytest

from support.central import Csms
from support.operators import PASSWORD, Operator


async def test_of_changes_to_what_all_saw_one_is_taken(csms: Csms, operator: Operator) -> None:
    await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1"})
    await operator.ask("POST", "/users", 201, json={"name": "eve", "password": PASSWORD, "role": "viewer"})
    await operator.ask("PUT", "/id-tags/T", json={})
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", "/charge-points/CP1", {"note": "changed"}),
        ("PATCH", "/users/eve", {"role": "operator"}),
        ("PUT", "/id-tags/T", {"status": "Blocked"}),
    ]
    for method, path, change in changes:
        headers = {"If-Match": (await operator.send("GET", path)).headers["etag"]}
        answers = await asyncio.gather(
            *(operator.send(method, path, json=change, headers=headers) for _ in range(8)),
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7, path
    made = await asyncio.gather(*(operator.send("PUT", "/id-tags/NEW", json={}) for _ in range(8)))
    assert sorted(answer.status_code for answer in made) == [200] + [428] * 7


@pytest.mark.parametrize("path", ["/id-tags", "/charge-points"])
async def test_pages_go_on_where_they_were_whatever_comes_and_goes(csms: Csms, operator: Operator, path: str) -> None:
    async def make(name: str) -> None:
        if path == "/id-tags":
            await operator.ask("PUT", f"{path}/{name}", json={})
        else:
            await operator.ask("POST", path, 201, json={"cp_id": name, "credentials": False})

    steady = [f"M{number}" for number in range(6)]
    for name in [*steady, "M2-gone", "M4-gone"]:
        await make(name)
    seen: list[str] = []
    meanwhile = iter([("M2-gone", "A"), ("M4-gone", "M0-late")])
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = await operator.ask("GET", path, params=query)
        seen += [item["id_tag" if path == "/id-tags" else "cp_id"] for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        for gone, new in [change for change in [next(meanwhile, None)] if change is not None]:
            await operator.ask("DELETE", f"{path}/{gone}", 204)
            await make(new)
    assert seen == steady
