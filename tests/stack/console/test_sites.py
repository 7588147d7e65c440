"""Sites as a list and on a map."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stack.console.page import SHOTS, Console, served
from support.central import Csms
from support.operators import admin

TILE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""


@pytest.fixture
async def maps() -> AsyncIterator[tuple[str, list[str]]]:
    """The origin of a server with a style and its tiles, and the paths that were asked of it."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        allowed = {"Access-Control-Allow-Origin": "*"}
        if request.url.path.endswith(".png"):
            return Response(TILE, media_type="image/png", headers=allowed)
        tiles = {"type": "raster", "tiles": [f"{request.base_url}{{z}}/{{x}}/{{y}}.png"], "tileSize": 256}
        layers = [{"id": "tiles", "type": "raster", "source": "tiles"}]
        return JSONResponse({"version": 8, "sources": {"tiles": tiles}, "layers": layers}, headers=allowed)

    async with served(Starlette(routes=[Route("/{path:path}", answer)])) as origin:
        yield origin, asked


@pytest.mark.parametrize("document", ["style.json", "{z}/{x}/{y}.png"])
async def test_sites_are_on_a_map_under_the_strict_policy(
    tmp_path: Path, maps: tuple[str, list[str]], browser: Browser, document: str
) -> None:
    origin, asked = maps
    csms = Csms(tmp_path / "m.db", map_style_url=f"{origin}/{document}")
    await csms.start()
    try:
        await _seen_on_a_map(csms, browser, asked)
    finally:
        await csms.stop()


async def _seen_on_a_map(csms: Csms, browser: Browser, asked: list[str]) -> None:
    async with admin(csms) as boss:
        for site_id, latitude, longitude in (("north", 49.63, 6.13), ("south", 49.48, 6.09)):
            await boss.ask("PUT", f"/sites/{site_id}", json={"latitude": latitude, "longitude": longitude})
        await boss.ask("PUT", "/sites/nowhere", json={})
        await boss.ask("POST", "/charge-points", 201, json={"cp_id": "CP1", "site_id": "north", "credentials": False})
    context = await browser.new_context(viewport={"width": 1024, "height": 768})
    console = Console(await context.new_page(), f"http://127.0.0.1:{csms.central.api_port}", "map")
    await console.log_in(csms.first_password or "")
    await console.open("sites", "Sites")
    page = console.page
    await page.get_by_role("button", name="Map", exact=True).click()
    await expect(page.locator(".map[data-idle]")).to_be_visible()
    await expect(page.locator(".map .pin")).to_have_count(2)
    assert any(re.fullmatch(r"/\d+/\d+/\d+\.png", path) for path in asked)
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / "map.png")
    await page.get_by_role("link", name="north: Offline, 0 of 1 connected").click()
    await expect(page.get_by_role("heading", name="north")).to_be_visible()
    assert not console.complaints
    await context.close()


async def test_without_a_map_sites_are_a_list(csms: Csms, site: None, console: Console) -> None:
    await console.open("sites?view=map", "Sites")
    await expect(console.page.locator("tbody tr")).to_have_count(1)
    await expect(console.page.locator(".map")).to_have_count(0)
