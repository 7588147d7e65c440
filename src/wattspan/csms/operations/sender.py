"""Sends operations: finds the connection once, builds the call of its OCPP version, sends it on that connection."""

from collections.abc import Callable, Sequence
from typing import Protocol

from wattspan.csms.commands import ActiveConnection, CommandResult, Commands
from wattspan.csms.core import Core
from wattspan.csms.operations.context import OperationContext, needs_id_tags
from wattspan.csms.operations.methods import OperationMethods
from wattspan.csms.operations.parameters import Operation
from wattspan.csms.operations.table import build
from wattspan.errors import NotConnected
from wattspan.store.records import IdTag


class IdTags(Protocol):
    """The read of the store that operations need."""

    async def id_tags(self) -> Sequence[IdTag]:
        """Return all id tags on file."""


class Operations(OperationMethods):
    """See `OperationMethods`. `upload_url` returns an address that the named charge point may upload one file to."""

    def __init__(self, core: Core, commands: Commands, store: IdTags, upload_url: Callable[[str], str]) -> None:
        self._core = core
        self._commands = commands
        self._store = store
        self._upload_url = upload_url

    def connection(self, cp_id: str, operation: type[Operation]) -> ActiveConnection:
        """Return the open connection of a charge point. Raises NotConnected."""
        return self._commands.connection(cp_id, operation.__name__)

    async def perform(self, cp_id: str, operation: Operation, *, timeout_s: float | None = None) -> CommandResult:
        """Send an operation, and return the charge point's answer. Raises as every method of `OperationMethods`."""
        return await self.perform_on(self.connection(cp_id, type(operation)), operation, timeout_s=timeout_s)

    async def perform_on(
        self, connection: ActiveConnection, operation: Operation, *, timeout_s: float | None = None
    ) -> CommandResult:
        """Send an operation on a connection that was found before. Raises ConnectionLost if it has closed since."""
        cp_id = connection.cp_id
        id_tags = await self._store.id_tags() if needs_id_tags(operation) else ()
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
