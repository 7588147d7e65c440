"""Sends operations: finds the connection once, builds the call of its OCPP version, sends it on that connection."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from wattspan.csms.commands import ActiveConnection, CommandResult, Commands
from wattspan.csms.core import Core
from wattspan.csms.operations.context import OperationContext, needed_id_tags
from wattspan.csms.operations.local_list import ListVersions, full_list_after
from wattspan.csms.operations.methods import OperationMethods
from wattspan.csms.operations.parameters import Operation, SendLocalList
from wattspan.csms.operations.table import build
from wattspan.errors import NotConnected
from wattspan.store.records import IdTag


class IdTags(Protocol):
    """The read of the store that operations need."""

    async def id_tags(self) -> Sequence[IdTag]:
        """Return all id tags on file."""

    async def id_tag(self, id_token: str) -> IdTag | None:
        """Return an id tag on file, or None."""


class RemoteOperations(Protocol):
    """Sends operations to charge points that are connected to other nodes of a cluster: see `csms.routing`."""

    async def perform(self, cp_id: str, operation: Operation, *, timeout_s: float | None = None) -> CommandResult:
        """Send an operation, and return the answer. Raises as `Operations.perform` does, and NodeUnreachable."""


class Operations(OperationMethods):
    """See `OperationMethods`. `upload_url` returns an address that the named charge point may upload one file to."""

    def __init__(self, core: Core, commands: Commands, store: IdTags, upload_url: Callable[[str], str]) -> None:
        self._core = core
        self._commands = commands
        self._store = store
        self._upload_url = upload_url
        self._list_versions = ListVersions()
        self.remote: RemoteOperations | None = None
        """What sends to the charge points of other nodes; None: there are no other nodes."""

    def connection(self, cp_id: str, operation: type[Operation]) -> ActiveConnection:
        """Return the open connection of a charge point. Raises NotConnected."""
        return self._commands.connection(cp_id, operation.__name__)

    async def perform(self, cp_id: str, operation: Operation, *, timeout_s: float | None = None) -> CommandResult:
        """Send an operation, and return the charge point's answer. Raises as every method of `OperationMethods`."""
        if self.remote is not None and self._commands.is_elsewhere(cp_id):
            return await self.remote.perform(cp_id, operation, timeout_s=timeout_s)
        return await self.perform_on(self.connection(cp_id, type(operation)), operation, timeout_s=timeout_s)

    async def perform_on(
        self, connection: ActiveConnection, operation: Operation, *, timeout_s: float | None = None
    ) -> CommandResult:
        """Send an operation on a connection that was found before. Raises ConnectionLost if it has closed since."""
        if not isinstance(operation, SendLocalList):
            return await self._send_on(connection, operation, timeout_s=timeout_s)
        send = partial(self._send_on, connection, timeout_s=timeout_s)
        operation = self._list_versions.numbered(connection.cp_id, operation, int(self._core.clock()))
        result = await send(operation)
        full = await full_list_after(result, operation, send)
        if full is None:
            return result
        self._list_versions.sent(connection.cp_id, full)
        return await send(full)

    async def _send_on(
        self, connection: ActiveConnection, operation: Operation, *, timeout_s: float | None
    ) -> CommandResult:
        cp_id = connection.cp_id
        id_tags = await self._id_tags(operation)
        cp = self._core.fleet.charge_points.get(cp_id)
        if cp is None:  # decommissioned meanwhile, and its connection is closing
            raise NotConnected(cp_id, type(operation).__name__)
        context = OperationContext(
            cp=cp,
            now_ts=self._core.clock(),
            upload_url=lambda: self._upload_url(cp_id),
            id_tags=id_tags,
        )
        action, payload = build(connection.version, operation, context)
        return await self._commands.send_on(connection, action, payload, timeout_s=timeout_s)

    async def _id_tags(self, operation: Operation) -> Sequence[IdTag]:
        """Return the id tags on file that the operation's builder reads."""
        needed = needed_id_tags(operation)
        if needed is None:
            return await self._store.id_tags()
        found = [await self._store.id_tag(each) for each in needed]
        return [tag for tag in found if tag is not None]
