"""What one peer can do to the HTTP ports, over real sockets: each limit answers, is counted, and frees what it held."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi.routing import APIRoute

from support.central import Csms
from support.operators import PASSWORD, Operator, admin, anonymous
from support.waiting import WITHIN_S, eventually
from wattspan.api import bodies
from wattspan.api.app import OUTSIDE, ROUTERS
from wattspan.api.routes import files
from wattspan.http import protocol, server
from wattspan.http.connections import connection_limit

BODY = b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n"


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield reader, writer
    finally:
        writer.transport.abort()


async def answered(port: int, data: bytes) -> bytes:
    """What a port answers to these bytes until it closes the connection."""
    async with connected(port) as (reader, writer):
        writer.write(data)
        return await reader.read()


async def refused(csms: Csms, status: int) -> float | None:
    """How often the API's port refused something before a request had begun."""
    return await csms.metric("http_requests_total", method="other", status=str(status), endpoint="unmatched")


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TICK_S", 0.02)


@pytest.fixture
def impatient(ticking: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_S", 0.1)
    monkeypatch.setattr(protocol, "ANSWER_S", 0.1)


async def test_a_body_that_does_not_come_is_answered_with_408(impatient: None, csms: Csms) -> None:
    answer = await answered(csms.central.api_port, BODY + b"{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    await csms.becomes(1, "http_requests_total", method="POST", status="408", endpoint="/api/v1/session")


@pytest.fixture
def checked_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TICK_S", 3600)


async def test_an_upload_that_goes_on_is_not_cut_off(
    checked_by_hand: None, monkeypatch: pytest.MonkeyPatch, csms: Csms
) -> None:
    monkeypatch.setattr(protocol, "MIN_BODY_BYTES", 1)
    ticket = csms.central._files.ticket("CP1", 0.0)
    csms.central._files._tickets[ticket].until_ts = 1e12
    async with connected(csms.central.api_port) as (reader, writer):
        writer.write(f"PUT /files/uploads/{ticket} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n".encode())
        (upload,) = await eventually(lambda: [each for each in csms.central._api._server._bounded() if each._receiving])
        for _ in range(19):
            writer.write(b"x")
            await eventually(lambda: upload._body_bytes)
            upload._body_since_s -= 2 * protocol.BODY_S  # so much time passes
            upload.check()
        writer.write(b"x")
        assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")


async def test_a_body_after_its_answer_does_not_hold_the_connection(impatient: None, csms: Csms) -> None:
    """The metrics port answers without reading the body."""
    async with connected(csms.central.metrics_port) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nx")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")


async def test_empty_lines_between_requests_do_not_hold_the_connection(
    monkeypatch: pytest.MonkeyPatch, csms: Csms
) -> None:
    async with connected(csms.central.metrics_port) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok\n")
        monkeypatch.setattr(protocol, "HEAD_S", 0.05)
        writer.write(b"\r\n")
        assert await reader.read() == b""


async def test_an_answer_that_nobody_reads_is_given_up(
    ticking: None, csms: Csms, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await operator.ask("POST", "/firmware", 201, params={"name": "fw"}, content=b"x" * 20_000_000)
    connections = csms.central._api._config.connections
    async with connected(csms.central.api_port) as (reader, writer):
        writer.write(f"GET /files/firmware/{file['file_id']}/fw HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        monkeypatch.setattr(protocol, "ANSWER_S", 0.1)
        await eventually(lambda: len(connections) == 1)


async def test_pipelined_requests_are_answered_up_to_a_limit(csms: Csms) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await answered(csms.central.metrics_port, request * 1_000)
    assert answer.count(b"HTTP/1.1 200 ") == protocol.MAX_PIPELINED + 1
    assert answer.count(b"connection: close") == 1


async def test_begun_bodies_never_keep_a_charger_or_a_scraper_of_another_address_out(csms: Csms) -> None:
    limit = connection_limit()
    held: list[asyncio.StreamWriter] = []
    try:
        for _ in range(limit):
            _, writer = await asyncio.open_connection("127.0.0.1", csms.central.api_port)
            writer.write(BODY + b"{")
            held.append(writer)
        await eventually(lambda: len(csms.central._api._config.connections) == limit // 2)
        async with csms.charger("CP1") as charger:
            assert await charger.call("Heartbeat", {})
        answer = await answered(csms.central.metrics_port, b"GET /readyz HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert await refused(csms, 429) == limit - limit // 2
        reader, writer = await asyncio.open_connection("127.0.0.1", csms.central.api_port, local_addr=("127.0.0.2", 0))
        held.append(writer)
        writer.write(b"GET /api/v1/health HTTP/1.0\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    finally:
        for writer in held:
            writer.transport.abort()


async def test_idle_connections_make_room_for_a_new_one(csms: Csms) -> None:
    connections = csms.central._metrics._config.connections
    async with anonymous(csms):
        held = [await asyncio.open_connection("127.0.0.1", csms.central.metrics_port) for _ in range(connections.limit)]
        answer = await answered(csms.central.metrics_port, b"GET /readyz HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert len(connections) <= connections.limit_of_peer
    for _, writer in held:
        writer.transport.abort()


async def test_a_proxys_connections_count_for_the_port_alone(make_csms) -> None:  # type: ignore[no-untyped-def]
    csms = await make_csms(trusted_proxies="127.0.0.1")
    connections = csms.central._api._config.connections
    held = [await asyncio.open_connection("127.0.0.1", csms.central.api_port) for _ in range(connections.limit)]
    await eventually(lambda: len(connections) == connections.limit)
    for _, writer in held:
        writer.transport.abort()


async def test_all_begun_bodies_together_have_a_limit(
    monkeypatch: pytest.MonkeyPatch, csms: Csms, operator: Operator
) -> None:
    monkeypatch.setattr(bodies, "FREE_BYTES", 1_000)
    monkeypatch.setattr(bodies, "MAX_WAITING_BYTES", 100_000)
    count, counted = bodies._Body._count, set[int]()

    def noted(body: bodies._Body) -> None:
        count(body)
        counted.add(body._bytes)

    monkeypatch.setattr(bodies._Body, "_count", noted)
    async with connected(csms.central.api_port) as (_, writer), connected(csms.central.api_port) as (reader, other):
        writer.write(BODY + b" " * 90_000)
        await eventually(lambda: 90_000 in counted)
        other.write(BODY + b" " * 90_000)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 10" in head
        await operator.ask("PUT", "/id-tags/T", json={})  # a short one is accepted

    async def is_free_again() -> bool:
        answer = await operator.send("PUT", "/id-tags/LONG", json={"note": "x" * 95_000})
        return answer.status_code == 422

    await eventually(is_free_again)


async def test_a_json_body_has_a_time_limit_in_all(monkeypatch: pytest.MonkeyPatch, csms: Csms) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.05)
    async with connected(csms.central.api_port) as (reader, writer):
        writer.write(BODY + b"{")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")


async def test_every_route_with_a_body_of_any_size_is_streamed() -> None:
    routes = [route for router in (*ROUTERS, *OUTSIDE) for route in router.routes if isinstance(route, APIRoute)]
    unlimited = [route.path for route in routes if route.max_body_size == files.NO_LIMIT]
    assert len(unlimited) == 5
    assert all(path.startswith(files.STREAMED) for path in unlimited)


# what no client of good will sends


@pytest.mark.parametrize("port", ["api_port", "metrics_port", "port"])
async def test_two_authorization_headers_are_no_authorization(make_csms, port: str) -> None:  # type: ignore[no-untyped-def]
    """A proxy in front may have checked the other one."""
    csms = await make_csms(metrics_token="secret")
    path = {"api_port": "/api/v1/users", "metrics_port": "/metrics", "port": "/ws/CP1"}[port]
    twice = b"Authorization: Bearer secret\r\n" * 2
    upgrade = (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"
    )
    more = upgrade if port == "port" else b"Connection: close\r\n"
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n".encode() + more + twice + b"\r\n"
    assert (await answered(getattr(csms.central, port), request)).startswith(b"HTTP/1.1 401 ")
    if port == "port":
        assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="credentials") == 1
    if port == "api_port":
        assert await csms.metric("http_requests_total", method="GET", status="401", endpoint="/api/v1/users") == 1


async def test_what_is_no_http_is_answered_and_counted_and_fills_no_log(
    csms: Csms, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        answer = await answered(csms.central.api_port, b"\x16\x03\x01 hello?\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
    assert await refused(csms, 400) == 50
    assert 1 <= len([each for each in caplog.records if each.name == "uvicorn.error"]) <= 10


async def test_the_ocpp_port_answers_what_is_no_http(csms: Csms, caplog: pytest.LogCaptureFixture) -> None:
    for data in (b"\x16\x03\x01 hello?\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\xff\r\n\r\n"):
        assert (await answered(csms.central.port, data)).startswith(b"HTTP/1.1 400 ")
    assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="request") == 2
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


SURROGATE = "\\ud800"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/session", '{"name":"admin","password":"SURROGATE"}'),
        ("POST", "/session", '{"name":"SURROGATE","password":"x"}'),
        ("POST", "/session", '{"name":"admin","password":"x","SURROGATE":1}'),
        ("POST", "/registrations", '{"name":"eve","password":"SURROGATE and eleven more"}'),
        ("PUT", "/session/password", '{"old":"SURROGATE","new":"correct horse battery"}'),
        ("PUT", "/session/password", '{"old":"x","new":"SURROGATE and eleven more"}'),
        ("POST", "/users", '{"name":"eve","role":"viewer","password":"SURROGATE and eleven more"}'),
        ("PATCH", "/users/admin", '{"password":"SURROGATE and eleven more"}'),
        ("POST", "/tokens", '{"label":"SURROGATE","scopes":["read"]}'),
        ("PUT", "/id-tags/T", '{"note":"SURROGATE"}'),
        ("POST", "/charge-points", '{"cp_id":"SURROGATE"}'),
    ],
)
async def test_half_of_a_surrogate_pair_is_the_senders_fault(
    make_csms,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    body: str,  # type: ignore[no-untyped-def]
) -> None:
    csms = await make_csms(registration=True)
    async with admin(csms) as operator:
        content = body.replace("SURROGATE", SURROGATE)
        await operator.ask(method, path, 422, content=content, headers={"Content-Type": "application/json"})
    answers = await csms.counts("http_requests_total", "status", method=method)
    assert answers["422"] == 1
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


# log-ins, accounts and tokens


async def test_right_logins_at_the_same_time_all_get_in(make_csms) -> None:  # type: ignore[no-untyped-def]
    csms = await make_csms(admin_password=PASSWORD)
    async with anonymous(csms) as operator:
        login = {"name": "admin", "password": PASSWORD}
        answers = await asyncio.gather(*(operator.send("POST", "/session", json=login) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert await csms.metric("successful_logins_total") == 5
    assert await csms.metric("failed_logins_total") == 0


async def test_guesses_at_the_same_time_are_locked_out_as_those_one_after_the_other(csms: Csms) -> None:
    async with anonymous(csms) as operator:
        guess = {"name": "admin", "password": "wrong"}
        answers = await asyncio.gather(*(operator.send("POST", "/session", json=guess) for _ in range(12)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [401] * 5 + [429] * 7
        right = {"name": "admin", "password": csms.first_password}
        await operator.ask("POST", "/session", 429, json=right)
    assert not csms.central._accounts.auth._turns


async def test_users_and_tokens_have_limits(make_csms) -> None:  # type: ignore[no-untyped-def]
    csms = await make_csms(max_users=2, max_tokens_per_user=2, registration=True)
    async with admin(csms) as operator:
        new = {"name": "eve", "password": PASSWORD}
        await operator.ask("POST", "/registrations", 201, json=new)
        problem = await operator.ask("POST", "/registrations", 409, json=new | {"name": "mallory"})
        assert problem["type"] == "urn:wattspan:limit"
        await operator.ask("POST", "/users", 409, json=new | {"name": "mallory", "role": "viewer"})
        expired = {"scopes": ["read"], "expires_in_days": 1e-9}
        await operator.ask("POST", "/tokens", 201, json=expired)
        for _ in range(2):
            await operator.ask("POST", "/tokens", 201, json={"scopes": ["read"]})
        problem = await operator.ask("POST", "/tokens", 409, json={"scopes": ["read"]})
        assert problem["type"] == "urn:wattspan:limit"
        assert "2" in problem["detail"]


# proxies


@pytest.mark.parametrize(("proxies", "locked"), [("", 429), ("127.0.0.1", 401)])
async def test_only_a_configured_proxy_names_the_client(make_csms, proxies: str, locked: int) -> None:  # type: ignore[no-untyped-def]
    """A client that could name itself would escape the lockout of its address."""
    csms = await make_csms(**({"trusted_proxies": proxies} if proxies else {}))
    async with anonymous(csms) as stranger:
        for number in range(20):
            guess = {"name": f"name {number}", "password": "wrong"}
            headers = {"X-Forwarded-For": f"192.0.2.{number}", "X-Forwarded-Proto": "https"}
            await stranger.ask("POST", "/session", 401, json=guess, headers=headers)
        headers = {"X-Forwarded-For": "198.51.100.1"}
        await stranger.ask("POST", "/session", locked, json={"name": "another", "password": "x"}, headers=headers)
