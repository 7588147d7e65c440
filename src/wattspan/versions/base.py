"""The parts of an OCPP version: a table of the charger's requests and one of our commands. It knows no version."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from wattspan.domain.events import Event
from wattspan.ocppj.frames import FRAMING_16, Framing
from wattspan.ocppj.schemas import ErrorCodes, Schemas
from wattspan.versions.security import Changes

Payload = dict[str, Any]

OTHER = "other"
"""The label of a status that OCPP does not define."""
ACCEPTED = "Accepted"
INVALID = "Invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenInfo:
    """What an id token may do. `status` is an AuthorizationStatus of OCPP 2.x, which include those of 1.6.

    None: no expiry, no parent. `evse_ids` (connectors in 1.6): where it is valid; empty: everywhere.
    """

    status: str
    expiry_ts: float | None = None
    parent: str | None = None
    evse_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDecision:
    """The id assigned to a transaction, now or when the same start arrived first, and what its token may do."""

    transaction_id: int
    info: IdTokenInfo


class ChargePointContext(Protocol):
    """What an answer function may use: one charge point, at the time of one message."""

    @property
    def cp_id(self) -> str: ...

    @property
    def now_ts(self) -> float: ...

    @property
    def heartbeat_interval_s(self) -> int: ...

    async def authorize(
        self, id_token: str, *, kind: str = "", connector_id: str | None = None, start_key: str | None = None
    ) -> IdTokenInfo:
        """Return what the id token may do; `kind` is its type in 2.x, `connector_id` where it is to charge.

        `start_key`: the key of the transaction it is to start, which may exceed the limit of the token (ConcurrentTx).
        """

    async def start(
        self, *, id_token: str, connector_id: str, key: str, started_ts: float | None, reservation_id: int | None
    ) -> StartDecision:
        """Assign an id to a transaction; a repeated start, which has the same `key`, gets the same id."""

    def knows(self, transaction_id: str) -> bool:
        """Return whether the transaction of this id, assigned by the charger, is in memory, open or closed."""

    async def recall(self, transaction_id: str) -> None:
        """Load the transaction into memory, if the store has it."""

    def may_be_closed(self, transaction_id: str) -> bool:
        """Return whether a transaction of this id, assigned by us, may be closed, and has to be recalled."""

    async def recall_stop(self, transaction_id: str, key: str) -> None:
        """Load a closed transaction into memory, before a message about it is applied. `key`: its stop's, or ""."""

    async def sign_certificate(self, csr: str, *, kind: str, echo: Payload) -> bool:
        """Return whether CertificateSigned with the fields `echo` will follow; `kind`: certificateType, "" for none."""

    async def data_transfer(self, vendor_id: str, message_id: str | None, data: Any) -> Payload:
        """Return the answer to a vendor's own message."""


Answer = Callable[[Payload, ChargePointContext], Payload | Awaitable[Payload]]
Observe = Callable[[Payload, Payload, str, float], Iterable[Event]]
"""(call, answer, cp_id, received_ts) to the events of the exchange. Pure; never raises."""
Place = Callable[[Payload], tuple[str | None, str | None]]
"""A call to its (connector_id, transaction_id); None where it names none."""

A = TypeVar("A", bound=Answer)
O = TypeVar("O", bound=Observe)  # noqa: E741


def no_events(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[Event]:
    """Return no events: the exchange changes nothing."""
    return ()


def no_place(call: Payload) -> tuple[str | None, str | None]:
    """Return that a message belongs to no connector and no transaction."""
    return None, None


def no_security(call: Payload) -> Changes:
    """Return that a command changes neither passwords nor security profiles."""
    return ()


def no_connector(call: Payload) -> str | None:
    """Return that a command belongs to no connector."""
    return None


def no_status(call: Payload) -> bool:
    """Return that a command requests no StatusNotification."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A message that charge points send: how it is answered and observed.

    `answer` is a plain function if it waits for nothing. It raises only CallFault, and only if the message has no data
    that could be stored. `place` None: the first event of `observe` has the message's connector_id and transaction_id,
    so there is always one.
    """

    action: str
    answer: Answer
    observe: Observe = no_events
    place: Place | None = no_place


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A message that we send to charge points. No `statuses`: its answer has no status, and any result is success.

    `security` returns the passwords and security profiles in a payload.

    `results` names the list of an answer that has a status for each item requested (2.x: setVariableResult), and
    `status_field` the status in it. Such an answer counts as rejected if any of its items is not accepted.
    """

    action: str
    statuses: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    observe: Observe = no_events
    connector: Callable[[Payload], str | None] = no_connector
    security: Callable[[Payload], Changes] = no_security
    requests_status: Callable[[Payload], bool] = no_status
    """Whether the command makes the charge point send StatusNotification (1.6)."""
    status_field: str = "status"
    results: str | None = None

    def status(self, answer: Payload) -> str:
        """Return the status of an answer as a label: OCPP's, "other" for any else, "" if the command's answer has none.

        Of a list, the first status that is not accepted, or else the last.
        """
        if not self.statuses:
            return ""
        if self.results is None:
            return self._label(answer)
        results = answer.get(self.results)
        labels = [self._label(result) for result in results] if isinstance(results, list) else []
        return next((label for label in labels if label not in self.accepted), labels[-1] if labels else OTHER)

    def _label(self, result: Any) -> str:
        status = result.get(self.status_field) if isinstance(result, dict) else None
        return status if isinstance(status, str) and status in self.statuses else OTHER


@dataclass(slots=True, kw_only=True)
class Version:
    """One OCPP version. Its package fills the tables through the decorators; afterwards they are only read."""

    subprotocol: str
    name: str
    schemas: Schemas
    codes: ErrorCodes
    framing: Framing = FRAMING_16
    requests: dict[str, Request] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    unconfirmed: frozenset[str] = frozenset()
    """Actions of `requests` that chargers send without waiting for an answer (SEND, OCPP-J 2.1)."""

    @property
    def known(self) -> AbstractSet[str]:
        """All actions of the version, in either direction."""
        return self.requests.keys() | self.commands.keys()

    def answers(self, action: str, place: Place | None = no_place) -> Callable[[A], A]:
        """Register the answer to `action`; comes before `observes`."""

        def register(answer: A) -> A:
            self.requests[action] = Request(action=action, answer=answer, place=place)
            return answer

        return register

    def observes(self, action: str) -> Callable[[O], O]:
        """Register the events of `action` and its answer."""

        def register(observe: O) -> O:
            self.requests[action] = replace(self.requests[action], observe=observe)
            return observe

        return register

    def sends(self, commands: Mapping[str, Command]) -> None:
        """Register the commands of the version."""
        self.commands.update(commands)

    def observes_command(self, action: str) -> Callable[[O], O]:
        """Register the events of our command `action` and its answer."""

        def register(observe: O) -> O:
            self.commands[action] = replace(self.commands[action], observe=observe)
            return observe

        return register
