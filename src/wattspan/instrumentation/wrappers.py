"""Wrappers for the methods of `ocpp.charge_point.ChargePoint`, with the signature that `wrapt` calls.

They pass on arguments, results and exceptions unchanged, and await nothing but what they wrap. Whatever fails in the
observation is caught by the observer.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

from ocpp.charge_point import ChargePoint
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import unwrap
from wrapt import FunctionWrapper

from wattspan.instrumentation.after_handlers import AfterHandlers, handled
from wattspan.instrumentation.connections import Connections, text_of
from wattspan.instrumentation.deferred import DeferredCall
from wattspan.instrumentation.errors import error_of
from wattspan.observe import Exchange

SEND = "_send"

Wrapped = Callable[..., Awaitable[Any]]
Arguments = tuple[Any, ...]
Keywords = Mapping[str, Any]


class _OwnCall:
    """A `call()` in progress; `exchange` is set when its message is sent."""

    __slots__ = ("exchange",)

    def __init__(self) -> None:
        self.exchange: Exchange | None = None


(_SPAN_KEY,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""The key of the current span in a context."""

_own_call: ContextVar[_OwnCall | None] = ContextVar("wattspan_ocpp_call", default=None)


class Wrappers:
    """The wrappers of one instrumentation."""

    def __init__(self, connections: Connections, after_handlers: AfterHandlers) -> None:
        self._connections = connections
        self._after_handlers = after_handlers
        self._own_sends: set[type[Any]] = set()
        """The classes of the program whose `_send()` is wrapped."""
        self._senders: dict[type[Any], type[Any]] = {}
        """By class, the one that has its own `_send()`: what that passes on, by any task, is the same message."""
        connections.on_connected = self._connected

    def _connected(self, charge_point: Any) -> None:
        self._after_handlers.wrap_all(charge_point)
        self._wrap_own_send(type(charge_point))

    def _wrap_own_send(self, kind: type[Any]) -> None:
        """Wrap the `_send()` of a class of the program, which need not call that of the package."""
        if kind in self._senders:
            return
        owner = next((each for each in kind.__mro__ if SEND in vars(each)), ChargePoint)
        if owner is ChargePoint:
            return
        self._senders[kind] = owner
        if owner not in self._own_sends:
            setattr(owner, SEND, FunctionWrapper(vars(owner)[SEND], partial(self.send, owner=owner)))
            self._own_sends.add(owner)

    def unwrap(self) -> None:
        """Restore the classes of the program."""
        self._senders.clear()
        while self._own_sends:
            unwrap(self._own_sends.pop(), SEND)

    async def start(self, wrapped: Wrapped, charge_point: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Observe `start()`: the life of a connection."""
        started = self._connections.begin(charge_point)
        cause: BaseException | None = None
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as exc:
            cause = exc
            raise
        finally:
            self._connections.end(charge_point, started, cause)

    async def route_message(self, wrapped: Wrapped, charge_point: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Observe `route_message()`: a message that arrived. The handlers of a CALL run inside its span.

        An answer ends the span when it is sent, see `send`, perhaps by a task that outlives this call. An `@after`
        handler then runs in a child span, see `after_handlers`. Without an answer (the package sends none to unknown
        actions of 2.1), the span ends with a time-out.
        """
        connections = self._connections
        call = connections.received(charge_point, args[0] if args else kwargs.get("raw_msg", ""))
        if call is None:
            return await wrapped(*args, **kwargs)
        if type(call) is DeferredCall:
            span: trace.Span = call
        else:
            span = call.span.otel
            self._wrap_after_handler(charge_point, call)
        # as `trace.set_span_in_context`, in one step
        token = otel_context.attach(Context({**otel_context.get_current(), _SPAN_KEY: span}))
        previous = handled.set(call)
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as exc:
            connections.abandon(charge_point, call, error_of(exc))
            raise
        finally:
            handled.reset(previous)
            otel_context.detach(token)

    def _wrap_after_handler(self, charge_point: Any, exchange: Exchange) -> None:
        try:
            self._after_handlers.wrap(charge_point, exchange.span.action)
        except Exception:  # noqa: BLE001  a class of the program may have a route map of its own kind
            self._connections.observer.failed()

    async def send(
        self, wrapped: Wrapped, charge_point: Any, args: Arguments, kwargs: Keywords, owner: type[Any] = ChargePoint
    ) -> Any:
        """Observe the `_send()` of a class, `owner`: a CALL before it is sent, an answer after it was."""
        if self._senders.get(type(charge_point), ChargePoint) is not owner:  # another one passes it on
            return await wrapped(*args, **kwargs)
        data = args[0] if args else kwargs.get("message", "")
        if type(data) is not str:
            data = text_of(data)
        if not (data.startswith("[2") if type(data) is str else data.startswith(b"[2")):  # the package writes no spaces
            result = await wrapped(*args, **kwargs)
            self._connections.answered(charge_point, data)
            return result
        exchange = self._connections.frame(charge_point, data, sent=True)
        own_call = _own_call.get()
        if own_call is not None:
            own_call.exchange = exchange
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as exc:
            if exchange is not None:
                self._connections.abandon(charge_point, exchange, error_of(exc))
            raise

    async def call(self, wrapped: Wrapped, charge_point: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Observe `call()`: what ends it without an answer. Its messages are observed by the other wrappers."""
        own_call = _OwnCall()
        token = _own_call.set(own_call)
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as exc:
            if own_call.exchange is not None:
                self._connections.abandon(charge_point, own_call.exchange, error_of(exc))
            raise
        finally:
            _own_call.reset(token)
