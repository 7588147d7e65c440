"""Asks a charge point that connected without a BootNotification to send one (TriggerMessage)."""

import asyncio

from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.domain.events import (
    ChargePointBooted,
    ChargePointConnected,
    ConnectorStatusChanged,
    Event,
    HeartbeatReceived,
    TransactionStarted,
)
from wattspan.errors import CommandError


class AskBoot(Plugin):
    """Asks once a connection, at the first message of a charge point whose vendor and model are unknown."""

    name = "ask_boot"
    events = (ChargePointConnected, ChargePointBooted, HeartbeatReceived, ConnectorStatusChanged, TransactionStarted)

    async def start(self, context: PluginContext) -> None:
        self._context = context
        self._unidentified: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def on_event(self, event: Event) -> None:
        if isinstance(event, ChargePointConnected):
            cp = self._context.fleet.charge_points.get(event.cp_id)
            if cp is not None and not (cp.vendor or cp.model):
                self._unidentified.add(event.cp_id)
            return
        if event.cp_id not in self._unidentified:
            return
        self._unidentified.discard(event.cp_id)
        if not isinstance(event, ChargePointBooted):
            # Its own task: a charge point that does not answer must not delay the others.
            task = asyncio.create_task(self._trigger_boot(event.cp_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _trigger_boot(self, cp_id: str) -> None:
        try:
            await self._context.operations.trigger(cp_id, "BootNotification")
        except CommandError:
            return  # ocpp_central_call_errors_total counts it
