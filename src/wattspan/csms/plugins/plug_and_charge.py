"""Starts charging when a cable is plugged in, under a configured id token.

1.6: RemoteStartTransaction on Preparing. 2.x: RequestStartTransaction on Occupied (2.0.1 Part 2 F01, the cable first),
also where the station began a transaction with the cable and waits for somebody to authorize it.
"""

import asyncio
import secrets
from typing import Any

from ocpp.v16.call import RemoteStartTransaction
from ocpp.v201.call import RequestStartTransaction
from ocpp.v201.datatypes import IdTokenType
from ocpp.v201.enums import IdTokenEnumType

from wattspan.csms.plugins.base import Plugin, PluginContext
from wattspan.domain.events import ConnectorStatusChanged, Event
from wattspan.errors import CommandError

PLUGGED_IN = frozenset({"Preparing", "Occupied"})


class PlugAndCharge(Plugin):
    """Needs the setting `plug_and_charge_id_tag`. Who refuses or is silent is asked again at the next plug-in."""

    name = "plug_and_charge"
    events = (ConnectorStatusChanged,)

    async def start(self, context: PluginContext) -> None:
        self._context = context
        self._id_tag = str(context.settings["plug_and_charge_id_tag"] or "")
        self._last: dict[tuple[str, str, str | None], str] = {}
        self._asking: set[asyncio.Task[None]] = set()
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
            # A task of its own: a silent charger must not hold up the others' plug-ins.
            task = asyncio.create_task(self._ask(place))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def stop(self) -> None:
        for task in self._asking:
            task.cancel()

    def _is_charging(self, event: ConnectorStatusChanged) -> bool:
        session = self._context.fleet.session_of(event.cp_id, event.connector_id, None)
        return session is not None and (event.outlet is None or bool(session.id_token))

    async def _ask(self, place: tuple[str, str, str | None]) -> None:
        cp_id, connector_id, _ = place
        try:
            await self._context.call(cp_id, self._start(cp_id, int(connector_id)))
        except CommandError:
            # Counted by ocpp_central_call_errors_total already; the next plug-in asks again.
            self._last.pop(place, None)

    def _start(self, cp_id: str, connector_id: int) -> Any:
        cp = self._context.fleet.charge_points.get(cp_id)
        if cp is None or cp.protocol == "ocpp1.6":
            return RemoteStartTransaction(id_tag=self._id_tag, connector_id=connector_id)
        token = IdTokenType(id_token=self._id_tag, type=IdTokenEnumType.central)
        return RequestStartTransaction(id_token=token, remote_start_id=secrets.randbelow(2**31), evse_id=connector_id)
