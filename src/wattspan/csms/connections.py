"""The connections of charge points as everything but the gateway sees them. `gateway.Gateway` implements it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from wattspan.csms.commands import ActiveConnection
from wattspan.csms.pending import PendingChargePoint

OnMessage = Callable[[str, bytes], None]
"""(direction, message): "in" is from the charge point."""


class Connections(Protocol):
    """Open connections, and those that wait for an operator's approval."""

    def connection(self, cp_id: str) -> ActiveConnection | None:
        """Return the open connection of a charge point, or None."""

    def disconnect(self, cp_id: str, reason: str) -> None:
        """Close a charge point's connection with code 1008, if it has one. Returns at once."""

    def watch(self, cp_id: str, on_message: OnMessage) -> Callable[[], None]:
        """Call `on_message` with every message of a charge point, over reconnects. Returns a function that ends it."""

    def pending(self) -> Sequence[PendingChargePoint]:
        """Return the charge points that wait for approval, the longest waiting first."""

    def dismiss(self, cp_id: str, approved: bool) -> None:
        """Close the connection of a pending charge point, if it is pending. An approved one reconnects by itself."""
