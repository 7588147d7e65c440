"""Asks who a charge point is that connected and never said: TriggerMessage for the boot that it left out."""

import asyncio

from ocpp.v16.call import TriggerMessage
from ocpp.v16.enums import MessageTrigger

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
    """Once a connection, at the first message of one whose vendor and model nobody knows."""

    name = "ask_boot"
    events = (ChargePointConnected, ChargePointBooted, HeartbeatReceived, ConnectorStatusChanged, TransactionStarted)

    async def start(self, context: PluginContext) -> None:
        self._context = context
        self._unasked: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()

    async def on_event(self, event: Event) -> None:
        if isinstance(event, ChargePointConnected):
            cp = self._context.fleet.charge_points.get(event.cp_id)
            if cp is not None and not (cp.vendor or cp.model):
                self._unasked.add(event.cp_id)
            return
        if event.cp_id not in self._unasked:
            return
        self._unasked.discard(event.cp_id)
        if not isinstance(event, ChargePointBooted):
            # A task of its own: a silent charger must not hold up the others.
            task = asyncio.create_task(self._ask(event.cp_id))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def stop(self) -> None:
        for task in self._asking:
            task.cancel()

    async def _ask(self, cp_id: str) -> None:
        try:
            # The same in every version: `requestedMessage`.
            await self._context.call(cp_id, TriggerMessage(requested_message=MessageTrigger.boot_notification))
        except CommandError:
            return  # counted by ocpp_central_call_errors_total
