"""The console's files and the routes that it alone needs. What it looks like is tested in tests/stack by a browser."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from support.central import Csms
from support.operators import Operator, admin, anonymous
from support.waiting import eventually
from wattspan.api import console

STATIC = Path(console.__file__).parent / "static"
FIRING = {
    "fingerprint": "f1",
    "labels": {"alertname": "ChargePointDisconnected", "severity": "warning", "cp_id": "CP1"},
    "annotations": {"summary": "CP1 is gone", "description": "for 5 min", "runbook_url": "javascript:alert(1)"},
    "startsAt": "2026-11-21T10:00:00Z",
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
}


async def test_the_page_loads_from_nowhere_but_the_server(csms: Csms) -> None:
    async with anonymous(csms) as stranger:
        answer = await stranger.http.get("/")
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        named = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
        assert len(named) >= 4
        for address in named:
            assert address.startswith("/static/")
            assert (await stranger.http.get(address)).status_code == 200


async def test_only_the_maps_origin_is_added_to_the_policy(tmp_path: Path, csms: Csms) -> None:
    async with anonymous(csms) as stranger:
        policy = (await stranger.http.get("/")).headers["content-security-policy"]
    mapped = Csms(tmp_path / "m.db", map_style_url="https://maps.example:8443/{z}/{x}/{y}.png?key=k")
    await mapped.start()
    async with anonymous(mapped) as stranger:
        for path in ("/", "/static/vendor/maplibre-gl-worker.mjs"):
            answer = await stranger.http.get(path)
            assert answer.headers["content-security-policy"] == (
                f"{policy}; connect-src 'self' https://maps.example:8443"
            )
        assert "maplibre" not in (await stranger.http.get("/")).text
    await mapped.stop()


def test_every_module_the_console_imports_is_shipped() -> None:
    scripts = [path for path in STATIC.rglob("*.js") if "vendor" not in path.parts]
    assert len(scripts) > 15
    for script in scripts:
        text = script.read_text()
        assert "http://" not in text
        assert "https://" not in text
        for target in re.findall(r'from "(\.[^"]+)"', text):
            assert (script.parent / target).is_file(), (script, target)


@pytest.mark.parametrize(
    "path", ["/static/../pages.py", "/static/%2e%2e/__init__.py", "/static/..%2f__init__.py", "/static/"]
)
async def test_nothing_beside_the_consoles_files_is_served(csms: Csms, path: str) -> None:
    async with anonymous(csms) as stranger:
        request = stranger.http.build_request("GET", "/")
        request.url = request.url.copy_with(raw_path=path.encode())
        assert (await stranger.http.send(request)).status_code == 404


async def test_a_commands_schema_is_that_of_the_version_spoken(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1"):
        answer = await operator.ask("GET", "/charge-points/CP1/commands/RemoteStartTransaction")
        assert answer["schema"]["required"] == ["idTag"]
        await operator.ask("GET", "/charge-points/CP1/commands/RequestStartTransaction", 404)
        await operator.ask("GET", "/charge-points/CP1/commands/Heartbeat", 404)
    await eventually(lambda: not csms.central.fleet.charge_points["CP1"].connected)
    await operator.ask("GET", "/charge-points/CP1/commands/RemoteStartTransaction", 409)


async def test_messages_are_watched_over_a_reconnect_and_tokens_are_masked(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat", {})
        async with operator.http.stream("GET", "/api/v1/charge-points/CP1/messages") as answer:
            lines = answer.aiter_lines()
            await charger.call("Authorize", {"idTag": "SECRET-TAG"})
            first, second = [await _told(lines) for _ in range(2)]
            async with csms.charger("CP1") as newer:
                await newer.call("Heartbeat", {})
                third = await _told(lines)
    assert (first["direction"], first["frame"][2:]) == ("in", ["Authorize", {"idTag": "***"}])
    assert (second["direction"], second["frame"][0]) == ("out", 3)
    assert third["frame"][2] == "Heartbeat"


async def test_who_stops_watching_costs_the_connection_nothing(tmp_path: Path) -> None:
    csms = Csms(tmp_path / "watched.db", message_retention_hours=0)  # or the history would listen, too
    await csms.start()
    async with admin(csms) as boss, csms.charger("CP1") as charger:
        async with boss.http.stream("GET", "/api/v1/charge-points/CP1/messages") as answer:
            await charger.call("Heartbeat", {})
            await _told(answer.aiter_lines())
        await eventually(lambda: csms.central._gateway._connections["CP1"].connection.tap is None)
    await csms.stop()


async def test_without_an_alertmanager_there_are_no_alerts(operator: Operator) -> None:
    assert (await operator.ask("GET", "/console"))["alerts"] is False
    await operator.ask("GET", "/alerts", 404)


async def test_alerts_are_what_alertmanager_says_is_firing(
    tmp_path: Path, alertmanager: Callable[[Response], str]
) -> None:
    address = alertmanager(Response(json.dumps([FIRING]), media_type="application/json"))
    csms = Csms(tmp_path / "a.db", alertmanager_url=address, jaeger_url="http://127.0.0.1:16686")
    await csms.start()
    try:
        async with admin(csms) as boss:
            assert (await boss.ask("GET", "/console"))["jaeger_url"] == "http://127.0.0.1:16686"
            (alert,) = await boss.ask("GET", "/alerts")
            assert (alert["name"], alert["severity"], alert["runbook_url"]) == (
                "ChargePointDisconnected",
                "warning",
                "",
            )
            alertmanager(PlainTextResponse("no", status_code=500))
            await boss.ask("GET", "/alerts", 502)
            alertmanager(Response("[{]", media_type="application/json"))
            await boss.ask("GET", "/alerts", 502)
    finally:
        await csms.stop()


@pytest.fixture
async def alertmanager() -> AsyncIterator[Callable[[Response], str]]:
    """A server that answers as it is told; gives its address."""
    said: list[Response] = []

    async def alerts(_request: Request) -> Response:
        return said[-1]

    app = Starlette(routes=[Route("/api/v2/alerts", alerts)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]

    def say(answer: Response) -> str:
        said.append(answer)
        return f"http://127.0.0.1:{port}"

    yield say
    server.should_exit = True
    await running


async def _told(lines: AsyncIterator[str]) -> dict[str, object]:
    async with asyncio.timeout(10):
        async for line in lines:
            if line.startswith("data: "):
                found: dict[str, object] = json.loads(line.removeprefix("data: "))
                return found
    raise AssertionError("the stream ended")
