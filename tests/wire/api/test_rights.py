"""Every route, and who may use it. A route that is missing here fails."""

from typing import Any

import pytest

from support.central import Csms
from support.operators import Operator, admin, anonymous, user_of_role
from wattspan.api.access.guard import RIGHT
from wattspan.api.access.rights import RIGHTS, Right, Role

TABLE = """
read    GET    /charge-points
read    GET    /charge-points/pending
write   POST   /charge-points/pending/{cp_id}/approve
write   POST   /charge-points/pending/{cp_id}/reject
write   POST   /charge-points
read    GET    /charge-points/{cp_id}
write   PATCH  /charge-points/{cp_id}
write   DELETE /charge-points/{cp_id}
write   PUT    /charge-points/{cp_id}/credentials
write   POST   /charge-points/{cp_id}/credentials/rotate
write   DELETE /charge-points/{cp_id}/credentials
read    GET    /charge-points/{cp_id}/connectors
read    GET    /charge-points/{cp_id}/connectors/{connector_id}/composite-schedule
read    GET    /charge-points/{cp_id}/charging-profiles
read    GET    /charge-points/{cp_id}/commands
read    GET    /charge-points/{cp_id}/device-model
read    GET    /charge-points/{cp_id}/certificates
command POST   /charge-points/{cp_id}/certificates/read
read    GET    /charge-points/{cp_id}/transfers
read    GET    /security-events
command POST   /charge-points/{cp_id}/commands/{action}
read    GET    /charge-points/{cp_id}/commands/{action}
command GET    /charge-points/{cp_id}/messages
read    GET    /console
read    GET    /alerts
command POST   /charge-points/{cp_id}/start
command POST   /charge-points/{cp_id}/stop
command POST   /charge-points/{cp_id}/unlock
command POST   /charge-points/{cp_id}/reset
command POST   /charge-points/{cp_id}/reserve
command POST   /charge-points/{cp_id}/cancel-reservation
command POST   /charge-points/{cp_id}/limit
command POST   /charge-points/{cp_id}/clear-limit
command POST   /charge-points/{cp_id}/availability
command POST   /charge-points/{cp_id}/trigger
command POST   /charge-points/{cp_id}/local-list
command GET    /charge-points/{cp_id}/local-list
command POST   /charge-points/{cp_id}/logs
command POST   /charge-points/{cp_id}/firmware
command GET    /charge-points/{cp_id}/configuration
command PUT    /charge-points/{cp_id}/configuration/{key}
read    GET    /fleet
read    GET    /charge-points/summary
read    GET    /sites
read    GET    /sites/{site_id}
write   PUT    /sites/{site_id}
write   DELETE /sites/{site_id}
read    GET    /labels
read    GET    /views
read    POST   /views
read    PATCH  /views/{view_id}
read    DELETE /views/{view_id}
read    GET    /series
read    GET    /timelines
read    GET    /availability
read    GET    /planned-outages
write   POST   /planned-outages
write   DELETE /planned-outages/{outage_id}
read    GET    /exports/sessions
read    GET    /exports/readings
read    GET    /exports/monthly
admin   GET    /exports/audit
write   GET    /exports/id-tags
read    GET    /reports/monthly
write   GET    /id-tag-groups
write   POST   /id-tags/block
command GET    /charge-points/{cp_id}/message-history
command GET    /charge-points/{cp_id}/message-history/download
command POST   /jobs/preview
command POST   /jobs
read    GET    /jobs
read    GET    /jobs/{job_id}
read    GET    /jobs/{job_id}/results
command POST   /jobs/{job_id}/stop
command POST   /jobs/{job_id}/retry
write   POST   /charge-points/{cp_id}/enrol
write   GET    /charge-points/{cp_id}/enrol
write   DELETE /charge-points/{cp_id}/enrol
read    GET    /transactions
read    GET    /transactions/totals
read    GET    /transactions/{number}
write   POST   /transactions/{number}/close
write   GET    /id-tags
write   POST   /id-tags/import
admin   POST   /id-tags/erase
write   GET    /id-tags/{id_tag}
write   PUT    /id-tags/{id_tag}
write   DELETE /id-tags/{id_tag}
read    GET    /reservations
command GET    /diagnostics
command GET    /diagnostics/{file_id}
write   DELETE /diagnostics/{file_id}
command GET    /firmware
write   POST   /firmware
write   DELETE /firmware/{file_id}
read    GET    /events
public  POST   /session
read    GET    /session
read    DELETE /session
read    PUT    /session/password
public  POST   /registrations
read    GET    /tokens
read    POST   /tokens
read    DELETE /tokens/{token_id}
admin   GET    /users
admin   POST   /users
admin   GET    /users/{name}
admin   PATCH  /users/{name}
admin   DELETE /users/{name}
admin   GET    /audit
admin   GET    /settings
public  GET    /health
public  GET    //sd/prometheus
public  GET    //files/firmware/{file_id}/{name}
public  PUT    //files/uploads/{ticket}
public  POST   //files/uploads/{ticket}
public  PUT    //files/uploads/{ticket}/{name}
public  POST   //files/uploads/{ticket}/{name}
"""
"""Right, method, path; `//`: not below /api/v1."""

