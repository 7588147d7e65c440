"""Commands to charge points that are connected to other nodes, and the execution of those that other nodes send us.

A request names what to do and has its parameters as JSON; the node with the connection executes it as if it had been
asked itself, so that order and bounds of the queue of each charge point hold. It must not know how messages travel.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import TypeAdapter

from wattspan.csms.closing import close_transaction
from wattspan.csms.commands import CommandResult, Commands
from wattspan.csms.core import Core
from wattspan.csms.enrolment import Enrolment, Enrolments
from wattspan.csms.operations import parameters
from wattspan.csms.operations.parameters import Operation
from wattspan.csms.operations.sender import Operations
from wattspan.csms.security.rotation import Rotated, Rotation
from wattspan.errors import (
    CommandError,
    ConnectionLost,
    NodeSilent,
    NodeUnreachable,
    NotConnected,
    RedisUnavailable,
    TransactionNotIdentified,
)
from wattspan.telemetry import catalogue
from wattspan.versions.base import Payload

KIND = "charge point"
"""What the requests are called on the bus."""
DURABLE = frozenset({"GetInstalledCertificateIds"})
"""Commands whose answers are read from the store afterwards, so that the reply waits until they are there."""

_ENROLMENT = TypeAdapter(Enrolment)
_PROPAGATOR = TraceContextTextMapPropagator()


class Nodes(Protocol):
    """The other nodes. `cluster.bus.Bus` implements it."""

    async def request(self, node: str, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def serve(self, kind: str, execute: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]) -> None: ...


class Locate(Protocol):
    """Finds the node that a charge point is connected to."""

    async def __call__(self, cp_id: str, *, without: str | None = None) -> str | None:
        """Return the other node that a charge point is connected to, or None for none; `without` is known not to be it.

        Raises RedisUnavailable if that can't be known; its text says why.
        """


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    """Return what reads and writes an operation as JSON, by the name of its class. Raises KeyError."""
    kind = vars(parameters)[name]
    if not (isinstance(kind, type) and issubclass(kind, Operation) and kind is not Operation):
        raise KeyError(name)
    return TypeAdapter(kind)


@dataclass(slots=True)
class Router:
    """Sends requests to other nodes, and executes theirs once `serve` was called."""

    core: Core
    nodes: Nodes
    locate: Locate
    owner: Callable[[str], Awaitable[str | None]]
    """Returns the other node that owns a charge point, or None."""
    tracer: Tracer
    commands: Commands
    operations: Operations
    rotation: Rotation
    enrolments: Enrolments

    def serve(self) -> None:
        """Execute the requests of other nodes from now on."""
        self.nodes.serve(KIND, self._execute)

    def is_elsewhere(self, cp_id: str) -> bool:
        """Return whether another node may have the connection of a charge point."""
        return self.commands.is_elsewhere(cp_id)

    async def send_payload(
        self, cp_id: str, action: str, payload: Payload, *, timeout_s: float | None = None
    ) -> CommandResult:
        """Send a command to a charge point of another node. Raises as `Commands.send_payload`, and NodeUnreachable."""
        body = {"do": "command", "action": action, "payload": payload, "timeout_s": timeout_s}
        return CommandResult(**await self._send(cp_id, action, body))

    async def perform(self, cp_id: str, operation: Operation, *, timeout_s: float | None = None) -> CommandResult:
        """Send an operation to a charge point of another node. Raises as `Operations.perform`, and NodeUnreachable."""
        name = type(operation).__name__
        fields = _adapter(name).dump_python(operation, mode="json")
        body = {"do": "operation", "name": name, "fields": fields, "timeout_s": timeout_s}
        return CommandResult(**await self._send(cp_id, name, body))

    async def rotate(self, cp_id: str) -> Rotated:
        """Have another node rotate the secret of a charge point. Raises as `Rotation.rotate`, and NodeUnreachable."""
        return Rotated(**await self._send(cp_id, "SetPassword", {"do": "rotate"}))

    async def close(self, cp_id: str, transaction_id: str, number: int, meter_stop_wh: float | None) -> None:
        """Have the owner of a charge point close one of its transactions. Raises as `close_transaction`."""
        node = await self.owner(cp_id)
        if node is None:
            raise TransactionNotIdentified(cp_id, "close", "the transaction is closed already")
        message = {"transaction_id": transaction_id, "number": number, "meter_stop_wh": meter_stop_wh}
        await self._request(node, cp_id, "close", {"do": "close", "cp_id": cp_id, "trace": _carrier(), **message})

    async def open_enrolment(self, enrolment: Enrolment) -> None:
        """Open an enrolment at a charge point of another node. Raises NotConnected and NodeUnreachable."""
        fields = _ENROLMENT.dump_python(enrolment, mode="json")
        await self._send(enrolment.cp_id, "enrol", {"do": "open enrolment", "fields": fields})

    async def enrolment(self, cp_id: str) -> Enrolment | None:
        """Return the newest enrolment at a charge point of another node. Raises NotConnected and NodeUnreachable."""
        found = (await self._send(cp_id, "enrol", {"do": "read enrolment"}))["found"]
        return None if found is None else _ENROLMENT.validate_python(found)

    async def cancel_enrolment(self, cp_id: str) -> bool:
        """End an enrolment at a charge point of another node. Raises NotConnected and NodeUnreachable."""
        return bool((await self._send(cp_id, "enrol", {"do": "cancel enrolment"}))["cancelled"])

    # sending

    async def _send(self, cp_id: str, action: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        began_s = time.perf_counter()
        outcome = "answered"
        span = self.tracer.start_span(f"route {action}", kind=SpanKind.CLIENT, attributes={catalogue.CP_ID: cp_id})
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                return await self._send_to_node(cp_id, action, body)
            except CommandError as exc:
                outcome = _outcome(exc)
                span.set_attribute(catalogue.FAILURE, exc.error_type)
                span.set_status(StatusCode.ERROR)
                raise
            finally:
                counts = self.core.counters.routed_commands
                counts[outcome] = counts.get(outcome, 0) + 1
                self.core.recorder.took(catalogue.ROUTED_SECONDS, time.perf_counter() - began_s)

    async def _send_to_node(self, cp_id: str, action: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request to the node of a charge point, or to the next one if it has moved meanwhile."""
        message = {**body, "cp_id": cp_id, "trace": _carrier()}
        node = await self._node_of(cp_id, action, None)
        try:
            return await self._request(node, cp_id, action, message)
        except NotConnected:  # nothing was sent
            node = await self._node_of(cp_id, action, node)
            return await self._request(node, cp_id, action, message)

    async def _node_of(self, cp_id: str, action: str, without: str | None) -> str:
        try:
            node = await self.locate(cp_id, without=without)
        except RedisUnavailable as exc:
            raise NodeUnreachable(cp_id, action, str(exc)) from exc
        if node is None:
            raise NotConnected(cp_id, action)
        return node

    async def _request(self, node: str, cp_id: str, action: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        trace.get_current_span().set_attribute(catalogue.NODE, node)
        try:
            return await self.nodes.request(node, KIND, message)
        except RedisUnavailable as exc:
            raise NodeUnreachable(cp_id, action, f"it is connected to node {node}, and {exc}") from exc
        except NodeSilent as exc:
            if exc.confirmed:
                raise ConnectionLost(cp_id, action) from exc
            raise NodeUnreachable(cp_id, action, f"it is connected to {exc}") from exc

    # executing

    async def _execute(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Execute a request of another node within its trace. Raises as the method that it is for."""
        action = message.get("action") or message.get("name") or message["do"]
        parent = _PROPAGATOR.extract(message["trace"], otel_context.Context())
        attributes = {catalogue.CP_ID: message["cp_id"]}
        span = self.tracer.start_span(f"route {action}", parent, SpanKind.SERVER, attributes)
        token = otel_context.attach(trace.set_span_in_context(span, otel_context.Context()))
        try:
            return await self._do(message["do"], message)
        except CommandError as exc:
            span.set_attribute(catalogue.FAILURE, exc.error_type)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            otel_context.detach(token)
            span.end()

    async def _do(self, what: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        cp_id = message["cp_id"]
        if what == "rotate":
            self.commands.connection(cp_id, "SetPassword")
            return asdict(await self.rotation.rotate(cp_id))
        if what == "close":
            names = ("transaction_id", "number", "meter_stop_wh")
            await close_transaction(self.core, cp_id, *(message[name] for name in names))
            return {}
        if what in ("open enrolment", "read enrolment", "cancel enrolment"):
            return self._enrol(what, cp_id, message)
        timeout_s: float | None = message["timeout_s"]
        if what == "command":
            connection = self.commands.connection(cp_id, message["action"])
            result = await self.commands.send_on(connection, message["action"], message["payload"], timeout_s=timeout_s)
            if message["action"] in DURABLE:
                await self.core.settled()
        else:
            operation = _adapter(message["name"]).validate_python(message["fields"])
            connection = self.operations.connection(cp_id, type(operation))
            result = await self.operations.perform_on(connection, operation, timeout_s=timeout_s)
        return asdict(result)

    def _enrol(self, what: str, cp_id: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what another node asks about an enrolment. Raises NotConnected if the charge point is not here."""
        self.commands.connection(cp_id, "enrol")
        if what == "cancel enrolment":
            return {"cancelled": self.enrolments.cancel(cp_id)}
        if what == "read enrolment":
            found = self.enrolments.get(cp_id)
            return {"found": None if found is None else _ENROLMENT.dump_python(found, mode="json")}
        self.enrolments.open(_ENROLMENT.validate_python(message["fields"]))
        return {}


def _carrier() -> dict[str, str]:
    """Return the current trace context, for a message."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


def _outcome(error: CommandError) -> str:
    """Return the label of an error: of the node, of the connection, or of the charge point's answer."""
    match error:
        case NodeUnreachable():
            return "unreachable"
        case NotConnected():
            return "not_connected"
        case ConnectionLost():
            return "lost"
        case _:
            return "failed"
