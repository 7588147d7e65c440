"""What an OCPP version is made of: one table of the charger's requests, one of our commands. It knows no version."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from wattspan.domain.events import Event
from wattspan.ocppj.frames import FRAMING_16, Framing
from wattspan.ocppj.schemas import ErrorCodes, Schemas

Payload = dict[str, Any]

OTHER = "other"
"""A status OCPP has no word for."""
ACCEPTED = "Accepted"
INVALID = "Invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenInfo:
    """What an id token may do. `status` is AuthorizationStatus of OCPP 2.x, whose words include those of 1.6.

    None: no expiry, no parent. `evse_ids` (connectors in 1.6): where alone it is valid; none named: everywhere.
    """

    status: str
    expiry_ts: float | None = None
    parent: str | None = None
    evse_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDecision:
    """The id a transaction was given, now or when the same start came first, and what its token may do."""

    transaction_id: int
    info: IdTokenInfo


class ChargePointContext(Protocol):
    """What an answer may ask. It answers for one charge point and one message."""

    @property
    def cp_id(self) -> str: ...

    @property
    def now_ts(self) -> float: ...

    @property
    def heartbeat_interval_s(self) -> int: ...

    async def authorize(
        self, id_token: str, *, kind: str = "", connector_id: str | None = None, start_key: str | None = None
    ) -> IdTokenInfo:
        """What the id token may do; `kind` is its type in 2.x, `connector_id` where it is to charge.

        `start_key`: it is to start the transaction of that key, which may be one too many (ConcurrentTx).
        """

    async def start(self, *, id_token: str, connector_id: str, key: str, reservation_id: int | None) -> StartDecision:
        """Give a transaction its id; the same `key` gets the same id."""

    def knows(self, transaction_id: str) -> bool:
        """Whether the fleet knows the transaction that the charger gave this id, open or closed."""

    async def recall(self, transaction_id: str) -> None:
        """Make it known to the fleet, if the store knows it."""

    async def recall_stop(self, transaction_id: str, key: str) -> None:
        """Make a closed transaction known to the fleet again, before its TransactionStopped is applied."""

    async def sign_certificate(self, csr: str, *, kind: str, echo: Payload) -> bool:
        """Whether CertificateSigned will follow, with the fields `echo`; `kind` is certificateType, "" for none."""

    async def data_transfer(self, vendor_id: str, message_id: str | None, data: Any) -> Payload:
        """The answer to a vendor's own message."""


Answer = Callable[[Payload, ChargePointContext], Payload | Awaitable[Payload]]
Observe = Callable[[Payload, Payload, str, float], Iterable[Event]]
"""(call, answer, cp_id, received_ts) to what the conversation meant. Pure; never raises."""
Place = Callable[[Payload], tuple[str | None, str | None]]

A = TypeVar("A", bound=Answer)
O = TypeVar("O", bound=Observe)  # noqa: E741


def nothing(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[Event]:
    """A conversation that means nothing to us."""
    return ()


def nowhere(call: Payload) -> tuple[str | None, str | None]:
    """A message that belongs to no connector and no transaction."""
    return None, None


def no_connector(call: Payload) -> str | None:
    """A command that belongs to no connector."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A message that chargers send, and what becomes of it.

    `answer` is plain where it waits for nothing. It raises CallFault alone, and only where the message has no fact
    that could be saved. `place` tells (connector_id, transaction_id), each None where the message names none. None:
    `observe` finds them, so it yields at least one event, and the first has both.
    """

    action: str
    answer: Answer
    observe: Observe = nothing
    place: Place | None = nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A message that we send to chargers. No `statuses`: its answer has none, and a result is acceptance.

    `results` names the list of an answer that has a status for each thing asked (2.x: setVariableResult), and
    `status_field` the status in it. Such an answer counts as rejected if any of them is no acceptance.
    """

    action: str
    statuses: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    observe: Observe = nothing
    connector: Callable[[Payload], str | None] = no_connector
    status_field: str = "status"
    results: str | None = None

    def status(self, answer: Payload) -> str:
        """The status of an answer as a label: OCPP's word, "other" for any else, "" where there is none to be had.

        Out of a list the first one that is no acceptance, or else the last.
        """
        if not self.statuses:
            return ""
        if self.results is None:
            return self._word(answer)
        results = answer.get(self.results)
        words = [self._word(result) for result in results] if isinstance(results, list) else []
        return next((word for word in words if word not in self.accepted), words[-1] if words else OTHER)

    def _word(self, result: Any) -> str:
        told = result.get(self.status_field) if isinstance(result, dict) else None
        return told if isinstance(told, str) and told in self.statuses else OTHER


@dataclass(slots=True, kw_only=True)
class Version:
    """One OCPP version. Its module fills the tables through the decorators; afterwards they are only read."""

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
        """Every action of the version, in either direction."""
        return self.requests.keys() | self.commands.keys()

    def answers(self, action: str, place: Place | None = nowhere) -> Callable[[A], A]:
        """Register what is answered to `action`; comes before `observes`."""

        def register(answer: A) -> A:
            self.requests[action] = Request(action=action, answer=answer, place=place)
            return answer

        return register

    def observes(self, action: str) -> Callable[[O], O]:
        """Register what `action` and its answer mean."""

        def register(observe: O) -> O:
            self.requests[action] = replace(self.requests[action], observe=observe)
            return observe

        return register

    def sends(self, commands: Mapping[str, Command]) -> None:
        """Register the commands of the version."""
        self.commands.update(commands)

    def observes_command(self, action: str) -> Callable[[O], O]:
        """Register what our command `action` and its answer mean."""

        def register(observe: O) -> O:
            self.commands[action] = replace(self.commands[action], observe=observe)
            return observe

        return register