ROWS = [(right, method, path) for right, method, path in map(str.split, TABLE.strip().splitlines())]
GUARDED = [row for row in ROWS if row[0] != "public"]
FILLED = {"number": "1", "file_id": "0" * 32}


def filled(path: str) -> str:
    """The path with something in its places."""
    parts = [part[1:-1] if part.startswith("{") else None for part in path.split("/")]
    return "/".join(FILLED.get(name, "x") if name else part for name, part in zip(parts, path.split("/"), strict=True))


def address(path: str) -> str:
    return path[1:] if path.startswith("//") else f"/api/v1{path}"


async def test_the_table_has_every_route_and_its_right(csms: Csms, operator: Operator) -> None:
    document = await operator.ask("GET", "/openapi.json")
    routes = {
        (operation[RIGHT], method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert routes == {(right, method, address(path)) for right, method, path in ROWS}


@pytest.mark.parametrize("role", [role.value for role in Role])
async def test_what_a_role_may_not_do_is_403_and_a_refused_write_is_noted(csms: Csms, role: str) -> None:
    refused = [row for row in GUARDED if Right(row[0]) not in RIGHTS[Role(role)]]
    async with user_of_role(csms, role, "sam") as sam, admin(csms) as boss:
        for _, method, path in refused:
            problem = await sam.ask(method, filled(path), 403)
            assert problem["type"] == "urn:wattspan:right", path
        noted = [entry for entry in await everything(boss) if entry["who"] == "sam" and entry["status"] == 403]
    assert len(noted) == len([row for row in refused if row[1] != "GET"])
    assert all(len(entry["trace_id"]) == 32 for entry in noted)
    assert bool(refused) == (role != "admin")


@pytest.mark.parametrize("role", [role.value for role in Role])
async def test_what_a_role_may_do_is_never_refused_for_want_of_a_right(csms: Csms, role: str) -> None:
    stays = ("/events", "/session")
    async with user_of_role(csms, role, "sam") as sam:
        for right, method, path in GUARDED:
            if Right(right) in RIGHTS[Role(role)] and path not in stays:
                answer = await sam.send(method, filled(path))
                assert answer.status_code not in (401, 403) or "session" in path, (path, answer.text)
                assert answer.status_code < 500, (path, answer.text)


async def test_without_a_log_in_everything_but_the_public_is_401_and_a_write_is_noted(
    csms: Csms, operator: Operator
) -> None:
    async with anonymous(csms) as stranger:
        for _, method, path in GUARDED:
            answer = await stranger.send(method, filled(path))
            assert (answer.status_code, answer.json()["type"]) == (401, "urn:wattspan:who"), path
    noted = [entry for entry in await everything(operator) if entry["who"] == "" and entry["status"] == 401]
    assert len(noted) == len([row for row in GUARDED if row[1] != "GET"])


async def test_every_write_of_a_session_needs_its_token_and_is_refused_from_another_site(
    csms: Csms, operator: Operator
) -> None:
    writes = [row for row in GUARDED if row[1] != "GET"]
    token = operator.http.headers.pop("X-CSRF-Token")
    elsewhere = {"X-CSRF-Token": token, "Sec-Fetch-Site": "same-site"}
    for headers in ({}, {"X-CSRF-Token": "0" * 32}, elsewhere):
        for _, method, path in writes:
            problem = await operator.ask(method, filled(path), 403, headers=headers)
            assert problem["type"] == "urn:wattspan:csrf", path
    assert len(writes) > 30
    await operator.ask("GET", "/session")


async def everything(operator: Operator) -> list[dict[str, Any]]:
    """The whole audit log."""
    entries: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": 50} | ({"cursor": cursor} if cursor else {})
        page = await operator.ask("GET", "/audit", params=query)
        entries += page["items"]
        cursor = page["next"]
        if cursor is None:
            return entries
