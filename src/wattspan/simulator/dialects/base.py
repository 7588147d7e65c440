"""The protocol of a dialect: how one OCPP version expresses what a virtual charge point does.

It must not know any single version.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from wattspan.ocppj.frames import Framing
from wattspan.simulator.model import NO_ERROR, ConnectorState, Hardware, Reading, Transaction
from wattspan.simulator.rpc import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

Command = Callable[["ChargePoint", Payload], Answer]
"""Returns the answer to a command. Raises one of INVALID_PAYLOAD for an invalid payload."""
INVALID_PAYLOAD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What code that trusts a payload raises for an invalid one."""
FollowUp = Callable[[], None]
"""What to do once the answer to a command is sent."""


class OutgoingCall(NamedTuple):
    """A CALL to send. `payload()` is called at each attempt: 1.6's transaction id may arrive late."""

    action: str
    payload: Callable[[], Payload]
    error_code: str = NO_ERROR
    """The error that it reports, or NO_ERROR."""


class Dialect(Protocol):
    """The messages of one OCPP version. It has no state; every method that returns a call only creates it."""

    @property
    def name(self) -> str:
        """Version number, such as "1.6"."""

    @property
    def subprotocol(self) -> str:
        """WebSocket subprotocol."""

    @property
    def framing(self) -> Framing:
        """How the version frames messages, and its CALLERROR codes."""

    @property
    def commands(self) -> Mapping[str, Command]:
        """Supported commands by action."""

    def boot(self, cp_id: str, hardware: Hardware, reason: str) -> OutgoingCall:
        """Return a BootNotification; `reason` is a BootReasonEnumType of 2.x, unused in 1.6."""

    def authorize(self, id_tag: str) -> OutgoingCall:
        """Return an Authorize."""

    def token_status(self, answer: Payload) -> str | None:
        """Return the authorization status in an answer, or None if it has none."""

    def station_status(self, ts: float) -> Iterable[OutgoingCall]:
        """Return the status of the charge point as a whole; empty in versions that do not report it."""

    def connector_status(
        self, number: int, now: ConnectorState, before: ConnectorState | None, ts: float
    ) -> Iterable[OutgoingCall]:
        """Return the calls that report a change of status since `before`; None: the whole status."""

    def new_transaction_id(self) -> str | None:
        """Return the id of a new transaction, or None if the central system assigns it."""

    def assigned_transaction_id(self, answer: Payload) -> int | None:
        """Return the transaction id in the answer to a start, or None if the charge point assigns it.

        Raises KeyError, TypeError or ValueError if it is missing or invalid.
        """

    def transaction_started(self, transaction: Transaction, begin: Reading, *, offline: bool) -> OutgoingCall:
        """Return the start of a transaction."""

    def charging_state_changed(
        self, transaction: Transaction, status: str, ts: float, *, offline: bool
    ) -> OutgoingCall | None:
        """Return a change of the charging state, or None if the connector status already reports it."""

    def meter_reading(self, transaction: Transaction, reading: Reading, *, offline: bool) -> OutgoingCall:
        """Return a periodic reading of a transaction."""

    def transaction_stopped(
        self, transaction: Transaction, end: Reading, reason: str, *, offline: bool
    ) -> OutgoingCall:
        """Return the stop of a transaction; `reason` as 1.6 names it."""

    def meter_values(self, number: int, transaction: Transaction | None, reading: Reading) -> OutgoingCall:
        """Return MeterValues that TriggerMessage requested."""


def accepted_if(follow_up: FollowUp | None, *, otherwise: str = "Rejected") -> Answer:
    """Return Accepted with `follow_up`, or the status `otherwise` if `follow_up` is None."""
    return Answer({"status": otherwise}) if follow_up is None else Answer({"status": "Accepted"}, follow_up)


def status_answer(status: str, follow_up: FollowUp | None = None) -> Answer:
    """Return an answer that contains only `status`."""
    return Answer({"status": status}, follow_up)
