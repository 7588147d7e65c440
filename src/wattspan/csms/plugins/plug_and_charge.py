"""Starts a transaction when a cable is plugged in, under a configured id token.

1.6: on Preparing. 2.x: on Occupied (2.0.1 Part 2 F01, the cable first), also where the station began a transaction with
the cable and waits for an authorization.
"""

import asyncio

from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.domain.events import ConnectorStatusChanged, Event
from wattspan.errors import CommandError

PLUGGED_IN = frozenset({"Preparing", "Occupied"})


class PlugAndCharge(Plugin):
    """Needs the setting `plug_and_charge_id_tag`. A start that fails is tried again at the next plug-in."""

    name = "plug_and_charge"
    events = (ConnectorStatusChanged,)

    async def start(self, context: PluginContext) -> None:
        self._context = context
        self._id_tag = str(context.settings["plug_and_charge_id_tag"] or "")
        self._last: dict[tuple[str, str, str | None], str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        if not self._id_tag:
            raise ValueError("plug_and_charge needs the setting plug_and_charge_id_tag")

    async def on_event(self, event: Event) -> None:
        if not isinstance(event, ConnectorStatusChanged):
            return
        place = (event.cp_id, event.connector_id, event.outlet)
        before, self._last[place] = self._last.get(place), event.status
        if (
            event.status in PLUGGED_IN
            and before not in PLUGGED_IN
            and event.connector_id.isdigit()
            and event.connector_id != "0"
            and not self._is_charging(event)
        ):
            # Its own task: a charge point that does not answer must not delay the others.
            task = asyncio.create_task(self._remote_start(place))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _is_charging(self, event: ConnectorStatusChanged) -> bool:
        session = self._context.fleet.session_of(event.cp_id, event.connector_id, None)
        return session is not None and (event.outlet is None or bool(session.id_token))

    async def _remote_start(self, place: tuple[str, str, str | None]) -> None:
        cp_id, connector_id, _ = place
        try:
            await self._context.operations.remote_start(cp_id, id_tag=self._id_tag, connector_id=int(connector_id))
        except CommandError:
            # ocpp_central_call_errors_total counts it; the next plug-in tries again.
            self._last.pop(place, None)
