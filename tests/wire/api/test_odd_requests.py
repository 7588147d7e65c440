"""What no client of good will sends: answered with a problem that says whose fault it is, and never with a 5xx."""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.central import Csms
from support.operators import Operator, anonymous
from support.waiting import eventually
from wattspan.store.queries import audit as audit_queries

JSON = {"Content-Type": "application/json"}
COMMANDS = "/charge-points/CP1/commands"


async def test_what_no_database_takes_is_the_askers_fault(csms: Csms, operator: Operator) -> None:
    """PostgreSQL takes no NUL in a text, and would say so as an error of its own."""
    read = (
        *("/charge-points/%00", "/charge-points/a%00b/device-model", "/id-tags/%00", "/users/%00"),
        *("/transactions?cp_id=%00", "/transactions?id_tag=a%00", "/audit?who=%00", "/audit?target=%00"),
        *("/id-tags?prefix=%00", "/reservations?cp_id=%00", "/diagnostics?cp_id=%00"),
    )
    for path in read:
        await operator.ask("GET", path, 422)
    for path in ("/charge-points/%00", "/charge-points/%00/credentials", "/id-tags/%00", "/users/%00", "/tokens/%00"):
        await operator.ask("DELETE", path, 422)
    async with csms.charger("CP1"), anonymous(csms) as stranger:
        for path in ("/id-tags", "/users", "/charge-points", "/charge-points/CP1/device-model"):
            for text in (b"\0", b'["\\u0000","","","","",""]', b"[" * 700):
                cursor = urlsafe_b64encode(text).decode()
                assert (await operator.send("GET", path, params={"cursor": cursor})).status_code in (200, 422)
        await operator.ask("GET", "/id-tags", 422, params={"cursor": urlsafe_b64encode(b"\0").decode()})
        await stranger.ask("POST", "/session", 422, json={"name": "\0", "password": "x"})
    entry = (await operator.ask("GET", "/audit"))["items"][0]
    assert (entry["action"], entry["status"]) == ("log_in", 422)


async def test_a_payload_that_json_can_not_carry_is_told_so_and_the_next_command_goes_out(
    csms: Csms, operator: Operator
) -> None:
    bad = (
        b'{"idTag":"x","connectorId":123456789012345678901234567890}',
        b'{"idTag":"\\ud800","connectorId":1}',
        b'{"idTag":"x","connectorId":NaN}',
        b'{"idTag":"x","connectorId":1e999}',
        b'{"idTag":"x","chargingProfile":{"chargingProfileId":1,"stackLevel":0,"chargingProfilePurpose":"TxProfile",'
        b'"chargingProfileKind":"Absolute","chargingSchedule":{"chargingRateUnit":"A","minChargingRate":NaN,'
        b'"chargingSchedulePeriod":[{"startPeriod":0,"limit":1}]}}}',
    )
    async with csms.charger("CP1") as charger:
        for body in bad:
            path = f"{COMMANDS}/RemoteStartTransaction"
            problem = await operator.ask("POST", path, 422, content=body, headers=JSON, params={"timeout_s": 1})
            assert problem["errors"], body
        asking = asyncio.create_task(operator.command("CP1", "Reset", {"type": "Soft"}))
        await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
        await asking


async def test_a_time_that_utc_does_not_have_is_refused_and_never_becomes_no_time(
    csms: Csms, operator: Operator
) -> None:
    beyond = ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z")
    async with csms.charger("CP1"):
        for at in beyond:
            await operator.ask("PUT", "/id-tags/T", 422, json={"expires_at": at})
            await operator.ask("GET", "/transactions", 422, params={"from_at": at})
            body = {"id_tag": "T", "expires_at": at}
            await operator.ask("POST", "/charge-points/CP1/reserve", 422, json=body)
    shown = await operator.ask("PUT", "/id-tags/T", json={"expires_at": "2031-01-01T01:00:00+01:00"})
    assert shown["expires_at"] == "2031-01-01T00:00:00.000Z"


