"""The interface of a plugin, and the view of the central system that it is given."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from wattspan.domain.events import Event
from wattspan.domain.fleet import Fleet

if TYPE_CHECKING:
    from wattspan.csms.operations.methods import OperationMethods

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePassed:
    """A text message as it was on the wire; `direction` "in" is from the charge point. `ts` is Unix seconds."""

    cp_id: str
    ts: float
    direction: Direction
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContext:
    """A plugin's view of the central system."""

    fleet: Fleet
    """Read-only for plugins: it changes by events alone."""
    record: Callable[[Iterable[Event]], None]
    """Applies events of the plugin's own, and stores them."""
    call: Callable[[str, Any], Awaitable[Any]]
    """(cp_id, payload object of `ocpp.vXX.call`): sends a command; see `csms.commands.Commands.send`."""
    operations: "OperationMethods"
    """Start, stop, reset and the other operations, the same for every OCPP version."""
    settings: Mapping[str, Any]
    """The settings in force, by name."""
    settled: Callable[[], Awaitable[None]]
    """Returns once all that was recorded before is stored, and the messages that caused it are answered. Raises
    StoreUnavailable."""
    clock: Callable[[], float]
    """Returns Unix seconds; events of the plugin's own are dated by it."""


class Plugin:
    """Base class of plugins. Override the methods you need; by default each does nothing.

    Each plugin has its own queue and task: it receives its own copies of events in order, after they were applied to
    the state. A plugin that raises, is slow or hangs loses its own events (counted in
    `ocpp_central_plugin_errors_total`) and affects nothing else. One that blocks the event loop for a second, or
    ignores its cancellation, is disabled. docs/plugins.md has the limits.
    """

    name = "plugin"
    events: tuple[type[Event], ...] = (Event,)
    """The event classes that `on_event` is called with; the default is all. MeterValuesReceived comes with nearly every
    message, so name the classes you need."""
    traced = True
    """Whether `on_event` and `on_frame` run in the trace of their message, so that spans and commands belong to it."""
    wants_frames = False
    """Whether `on_frame` is called. Raw messages contain personal data."""

    async def start(self, context: PluginContext) -> None:
        """Called once, before charge points connect. If it raises, the server runs without the plugin."""

    async def on_event(self, event: Event) -> None:
        """Called with each event of `events`, and cancelled after 10 s, including the time a command takes."""

    async def on_frame(self, frame: FramePassed) -> None:
        """Called with each message, if `wants_frames`."""

    def data_transfer(self, cp_id: str, vendor_id: str, message_id: str | None, data: Any) -> dict[str, Any] | None:
        """Return the answer to a charge point's DataTransfer, or None if this plugin does not handle the vendor.

        `status` is one of OCPP's DataTransferStatus, the whole at most 256 KiB of JSON. Must not block: the charge
        point waits for the answer.
        """
        return None

    async def sign_certificate(self, cp_id: str, csr: str, kind: str) -> str | None:
        """Return a PEM chain for a signing request, the charge point's certificate first, or None to decline.

        `csr` is PEM; `kind` is certificateType of OCPP 2.x, "" in 1.6. Only called if the plugin overrides it, and
        cancelled after 10 s.
        """
        return None

    async def stop(self) -> None:
        """Called once at shutdown, after the queued events."""
