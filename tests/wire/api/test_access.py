"""Who gets in, who does not, and what an attacker tries."""

import asyncio

import httpx
import pytest

from support.central import Csms
from support.operators import PASSWORD, Operator, admin, anonymous, user_of_role
from support.waiting import eventually
from wattspan.store.queries import audit as audit_queries

COOKIE = "wattspan_session"


async def test_a_log_in_sets_a_cookie_that_no_script_and_no_other_site_gets(csms: Csms) -> None:
    async with anonymous(csms) as operator:
        answer = await operator.send("POST", "/session", json={"name": "admin", "password": csms.first_password})
    flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert answer.json()["role"] == "admin"
    assert await csms.metric("successful_logins_total") == 1
    assert await csms.metric("user_login_duration_seconds_count") == 1


async def test_the_first_admin_is_made_once_or_has_the_password_of_the_setting(csms: Csms) -> None:
    assert csms.first_password is not None
    await csms.restart()
    assert csms.central.first_password is None
    async with admin(csms) as operator:
        assert (await operator.ask("GET", "/session"))["name"] == "admin"


async def test_the_setting_gives_the_first_admin_a_password(make_csms) -> None:  # type: ignore[no-untyped-def]
    csms = await make_csms(admin_password=PASSWORD)
    assert csms.first_password is None
    async with anonymous(csms) as operator:
        await operator.log_in("Admin", PASSWORD)


async def test_a_wrong_password_and_an_unknown_name_are_answered_alike(csms: Csms) -> None:
    async with anonymous(csms) as operator:
        wrong = await operator.ask("POST", "/session", 401, json={"name": "admin", "password": "wrong"})
        unknown = await operator.ask("POST", "/session", 401, json={"name": "nobody", "password": "wrong"})
    del wrong["trace_id"], unknown["trace_id"]
    assert wrong == unknown
    assert await csms.metric("failed_logins_total") == 2


async def test_after_five_failures_a_name_waits_and_the_right_password_waits_too(csms: Csms) -> None:
    async with anonymous(csms) as operator:
        for _ in range(5):
            await operator.ask("POST", "/session", 401, json={"name": "admin", "password": "wrong"})
        right = {"name": "ADMIN", "password": csms.first_password}
        answer = await operator.send("POST", "/session", json=right)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert await csms.metric("account_lockouts_total") == 1


async def test_a_session_that_the_browser_came_with_is_never_taken_over(csms: Csms) -> None:
    async with anonymous(csms) as operator:
        operator.http.cookies.set(COOKIE, "planted-by-somebody")
        await operator.log_in("admin", csms.first_password or "")
        first = operator.http.cookies.get(COOKIE, domain="127.0.0.1")
        assert first not in (None, "planted-by-somebody")
        await operator.log_in("admin", csms.first_password or "")
        operator.http.cookies.clear()
        stolen = await operator.send("GET", "/session", headers={"Cookie": f"{COOKIE}={first}"})
    assert stolen.status_code == 401


