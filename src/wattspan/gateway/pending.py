"""Charge points that nobody registered, connected without rights until an operator approves them (policy `pending`).

BootNotification is answered Pending, all else SecurityError (OCPP 1.6 §4.2, 2.0.1 Part 2 B02). They are no part of the
fleet: no series, no rows, and a bounded number of them.
"""

from collections.abc import Callable
from dataclasses import replace

from wattspan.csms.pending import Waiting
from wattspan.csms.service import Core
from wattspan.domain.events import ChargePointBooted
from wattspan.domain.timestamps import wire_time
from wattspan.errors import FrameError
from wattspan.gateway.connection import ChargePointConnection, close_quietly
from wattspan.ocppj.frames import Call, ResultError, Send
from wattspan.ocppj.rpc import RpcConnection
from wattspan.versions.base import Version

MOST = 1_000
"""How many may wait at once; whoever comes then is answered 503."""
MAX_OF_SOURCE = 200
"""How many of those from one address."""
INTERVAL_S = 60
"""After how many seconds a charge point that waits boots anew."""
BOOT = "BootNotification"
_COME_AGAIN = (1012, "approved: connect again")
"""Close code "service restart"."""
_REJECTED = (1008, "rejected")


class PendingConnection:
    """One that waits: the `Handler` and the `Wire` of its session."""

    def __init__(
        self, connection: ChargePointConnection, version: Version, waiting: Waiting, clock: Callable[[], float]
    ) -> None:
        self.connection = connection
        self.waiting = waiting
        self._version = version
        self._clock = clock
        self.session = RpcConnection(waiting.cp_id, self, self, version.framing)

    def send(self, data: bytes) -> None:
        self.connection.send_now(data)

    def pause_reading(self) -> None:
        self.connection.pause_reading()

    def resume_reading(self) -> None:
        self.connection.resume_reading()

    def on_call(self, call: Call) -> None:
        """Answer a boot with Pending; nothing else is heard."""
        if call.action != BOOT:
            self.session.refuse(call, "SecurityError", "not approved yet", {})
            return
        now_ts = self._clock()
        answer = {"status": "Pending", "currentTime": wire_time(now_ts), "interval": INTERVAL_S}
        for event in self._version.requests[BOOT].observe(call.payload, answer, self.waiting.cp_id, now_ts):
            if isinstance(event, ChargePointBooted):
                self.waiting = replace(
                    self.waiting,
                    vendor=event.vendor,
                    model=event.model,
                    serial_number=event.serial_number,
                    firmware=event.firmware,
                )
        self.session.answer(call, answer)

    def on_send(self, send: Send) -> None:
        """Not heard."""

    def on_fault(self, fault: FrameError) -> None:
        """The session answers it."""

    def on_result_error(self, error: ResultError) -> None:
        """Nothing was said that would matter."""

    def on_unasked(self) -> None:
        """Nothing was asked."""


class PendingConnections:
    """Everybody who waits, by identity; of two with the same one, the newer. `counters.pending` is how many."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._newcomers: dict[str, PendingConnection] = {}

    def has_room(self, source: str) -> bool:
        """Whether one more from `source` may wait: nobody else is kept out by one who comes under many names."""
        of_source = sum(each.waiting.source == source for each in self._newcomers.values())
        return len(self._newcomers) < MOST and of_source < MAX_OF_SOURCE

    async def host(self, connection: ChargePointConnection, waiting: Waiting, version: Version) -> None:
        """From handshake to close of one that is not approved yet."""
        newcomer = PendingConnection(connection, version, waiting, self._core.clock)
        replaced, self._newcomers[waiting.cp_id] = self._newcomers.get(waiting.cp_id), newcomer
        if replaced is not None:
            self._end(replaced, 1008, "replaced by a newer connection")
        self._core.counters.pending = len(self._newcomers)
        connection.attach(newcomer.session.receive)
        try:
            await connection.lost()
        finally:
            connection.detach()
            newcomer.session.close()
            self._leave(newcomer)

    def dismiss(self, cp_id: str, approved: bool) -> None:
        """Close the connection of one that waits, if it does; approved, it comes back by itself."""
        newcomer = self._newcomers.get(cp_id)
        if newcomer is not None:
            self._leave(newcomer)
            self._end(newcomer, *(_COME_AGAIN if approved else _REJECTED))

    def all(self) -> list[Waiting]:
        """Everybody, the longest waiting first."""
        return sorted((each.waiting for each in self._newcomers.values()), key=lambda waiting: waiting.since_ts)

    def _leave(self, newcomer: PendingConnection) -> None:
        """By identity of the object: a replaced one must not take its successor along."""
        if self._newcomers.get(newcomer.waiting.cp_id) is newcomer:
            del self._newcomers[newcomer.waiting.cp_id]
        self._core.counters.pending = len(self._newcomers)

    def _end(self, newcomer: PendingConnection, code: int, reason: str) -> None:
        newcomer.connection.detach()
        newcomer.session.close()
        self._core.spawn(close_quietly(newcomer.connection, code, reason))
