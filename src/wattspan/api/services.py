"""What `app` gives the API, and how a route gets it. The API owns none of it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request
from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

from wattspan.api.access.auth_service import AuthService
from wattspan.api.access.rights import CHANGING, Right
from wattspan.api.events import EventFeed
from wattspan.api.files import Files
from wattspan.api.fleet_view import FleetView, OtherNodes
from wattspan.api.jobs import Jobs
from wattspan.csms.commands import Commands
from wattspan.csms.connections import Connections, OnMessage
from wattspan.csms.core import Core
from wattspan.csms.directory import Directory
from wattspan.csms.enrolment import Enrolments
from wattspan.csms.erasure import Erasure
from wattspan.csms.operations.sender import Operations
from wattspan.csms.registry import Registry
from wattspan.csms.routing import Router
from wattspan.csms.security.rotation import Rotation
from wattspan.domain.fleet import Fleet
from wattspan.errors import StoreUnavailable
from wattspan.history.history import History
from wattspan.settings import Settings
from wattspan.store.store import Store
from wattspan.telemetry.recorder import Recorder

CATCH_UP_S = 2.0
"""How long a list waits for a commit. While the database can't be written, it can often be read."""


class Server(Protocol):
    """The server that the API runs in: its state and its addresses. `app.CentralSystem` implements it."""

    @property
    def metrics_port(self) -> int:
        """The port of /metrics in use."""

    def api_url(self) -> str:
        """Return the URL of this API from outside, without a slash at the end."""

    def unready_reasons(self) -> Sequence[str]:
        """Return why the server can't serve charge points now; empty if it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The central system as the API sees it."""

    settings: Settings
    core: Core
    store: Store
    commands: Commands
    operations: Operations
    connections: Connections
    registry: Registry
    rotation: Rotation
    erasure: Erasure
    auth: AuthService
    feed: EventFeed
    jobs: Jobs
    enrolments: Enrolments
    directory: Directory
    history: History | None
    """None: this server only reads the history."""
    files: Files
    server: Server
    tracer: Tracer
    meter: Meter
    others: OtherNodes | None = None
    """The other nodes of a cluster, as are the two below; None: there are none."""
    router: Router | None = None
    watch_anywhere: Callable[[str, OnMessage], Callable[[], None]] | None = None
    """Watches the messages of a charge point of any node, as `Connections.watch` those of this one."""
    read_only: bool = False
    """Whether this server only observes charge points of another central system, as the proxy does."""

    def shown(self, rights: frozenset[Right]) -> list[Right]:
        """Return the rights that the console offers something for."""
        return sorted(rights - CHANGING if self.read_only else rights)

    @property
    def fleet(self) -> Fleet:
        return self.core.fleet

    @property
    def view(self) -> FleetView:
        """Return the charge points of all nodes."""
        return FleetView(self.fleet, self.store, self.connections, self.others)

    @property
    def recorder(self) -> Recorder:
        return self.core.recorder

    async def caught_up(self) -> None:
        """Return once the database has what the fleet has, or after CATCH_UP_S.

        Events are sent before the commit, and whoever reads a list because of one must find it there.
        """
        if self.core.journal.available:
            with suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout(CATCH_UP_S):
                    await self.core.settled()

    def now_ts(self) -> float:
        """Return the time in Unix seconds."""
        return self.core.clock()


async def _services(request: Request) -> Services:  # not plain `def`: FastAPI would run that in a thread
    found: Services = request.app.state.services
    return found


Given = Annotated[Services, Depends(_services)]
"""The type of a route's `services` parameter."""
