"""The console's page and files, what it must know of its surroundings, and the alerts that are firing."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from wattspan.api import PREFIX, console
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.models.common import Shown
from wattspan.api.problems import Problem
from wattspan.api.services import Given

router = APIRouter(prefix=PREFIX, tags=["console"])
outside = APIRouter(include_in_schema=False)

STATIC = Path(console.__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
ALERTMANAGER_S = 5.0
MAX_ALERTS = 500


class Surroundings(Shown):
    """What a console needs to know. `jaeger_url` null: no trace UI is configured; `alerts`: an Alertmanager is."""

    version: str
    jaeger_url: str | None
    alerts: bool
    registration: bool


class Alert(Shown):
    """An alert that is firing. `starts_at` is RFC 3339, as Alertmanager has it."""

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
    """The console's files, asked for anew each time: they change with the server, and their ETags save the rest."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Any:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers.update(HEADERS)
        return answer


@outside.get("/")
async def read_console() -> FileResponse:
    """The page; all others are after the "#"."""
    return FileResponse(STATIC / "index.html", headers=HEADERS)


@router.get("/console", **guarded(Right.READ))
async def read_surroundings(services: Given) -> Surroundings:
    """Where traces are shown, and whether alerts are to be had."""
    settings = services.settings
    return Surroundings(
        version=version("wattspan"),
        jaeger_url=settings.jaeger_url,
        alerts=settings.alertmanager_url is not None,
        registration=settings.registration,
    )


@router.get("/alerts", **guarded(Right.READ, 404, 502))
async def list_alerts(services: Given) -> list[Alert]:
    """What Alertmanager says is firing now."""
    address = services.settings.alertmanager_url
    if address is None:
        raise Problem(404, "no Alertmanager is configured", kind="no-alertmanager")
    try:
        trust = await asyncio.to_thread(_trust)
        async with httpx.AsyncClient(timeout=ALERTMANAGER_S, verify=trust) as http:
            answer = await http.get(f"{address.rstrip('/')}/api/v2/alerts", params={"inhibited": "false"})
            answer.raise_for_status()
            return [_alert(each) for each in answer.json()[:MAX_ALERTS]]
    except (httpx.HTTPError, ValueError, TypeError, AttributeError) as exc:
        raise Problem(502, "Alertmanager gives no answer that can be read", kind="alertmanager") from exc


@cache
def _trust() -> ssl.SSLContext:
    """Made once and off the loop: to read the certificates of all authorities takes tens of milliseconds."""
    return ssl.create_default_context()


def _alert(told: Mapping[str, Any]) -> Alert:
    labels, notes = told.get("labels") or {}, told.get("annotations") or {}
    return Alert(
        fingerprint=str(told.get("fingerprint", "")),
        name=str(labels.get("alertname", "")),
        severity=str(labels.get("severity", "")),
        summary=str(notes.get("summary", "")),
        description=str(notes.get("description", "")),
        runbook_url=_address(notes.get("runbook_url")),
        labels={str(name): str(value) for name, value in labels.items()},
        starts_at=str(told.get("startsAt", "")),
        silenced=bool((told.get("status") or {}).get("silencedBy")),
    )


def _address(told: object) -> str:
    """Only what a link may lead to."""
    return told if isinstance(told, str) and told.startswith(("https://", "http://")) else ""
