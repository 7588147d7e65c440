"""Charge points that nobody registered, connected without rights until an operator approves them (policy `pending`).

BootNotification is answered Pending, all else SecurityError (OCPP 1.6 §4.2, 2.0.1 Part 2 B02). They are no part of the
fleet: no series, no rows, and a bounded number of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from wattspan.domain.events import ChargePointBooted
from wattspan.domain.timestamps import wire_time
from wattspan.errors import FrameError
from wattspan.gateway.connection import ChargePointConnection
from wattspan.ocppj.frames import Call, ResultError, Send
from wattspan.ocppj.session import Session
from wattspan.versions.base import Version

MOST = 1_000
"""How many may wait at once; whoever comes then is answered 503."""
INTERVAL_S = 60
"""After how many seconds a charge point that waits boots anew."""
BOOT = "BootNotification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Who waits. `since_ts` is Unix seconds; texts are "" until its boot message told them."""

    cp_id: str
    since_ts: float
    protocol: str
    source: str
    security_profile: int
    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware: str = ""


class Newcomer:
    """One that waits: the `Handler` and the `Wire` of its session."""

    def __init__(
        self, connection: ChargePointConnection, version: Version, waiting: Waiting, clock: Callable[[], float]
    ) -> None:
        self.connection = connection
        self.waiting = waiting
        self._version = version
        self._clock = clock
        self.session = Session(waiting.cp_id, self, self, version.framing)

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


class WaitingRoom:
    """Everybody who waits, by identity; of two with the same one, the newer."""

    def __init__(self) -> None:
        self._newcomers: dict[str, Newcomer] = {}

    def __len__(self) -> int:
        return len(self._newcomers)

    @property
    def full(self) -> bool:
        return len(self._newcomers) >= MOST

    def enter(self, newcomer: Newcomer) -> Newcomer | None:
        """The older one of the same identity, whose place it takes."""
        cp_id = newcomer.waiting.cp_id
        replaced, self._newcomers[cp_id] = self._newcomers.get(cp_id), newcomer
        return replaced

    def leave(self, newcomer: Newcomer) -> None:
        """By identity of the object: a replaced one must not take its successor along."""
        if self._newcomers.get(newcomer.waiting.cp_id) is newcomer:
            del self._newcomers[newcomer.waiting.cp_id]

    def find(self, cp_id: str) -> Newcomer | None:
        """Who waits under this identity."""
        return self._newcomers.get(cp_id)

    def all(self) -> list[Waiting]:
        """Everybody, the longest waiting first."""
        return [each.waiting for each in self._newcomers.values()]
