"""Versions of local authorization lists, and the full list that follows a refused update. It sends nothing itself."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from wattspan.csms.commands import CommandResult
from wattspan.csms.operations.parameters import GetLocalListVersion, Operation, SendLocalList
from wattspan.csms.operations.results import local_list_version
from wattspan.errors import CommandRefused, OperationUnsupported

log = logging.getLogger(__name__)

MAX_VERSION = 2**31 - 1
REFUSED = frozenset({"Failed", "VersionMismatch"})
"""Statuses of a refused differential update, after which the full list is sent (OCPP 1.6 §5.15, 2.0.1 D01)."""


class ListVersions:
    """The versions that were sent last, by charge point, so that two lists within a second differ."""

    def __init__(self) -> None:
        self._sent: dict[str, int] = {}

    def numbered(self, cp_id: str, operation: SendLocalList, now_s: int) -> SendLocalList:
        """Return the operation with the version to send: the one given, or else Unix seconds or one more."""
        if operation.version is None:
            version = min(max(now_s, self._sent.get(cp_id, 0) + 1), MAX_VERSION)
            operation = replace(operation, version=version)
        self.sent(cp_id, operation)
        return operation

    def sent(self, cp_id: str, operation: SendLocalList) -> None:
        """Record the version of a list that is sent."""
        self._sent[cp_id] = operation.version or 0


async def full_list_after(
    result: CommandResult, operation: SendLocalList, send: Callable[[Operation], Awaitable[CommandResult]]
) -> SendLocalList | None:
    """Return the full list to send after an answer to `operation`; None: there is nothing to send again.

    Its version is greater than the one that the charge point has. A full list is sent again only if its version did
    not match. Raises as `send` does, but not if the charge point can't tell its version.
    """
    is_full = operation.update == "Full"
    if result.status not in REFUSED or (is_full and result.status != "VersionMismatch"):
        return None
    try:
        held = local_list_version(await send(GetLocalListVersion()))
    except (CommandRefused, OperationUnsupported):
        held = None
    version = max(operation.version or 0, held or 0) + 1
    if version > MAX_VERSION:
        return None
    log.info("%s refused version %s of its local list: %s", result.cp_id, operation.version, result.status)
    if is_full:
        return replace(operation, version=version)
    return SendLocalList(update="Full", version=version)
