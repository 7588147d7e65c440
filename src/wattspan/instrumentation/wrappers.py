"""Wrappers for the methods of `ocpp.charge_point.ChargePoint`, with the signature that `wrapt` calls.

They pass on arguments, results and exceptions unchanged, and await nothing but what they wrap. Whatever fails in the
observation is caught by the observer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from ocpp.exceptions import OCPPError
from opentelemetry import context as otel_context
from opentelemetry import trace

from wattspan.instrumentation.connections import Connections
from wattspan.observe import Exchange

Wrapped = Callable[..., Awaitable[Any]]
Arguments = tuple[Any, ...]
Keywords = Mapping[str, Any]


class _OwnCall:
    """A `call()` in progress; `exchange` is set when its message is sent."""

    __slots__ = ("exchange",)

    def __init__(self) -> None:
        self.exchange: Exchange | None = None


_own_call: ContextVar[_OwnCall | None] = ContextVar("wattspan_ocpp_call", default=None)


class Wrappers:
    """The wrappers of one instrumentation."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def start(self, wrapped: Wrapped, charge_point: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Observe `start()`: the life of a connection."""
        self._connections.begin(charge_point)
        cause: BaseException | None = None
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as exc:
            cause = exc
            raise
        finally:
            self._connections.end(charge_point, cause)

    async def route_message(self, wrapped: Wrapped, charge_point: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Observe `route_message()`: a message that arrived. The handlers of a CALL run inside its span.

        An answer ends the span when it is sent, see `send`, perhaps by a task that outlives this call. What `@after`
        handlers do is below the span, too. Without an answer (the package sends none to unknown actions of 2.1), the
        span ends with a time-out.
        """
        data = args[0] if args else kwargs.get("raw_msg", "")
        exchange = self._connections.frame(charge_point, _text(data), sent=False)
        if exchange is None:
            return await wrapped(*args, **kwargs)
        token = otel_context.attach(trace.set_span_in_context(exchange.span.otel))
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as exc:
            self._connections.abandon(charge_point, exchange, error_of(exc))
            raise
        finally:
            otel_context.detach(token)

    async def send(self, wrapped: Wrapped, charge_point: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Observe `_send()`: a CALL before it is sent, an answer after it was."""
        data = _text(args[0] if args else kwargs.get("message", ""))
        if not _is_call(data):
            result = await wrapped(*args, **kwargs)
            self._connections.frame(charge_point, data, sent=True)
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


def error_of(exc: BaseException) -> str:
    """Return the error type of an exception: OCPP's code if it has one."""
    if isinstance(exc, OCPPError):
        return str(getattr(exc, "code", "GenericError"))
    if isinstance(exc, asyncio.TimeoutError):
        return "Timeout"
    if isinstance(exc, asyncio.CancelledError):
        return "Cancelled"
    if isinstance(exc, OSError) or "Connection" in type(exc).__name__ or "Disconnect" in type(exc).__name__:
        return "ConnectionLost"
    return "InternalError"


def _text(data: Any) -> str | bytes:
    return data if type(data) is str or isinstance(data, bytes) else str(data)


def _is_call(data: str | bytes) -> bool:
    """Return whether a message of the `ocpp` package, which writes no spaces there, is a CALL."""
    return data.startswith("[2") if isinstance(data, str) else data.startswith(b"[2")
