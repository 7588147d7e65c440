"""Starts charging when a cable is plugged in: RemoteStartTransaction on Preparing, under a configured id token."""

import asyncio

from ocpp.v16.call import RemoteStartTransaction

from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.domain.events import ConnectorStatusChanged, Event
from wattspan.errors import CommandError


class PlugAndCharge(Plugin):
    """Needs the setting `plug_and_charge_id_tag`. Who refuses or is silent is asked again at the next plug-in."""

    name = "plug_and_charge"
    events = (ConnectorStatusChanged,)

    async def start(self, context: PluginContext) -> None:
        self._context = context
        self._id_tag = str(context.settings["plug_and_charge_id_tag"] or "")
        self._last: dict[tuple[str, str], str] = {}
        self._asking: set[asyncio.Task[None]] = set()
        if not self._id_tag:
            raise ValueError("plug_and_charge needs the setting plug_and_charge_id_tag")

    async def on_event(self, event: Event) -> None:
        if not isinstance(event, ConnectorStatusChanged):
            return
        place = (event.cp_id, event.connector_id)
        before, self._last[place] = self._last.get(place), event.status
        if (
            event.status == "Preparing"
            and before != "Preparing"
            and event.connector_id != "0"
            and not self._is_charging(event)
        ):
            # A task of its own: a silent charger must not hold up the others' plug-ins.
            task = asyncio.create_task(self._ask(event.cp_id, int(event.connector_id)))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def stop(self) -> None:
        for task in self._asking:
            task.cancel()

    def _is_charging(self, event: ConnectorStatusChanged) -> bool:
        return self._context.fleet.session_of(event.cp_id, event.connector_id, None) is not None

    async def _ask(self, cp_id: str, connector_id: int) -> None:
        try:
            await self._context.call(cp_id, RemoteStartTransaction(id_tag=self._id_tag, connector_id=connector_id))
        except CommandError:
            # Counted by ocpp_central_call_errors_total already; the next Preparing asks again.
            self._last.pop((cp_id, str(connector_id)), None)
