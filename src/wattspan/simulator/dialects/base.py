"""What a dialect is: one OCPP version's words for what a virtual charge point does. It knows no version."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from wattspan.simulator.facts import NO_ERROR, Reading, State, Transaction
from wattspan.simulator.link import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

Command = Callable[["ChargePoint", Payload], Answer]
"""Answers a command. May raise AttributeError, KeyError, TypeError or ValueError for what it can't read."""
Then = Callable[[], None]
"""What a command promised, done once its answer is sent."""


class EventRef(NamedTuple):
    """A CALL to be made. `payload` is asked at each sending: 1.6's transaction id may come late."""

    action: str
    payload: Callable[[], Payload]
    error_code: str = NO_ERROR
    """The error that it tells of."""


class Dialect(Protocol):
    """One OCPP version. Has no state: all it needs is in the facts."""

    @property
    def name(self) -> str:
        """The version's number: "1.6"."""

    @property
    def subprotocol(self) -> str:
        """Its name in the handshake."""

    @property
    def unreadable(self) -> str:
        """The CALLERROR code for a command that can't be read."""

    @property
    def commands(self) -> Mapping[str, Command]:
        """The commands it answers, by action."""

    def boot(self, cp_id: str, firmware: str, reason: str) -> EventRef:
        """BootNotification; `reason` in 2.x's words (2.0.1 Part 2, BootReasonEnumType)."""

    def authorize(self, id_tag: str) -> EventRef:
        """Authorize."""

    def token_status(self, answer: Payload) -> str | None:
        """What an answer says of the token; None: nothing."""

    def station_state(self, ts: float) -> Iterable[EventRef]:
        """How the charge point as a whole stands, where the version has words for it."""

    def state(self, number: int, now: State, before: State | None, ts: float) -> Iterable[EventRef]:
        """How an outlet stands; of a change, only what is news. `before` None: all is news."""

    def new_transaction_id(self) -> str | None:
        """What the charge point calls a new transaction; None: the central system names it."""

    def given_transaction_id(self, answer: Payload) -> int | None:
        """What the central system called it; None: it does not name them. KeyError, ValueError for a bad answer."""

    def started(self, of: Transaction, begin: Reading, *, offline: bool) -> EventRef:
        """A transaction starts."""

    def changed(self, of: Transaction, status: str, ts: float, *, offline: bool) -> EventRef | None:
        """Its charging state changed; None: the outlet's status tells it."""

    def metered(self, of: Transaction, reading: Reading, *, offline: bool) -> EventRef:
        """A reading of a transaction."""

    def stopped(self, of: Transaction, end: Reading, reason: str, *, offline: bool) -> EventRef:
        """A transaction stops, for a reason in 1.6's words."""

    def meter_values(self, number: int, of: Transaction | None, reading: Reading) -> EventRef:
        """A reading that was asked for."""


def granted(then: Then | None, *, otherwise: str = "Rejected") -> Answer:
    """Accepted, and then this is done; None: it can't be."""
    return Answer({"status": otherwise}) if then is None else Answer({"status": "Accepted"}, then)


def says(status: str, then: Then | None = None) -> Answer:
    """An answer of a status alone."""
    return Answer({"status": status}, then)