async def test_head_is_get_without_the_body_and_begins_no_stream(csms: Csms, operator: Operator) -> None:
    file = await operator.ask("POST", "/firmware", 201, params={"name": "fw.bin"}, content=b"x" * 1000)
    for path in ("/", "/static/main.js", "/api/v1/health", "/api/v1/charge-points", "/api/v1/events", "/docs"):
        answer = await operator.http.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    answer = await operator.http.head(f"/files/firmware/{file['file_id']}/fw.bin")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "1000")
    assert not csms.central._feed._listeners
    labels = {"method": "HEAD", "status": "200"}
    assert await csms.metric("http_requests_total", **labels, endpoint="/static/{path}") == 1
    assert await csms.metric("http_requests_total", **labels, endpoint="/api/v1/events") == 1


async def test_a_method_that_is_not_allowed_is_a_problem_that_tells_those_that_are(csms: Csms) -> None:
    refused = {
        ("DELETE", "/api/v1/charge-points"): "GET, HEAD, POST",
        ("OPTIONS", "/api/v1/id-tags/T"): "DELETE, GET, HEAD, PUT",
        ("POST", "/"): "GET, HEAD",
        ("PUT", "/static/main.js"): "GET, HEAD",
    }
    async with anonymous(csms) as stranger:
        for (method, path), allowed in refused.items():
            answer = await stranger.http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed), path
            assert answer.headers["content-type"] == "application/problem+json"


async def test_who_hangs_up_in_mid_upload_is_no_error_of_the_server_and_leaves_nothing(
    csms: Csms, operator: Operator, tmp_path: Path
) -> None:
    ticket = csms.central._files.ticket("CP1", time.time())
    _, writer = await asyncio.open_connection("127.0.0.1", csms.central.api_port)
    writer.write(f"PUT /files/uploads/{ticket} HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nabc".encode())
    await writer.drain()
    await eventually(lambda: list((tmp_path / "files").rglob("*.part")))
    writer.transport.abort()
    labels = {"method": "PUT", "status": "400", "endpoint": "/files/uploads/{ticket}"}
    await csms.becomes(1, "http_requests_total", **labels)
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


async def test_a_command_whose_asker_hangs_up_is_carried_out_and_noted(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        asking = asyncio.create_task(operator.command("CP1", "Reset", {"type": "Soft"}))
        frame = await charger.expect("Reset")
        asking.cancel()
        await asyncio.wait([asking])
        await charger.reply(frame, {"status": "Accepted"})

        async def noted() -> Any:
            row = (await operator.ask("GET", "/audit"))["items"][0]
            return row["action"] == "send_command" and row

        row = await eventually(noted)
        assert (row["who"], row["status"]) == ("admin", 200)
        again = asyncio.create_task(operator.command("CP1", "Reset", {"type": "Hard"}))
        await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
        await again


async def test_a_command_under_way_at_the_servers_end_is_answered_and_noted(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        asking = asyncio.create_task(operator.command("CP1", "Reset", {"type": "Soft"}, 502))
        await charger.expect("Reset")
        await csms.restart()
        await asking
    (row,) = await csms.store.read(audit_queries.list_entries, None, "Reset", None, 1)
    assert (row.who, row.status) == ("admin", 502)


async def test_a_write_that_the_servers_end_cut_off_is_noted_too(
    csms: Csms, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csms.central._api._config, "timeout_graceful_shutdown", 0.05)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"begun, and "
        await asyncio.Event().wait()

    sending = asyncio.create_task(operator.send("POST", "/firmware", params={"name": "fw"}, content=pieces()))
    await eventually(lambda: list((tmp_path / "files").rglob("*.part")))
    await csms.restart()
    sending.cancel()
    await asyncio.wait([sending])
    (row,) = await csms.store.read(audit_queries.list_entries, None, "firmware", None, 1)
    assert (row.who, row.action, row.status) == ("admin", "upload_firmware", 499)
