"""The server itself: its health, its settings, and the targets that Prometheus scrapes."""

import re
import time
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from pydantic import SecretStr

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded, public
from wattspan.api.access.rights import Right
from wattspan.api.health import check_health
from wattspan.api.models.common import Payload, Shown
from wattspan.api.problems import Problem
from wattspan.api.services import Given
from wattspan.store.queries import nodes as node_queries
from wattspan.store.queries.nodes import NodeRecord

router = APIRouter(prefix=PREFIX, tags=["server"])
outside = APIRouter(tags=["server"])
"""Routes without the API's prefix."""

WILDCARDS = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 - recognised, not bound
HEALTH_EVERY_S = 1.0
"""The database is checked at most so often, for the route is public."""
PORTS = {"http": 80, "https": 443}
_MASK = "**********"


class Health(Shown):
    """The server is healthy; otherwise the answer is a problem 503."""

    status: str
    database_s: float


class Target(Shown):
    """Addresses for Prometheus to scrape, and their labels."""

    targets: list[str]
    labels: dict[str, str]


class Settings(Shown):
    """The settings by name, with secrets masked."""

    settings: Payload


@router.get("/health", **public())
async def read_health(services: Given, request: Request) -> Health:
    """Check that the database accepts writes and that charge points can connect."""
    reasons = services.server.unready_reasons()
    if reasons:
        raise Problem(503, "; ".join(reasons), kind="unready")
    last_s, took_s = getattr(request.app.state, "health", (-HEALTH_EVERY_S, 0.0))
    if time.monotonic() - last_s >= HEALTH_EVERY_S:
        took_s = await check_health(services.store, services.recorder)
        request.app.state.health = (time.monotonic(), took_s)
    return Health(status="ok", database_s=took_s)


@router.get("/settings", **guarded(Right.ADMIN))
async def read_settings(services: Given) -> Settings:
    """Return the settings."""
    return Settings(settings={name: _shown(name, value) for name, value in services.settings})


@outside.get("/sd/prometheus", **public())
async def discover(services: Given, request: Request) -> list[Target]:
    """Return the scrape target of this server, in a cluster those of all nodes, for Prometheus's `http_sd_configs`."""
    if services.others is not None:
        nodes = await services.store.read(node_queries.nodes)
        return [_target_of(each) for each in nodes if each.metrics_url and not each.stopped]
    host, port = services.settings.metrics_host, services.server.metrics_port
    if host in WILDCARDS:
        host = request.url.hostname or "127.0.0.1"
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    scheme = "https" if services.settings.metrics_tls_cert else "http"
    return [Target(targets=[f"{shown}:{port}"], labels={"__scheme__": scheme, "service": "wattspan"})]


def _target_of(node: NodeRecord) -> Target:
    """Return the target of a node. One that listens on every address is reached by its name, which is its host's."""
    url = urlsplit(node.metrics_url)
    host = node.name if (url.hostname or "") in WILDCARDS else url.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return Target(
        targets=[f"{shown}:{url.port or PORTS[url.scheme]}"],
        labels={"__scheme__": url.scheme, "service": "wattspan", "node": node.name},
    )


def _shown(name: str, value: Any) -> Any:
    if name in {"database", "redis"} and value is not None:
        return re.sub(r"(://[^:/@]*):.*@", rf"\1:{_MASK}@", str(value))
    if isinstance(value, SecretStr) or name == "plug_and_charge_id_tag":
        return None if value is None else _MASK
    return value if isinstance(value, bool | int | float | str | None) else _plain(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value)