async def test_a_log_out_ends_the_session_for_good(csms: Csms, operator: Operator) -> None:
    secret = operator.http.cookies[COOKIE]
    await operator.ask("DELETE", "/session", 204)
    answer = await operator.send("GET", "/session", headers={"Cookie": f"{COOKIE}={secret}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("token", [None, "wrong", ""])
async def test_a_sessions_write_without_its_token_is_refused_and_noted(
    csms: Csms, operator: Operator, token: str | None
) -> None:
    right = operator.http.headers.pop("X-CSRF-Token")
    headers = {} if token is None else {"X-CSRF-Token": token}
    answer = await operator.send("POST", "/charge-points", json={"cp_id": "CP1"}, headers=headers)
    assert answer.json()["type"] == "urn:wattspan:csrf"
    operator.http.headers["X-CSRF-Token"] = right
    entry = (await operator.ask("GET", "/audit"))["items"][0]
    assert (entry["who"], entry["action"], entry["status"]) == ("admin", "create_charge_point", 403)


async def test_a_request_that_another_site_sends_is_refused(csms: Csms, operator: Operator) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    await operator.ask("POST", "/charge-points", 403, json={"cp_id": "CP1"}, headers=headers)
    log_in = {"name": "admin", "password": csms.first_password}
    await operator.ask("POST", "/session", 403, json=log_in, headers=headers)


async def test_a_form_of_another_site_can_not_log_in(csms: Csms) -> None:
    async with anonymous(csms) as operator:
        answer = await operator.send("POST", "/session", data={"name": "admin", "password": csms.first_password})
        assert answer.status_code == 422
        text = f'{{"name": "admin", "password": "{csms.first_password}"}}'
        answer = await operator.send("POST", "/session", content=text, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 422


async def test_a_token_does_what_its_scopes_say_until_it_is_revoked(csms: Csms, operator: Operator) -> None:
    made = await operator.ask("POST", "/tokens", 201, json={"label": "scraper", "scopes": ["read"]})
    headers = {"Authorization": f"Bearer {made['secret']}"}
    async with anonymous(csms) as program:
        await program.ask("GET", "/charge-points", headers=headers)
        await program.ask("POST", "/charge-points", 403, json={"cp_id": "CP1"}, headers=headers)
        await program.ask("POST", "/tokens", 403, json={"scopes": ["read"]}, headers=headers)
        assert made["secret"] not in str(await operator.ask("GET", "/tokens"))
        await operator.ask("DELETE", f"/tokens/{made['id']}", 204)
        await program.ask("GET", "/charge-points", 401, headers=headers)


async def test_a_token_ends_at_its_expiry(csms: Csms, operator: Operator) -> None:
    new = {"scopes": ["read"], "expires_in_days": 1e-9}
    secret = (await operator.ask("POST", "/tokens", 201, json=new))["secret"]
    async with anonymous(csms) as program:
        await program.ask("GET", "/charge-points", 401, headers={"Authorization": f"Bearer {secret}"})


async def test_a_token_of_a_user_who_is_demoted_loses_rights_at_once(csms: Csms) -> None:
    async with user_of_role(csms, "operator", "olga") as olga, admin(csms) as boss:
        secret = (await olga.ask("POST", "/tokens", 201, json={"scopes": ["read", "write"]}))["secret"]
        await boss.ask("PATCH", "/users/olga", json={"role": "viewer"}, headers={"If-Match": "*"})
        async with anonymous(csms) as program:
            headers = {"Authorization": f"Bearer {secret}"}
            await program.ask("GET", "/charge-points", headers=headers)
            await program.ask("POST", "/charge-points", 403, json={"cp_id": "CP1"}, headers=headers)


async def test_registration_is_off_unless_the_server_says_so(csms: Csms) -> None:
    async with anonymous(csms) as operator:
        await operator.ask("POST", "/registrations", 403, json={"name": "eve", "password": PASSWORD})


async def test_whoever_registers_is_a_viewer_and_a_taken_name_is_a_conflict(make_csms) -> None:  # type: ignore[no-untyped-def]
    csms = await make_csms(registration=True)
    async with anonymous(csms) as operator:
        user = await operator.ask("POST", "/registrations", 201, json={"name": "Eve", "password": PASSWORD})
        assert user["role"] == "viewer"
        await operator.ask("POST", "/registrations", 409, json={"name": "eve", "password": PASSWORD})
        await operator.log_in("eve", PASSWORD)
    assert await csms.metric("successful_registrations_total") == 1
    assert await csms.metric("registration_conflicts_total") == 1
    assert await csms.metric("user_registration_duration_seconds_count") == 2


async def test_a_changed_password_ends_every_session(csms: Csms) -> None:
    async with user_of_role(csms, "viewer", "vera") as vera, anonymous(csms) as again:
        change = {"old": PASSWORD, "new": "another long password"}
        await vera.ask("PUT", "/session/password", 401, json={**change, "old": "wrong"})
        await vera.ask("PUT", "/session/password", 204, json=change)
        await vera.ask("GET", "/session", 401)
        await again.ask("POST", "/session", 401, json={"name": "vera", "password": PASSWORD})
        await again.log_in("vera", change["new"])


async def test_the_last_admin_stays(csms: Csms, operator: Operator) -> None:
    headers = {"If-Match": "*"}
    for change in ({"role": "viewer"}, {"disabled": True}):
        await operator.ask("PATCH", "/users/admin", 409, json=change, headers=headers)
    await operator.ask("DELETE", "/users/admin", 409)


async def test_two_admins_that_remove_each_other_at_once_leave_one(csms: Csms) -> None:
    async with user_of_role(csms, "admin", "other") as other, admin(csms) as first:
        answers = await asyncio.gather(first.send("DELETE", "/users/other"), other.send("DELETE", "/users/admin"))
    assert sorted(answer.status_code < 300 for answer in answers) == [False, True]


async def test_an_error_tells_no_password_back(csms: Csms, operator: Operator) -> None:
    short = "hunter2"
    answer = await operator.send("POST", "/users", json={"name": "x", "password": short, "role": "viewer"})
    assert answer.status_code == 422
    assert short not in answer.text


async def test_many_log_ins_of_one_name_at_once_are_no_way_around_the_lockout(csms: Csms) -> None:
    async with anonymous(csms) as operator:

        async def guess(number: int) -> int:
            body = {"name": "admin", "password": f"guess {number}"}
            answer: httpx.Response = await operator.send("POST", "/session", json=body)
            return answer.status_code

        codes = await asyncio.gather(*(guess(number) for number in range(30)))
    assert codes.count(401) <= 5
    assert set(codes) == {401, 429}


async def test_old_rows_leave_the_audit_log(make_csms) -> None:  # type: ignore[no-untyped-def]
    csms = await make_csms(audit_retention_days=1e-9)
    async with admin(csms) as boss:
        await boss.ask("DELETE", "/session", 204)
    await csms.restart()

    async def has_gone() -> bool:
        return [row.action for row in await csms.store.read(audit_queries.list_entries, None, None, None, 10)] == [
            "log_out"
        ]

    await eventually(has_gone)


async def test_a_body_that_is_too_large_is_a_problem_for_strangers_too(csms: Csms) -> None:
    """Starlette would answer 413 as plain text, in the place of the 401."""
    async with anonymous(csms) as stranger:
        answer = await stranger.send("POST", "/charge-points/CP1/local-list", content=b"0" * 2_000_000)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:wattspan:too-large"
