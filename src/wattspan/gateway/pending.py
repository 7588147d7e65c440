"""Connections of unregistered charge points, which have no rights until an operator approves them (policy `pending`).

BootNotification is answered with Pending, everything else with SecurityError (OCPP 1.6 §4.2, 2.0.1 Part 2 B02). They
are not part of the fleet: they have no series and no rows, and their number is bounded.
"""

from collections.abc import Callable
from dataclasses import replace

from wattspan.csms.core import Core
from wattspan.csms.pending import PendingChargePoint
from wattspan.domain.events import ChargePointBooted
from wattspan.domain.timestamps import wire_time
from wattspan.errors import FrameError
from wattspan.gateway.connection import ChargePointConnection, close_quietly
from wattspan.ocppj.frames import Call, ResultError, Send
from wattspan.ocppj.rpc import RpcConnection
from wattspan.versions.base import Version

MAX_PENDING = 1_000
"""How many may be pending at once; more are answered with 503."""
MAX_PENDING_OF_SOURCE = 200
"""How many of those may come from one address."""
MAX_PENDING_MESSAGE_BYTES = 8 << 10
"""Longest message of a pending charge point."""
INTERVAL_S = 60
"""The interval, in seconds, at which a pending charge point repeats BootNotification."""
BOOT = "BootNotification"
_APPROVED = (1012, "approved: connect again")
"""Close code "service restart"."""
_REJECTED = (1008, "rejected")


class PendingConnection:
    """One pending connection: the `Handler` and the `Wire` of its RPC connection."""

    def __init__(
        self,
        connection: ChargePointConnection,
        version: Version,
        charge_point: PendingChargePoint,
        clock: Callable[[], float],
    ) -> None:
        self.connection = connection
        self.charge_point = charge_point
        self._version = version
        self._clock = clock
        self.rpc = RpcConnection(charge_point.cp_id, self, self, version.framing)

    def send(self, data: bytes) -> None:
        self.connection.send_now(data)

    def pause_reading(self) -> None:
        self.connection.pause_reading()

    def resume_reading(self) -> None:
        self.connection.resume_reading()

    def on_call(self, call: Call) -> None:
        """Answer BootNotification with Pending and refuse everything else."""
        if call.fault is not None:
            self.rpc.refuse(call, call.fault.code, call.fault.description, {})
            return
        if call.action != BOOT:
            self.rpc.refuse(call, "SecurityError", "not approved yet", {})
            return
        now_ts = self._clock()
        answer = {"status": "Pending", "currentTime": wire_time(now_ts), "interval": INTERVAL_S}
        for event in self._version.requests[BOOT].observe(call.payload, answer, self.charge_point.cp_id, now_ts):
            if isinstance(event, ChargePointBooted):
                self.charge_point = replace(
                    self.charge_point,
                    vendor=event.vendor,
                    model=event.model,
                    serial_number=event.serial_number,
                    firmware=event.firmware,
                )
        self.rpc.answer(call, answer)

    def on_send(self, send: Send) -> None:
        """Ignore it."""

    def on_joined(self, messages: int) -> None:
        """Count them against what the peer may take of the event loop."""
        self.connection.count_messages(messages - 1)

    def on_fault(self, fault: FrameError) -> None:
        """Do nothing: the RPC connection answers it."""

    def on_result_error(self, error: ResultError) -> None:
        """Ignore it."""

    def on_unexpected_result(self) -> None:
        """Ignore it: no call was sent."""


class PendingConnections:
    """All pending connections by identity; the newest connection of an identity wins. Keeps `counters.pending`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._connections: dict[str, PendingConnection] = {}

    def has_room(self, source: str) -> bool:
        """Return whether one more from `source` fits. The limit of a source keeps it from filling all places."""
        of_source = sum(each.charge_point.source == source for each in self._connections.values())
        return len(self._connections) < MAX_PENDING and of_source < MAX_PENDING_OF_SOURCE

    async def serve(
        self, connection: ChargePointConnection, charge_point: PendingChargePoint, version: Version
    ) -> None:
        """Serve a pending connection until it closes."""
        pending = PendingConnection(connection, version, charge_point, self._core.clock)
        cp_id = charge_point.cp_id
        replaced, self._connections[cp_id] = self._connections.get(cp_id), pending
        if replaced is not None:
            self._end(replaced, 1008, "replaced by a newer connection")
        self._core.counters.pending = len(self._connections)
        connection.attach(pending.rpc.receive)
        try:
            await connection.lost()
        finally:
            connection.detach()
            pending.rpc.close()
            self._remove(pending)

    def dismiss(self, cp_id: str, approved: bool) -> None:
        """Close the pending connection of `cp_id`, if there is one. An approved charge point then reconnects."""
        pending = self._connections.get(cp_id)
        if pending is not None:
            self._remove(pending)
            self._end(pending, *(_APPROVED if approved else _REJECTED))

    def all(self) -> list[PendingChargePoint]:
        """Return all pending charge points, the longest pending first."""
        return sorted((each.charge_point for each in self._connections.values()), key=lambda each: each.since_ts)

    def _remove(self, pending: PendingConnection) -> None:
        """Remove it by identity of the object, so that a replaced connection does not remove its successor."""
        if self._connections.get(pending.charge_point.cp_id) is pending:
            del self._connections[pending.charge_point.cp_id]
        self._core.counters.pending = len(self._connections)

    def _end(self, pending: PendingConnection, code: int, reason: str) -> None:
        pending.connection.detach()
        pending.rpc.close()
        self._core.spawn(close_quietly(pending.connection, code, reason))
