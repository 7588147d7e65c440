"""Closes transactions whose stop was lost, see `domain.orphans`."""

from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.domain.events import ChargePointBooted, Event, TransactionStarted
from wattspan.domain.orphans import stops_of_orphans


class CloseOrphans(Plugin):
    """On by default."""

    name = "orphans"
    events = (ChargePointBooted, TransactionStarted)

    async def start(self, context: PluginContext) -> None:
        self._context = context

    async def on_event(self, event: Event) -> None:
        self._context.record(stops_of_orphans(self._context.fleet, event))
