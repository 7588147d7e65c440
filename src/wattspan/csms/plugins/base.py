"""What a plugin is, and what it is given."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wattspan.domain.events import Event
from wattspan.domain.fleet import Fleet

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePassed:
    """A text message as it was on the wire; "in" is from the charge point."""

    cp_id: str
    ts: float
    direction: Direction
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContext:
    """A plugin's view of the central system."""

    fleet: Fleet
    """To read; it changes by events alone."""
    record: Callable[[Iterable[Event]], None]
    """Apply events of the plugin's own, and store them."""
    call: Callable[[str, Any], Awaitable[Any]]
    """(cp_id, payload object of `ocpp.vXX.call`): send a command; see `csms.commands.Commands.send`."""
    settings: Mapping[str, Any]
    """The settings in force, by name."""
    clock: Callable[[], float]


class Plugin:
    """Override what you need; every method does nothing by itself.

    Each plugin has a queue and a task of its own: events reach it in order, after their state was applied. A plugin
    that raises, is slow or hangs loses its own events (counted in `ocpp_plugin_errors_total`) and disturbs nobody.
    """

    name = "plugin"
    events: tuple[type[Event], ...] = (Event,)
    """The kinds of events that `on_event` is called with; every one, unless fewer are named. A meter values event comes
    with nearly every message, so a plugin that has no use for it should say so."""
    wants_frames = False
    """Whether `on_frame` is to be called; raw messages hold personal data."""

    async def start(self, context: PluginContext) -> None:
        """Called once, before charge points connect. Raising here keeps the plugin out, nothing else."""

    async def on_event(self, event: Event) -> None:
        """Something happened. Cut off after 10 s; a command sent from here may take its own time-out within that."""

    async def on_frame(self, frame: FramePassed) -> None:
        """A message passed."""

    def data_transfer(self, cp_id: str, vendor_id: str, message_id: str | None, data: Any) -> dict[str, Any] | None:
        """Answer a charge point's DataTransfer; None: not mine. Must not wait: the charger's answer does."""
        return None

    async def sign_certificate(self, cp_id: str, csr: str, kind: str) -> str | None:
        """A PEM chain, the charge point's own certificate first, for what it requests in its own name; None: not mine.

        `csr` is PEM; `kind` is certificateType of OCPP 2.x, "" in 1.6. A plugin without this method is not asked.
        """
        return None

    async def stop(self) -> None:
        """Called once at shutdown, when what was queued has been handed over."""
