"""What the API is given by `app`, and how a route gets at it. It owns nothing of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from opentelemetry.trace import Tracer

from wattspan.api.access.auth_service import AuthService
from wattspan.api.events import EventFeed
from wattspan.api.files import Files
from wattspan.csms import pending as csms_pending
from wattspan.csms.commands import Commands, Live
from wattspan.csms.security.rotation import Rotation
from wattspan.csms.service import Core
from wattspan.domain.fleet import Fleet
from wattspan.settings import Settings
from wattspan.store.store import Store
from wattspan.telemetry.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The central system as the API sees it."""

    settings: Settings
    core: Core
    store: Store
    commands: Commands
    live: Callable[[str], Live | None]
    """The session of a connected charge point."""
    decommission: Callable[[], Awaitable[None]]
    """Let the fleet go of what was taken out of the books."""
    disconnect: Callable[[str, str], None]
    """(cp_id, reason): close a charge point's connection, if it has one."""
    watch: Callable[[str, Callable[[str, bytes], None]], Callable[[], None]]
    """(cp_id, told(direction, message)): see a charge point's messages; call what is returned to end it."""
    waiting: Callable[[], Sequence[csms_pending.PendingChargePoint]]
    """Charge points that wait for approval."""
    dismiss: Callable[[str, bool], None]
    """(cp_id, approved): close the connection of one that waits, if it does; approved, it comes back by itself."""
    rotation: Rotation
    unready_because: Callable[[], Sequence[str]]
    metrics_address: Callable[[], tuple[str, int]]
    """Host and port of /metrics."""
    api_url: Callable[[], str]
    """How charge points and people reach this API, without a slash at the end."""
    tracer: Tracer
    keeper: AuthService
    feed: EventFeed
    files: Files

    @property
    def fleet(self) -> Fleet:
        return self.core.fleet

    @property
    def recorder(self) -> Recorder:
        return self.core.recorder

    def now_ts(self) -> float:
        """Unix seconds."""
        return self.core.clock()


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Given = Annotated[Services, Depends(_services)]
"""A route's parameter: the services."""
