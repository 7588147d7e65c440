"""The console's page and files, the server facts it shows, and the alerts that are firing."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from wattspan.api import PREFIX, console
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.fleet_sums import STALE_S
from wattspan.api.models.common import Shown
from wattspan.api.problems import Problem
from wattspan.api.services import Given

router = APIRouter(prefix=PREFIX, tags=["console"])
outside = APIRouter(include_in_schema=False)

STATIC = Path(console.__file__).parent / "static"
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
ALERTMANAGER_TIMEOUT_S = 5.0
MAX_ALERTS = 500


class ConsoleSettings(Shown):
    """What the console needs to know. `jaeger_url` null: no trace UI is configured; `alerts`: an Alertmanager is.

    `map_style_url`: a MapLibre style or raster tiles; null: sites are shown as a list only.
    A connected charge point that has sent nothing for `stale_after_s` is shown as stale. `history`: series and
    timelines are kept.
    """

    version: str
    jaeger_url: str | None
    alerts: bool
    map_style_url: str | None
    registration: bool
    stale_after_s: int
    history: bool


class Alert(Shown):
    """An alert that is firing. `starts_at` is RFC 3339, as Alertmanager sent it."""

    fingerprint: str
    name: str
    severity: str
    summary: str
    description: str
    runbook_url: str
    labels: dict[str, str]
    starts_at: str
    silenced: bool


class Files(StaticFiles):
    """The console's files. Browsers revalidate them each time, for they change with the server."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Any:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers.update(_headers(scope["app"].state.services.settings.map_style_url))
        return answer


@outside.get("/")
async def read_console(services: Given) -> HTMLResponse:
    """Return the console's page; its views are behind the "#". Before the login it must know about registration."""
    registration = "on" if services.settings.registration else "off"
    return HTMLResponse(
        _page().replace('data-registration="off"', f'data-registration="{registration}"'),
        headers=_headers(services.settings.map_style_url),
    )


@router.get("/console", **guarded(Right.READ))
async def read_console_settings(services: Given) -> ConsoleSettings:
    """Return where traces are shown, and whether alerts are available."""
    settings = services.settings
    return ConsoleSettings(
        version=version("wattspan"),
        jaeger_url=settings.jaeger_url,
        alerts=settings.alertmanager_url is not None,
        map_style_url=settings.map_style_url,
        registration=settings.registration,
        history=services.history is not None,
        stale_after_s=int(STALE_S),
    )


@router.get("/alerts", **guarded(Right.READ, 404, 502))
async def list_alerts(services: Given) -> list[Alert]:
    """List the alerts that are firing, as Alertmanager reports them."""
    address = services.settings.alertmanager_url
    if address is None:
        raise Problem(404, "no Alertmanager is configured", kind="no-alertmanager")
    try:
        context = await asyncio.to_thread(_tls_context)
        async with httpx.AsyncClient(timeout=ALERTMANAGER_TIMEOUT_S, verify=context) as http:
            answer = await http.get(f"{address.rstrip('/')}/api/v2/alerts", params={"inhibited": "false"})
            answer.raise_for_status()
            return [_alert(each) for each in answer.json()[:MAX_ALERTS]]
    except (httpx.HTTPError, ValueError, TypeError, AttributeError) as exc:
        raise Problem(502, "Alertmanager is unreachable, or its answer is not valid", kind="alertmanager") from exc


@cache
def _headers(map_style_url: str | None) -> Mapping[str, str]:
    """Return the headers of the page and its files. The only other origin that it may read from is the map's.

    Files have the policy too, for a worker is bound by the one of its own file.
    """
    policy = POLICY
    if map_style_url is not None:
        address = urlsplit(map_style_url)
        policy += f"; connect-src 'self' {address.scheme}://{address.netloc}"
    return {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}


@cache
def _page() -> str:
    """Return the page. It names every module, so that browsers load them at once and not one import after another."""
    modules = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js"))
    links = "\n    ".join(f'<link rel="modulepreload" href="/static/{module}">' for module in modules)
    return (STATIC / "index.html").read_text(encoding="utf-8").replace("<!-- modules -->", links)


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the TLS context; made once, off the event loop, for reading all authorities takes tens of milliseconds."""
    return ssl.create_default_context()


def _alert(reported: Mapping[str, Any]) -> Alert:
    labels, notes = reported.get("labels") or {}, reported.get("annotations") or {}
    return Alert(
        fingerprint=str(reported.get("fingerprint", "")),
        name=str(labels.get("alertname", "")),
        severity=str(labels.get("severity", "")),
        summary=str(notes.get("summary", "")),
        description=str(notes.get("description", "")),
        runbook_url=_address(notes.get("runbook_url")),
        labels={str(name): str(value) for name, value in labels.items()},
        starts_at=str(reported.get("startsAt", "")),
        silenced=bool((reported.get("status") or {}).get("silencedBy")),
    )


def _address(value: object) -> str:
    """Return the value if it is an HTTP URL, or ""."""
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""
