"""Spans around the `@after` handlers of a `ChargePoint`, which the `ocpp` package calls once the answer is sent."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from wrapt import FunctionWrapper

from wattspan.instrumentation.deferred import DeferredCall
from wattspan.instrumentation.errors import error_of
from wattspan.observe import Exchange
from wattspan.telemetry import catalogue
from wattspan.versions import VERSIONS

AFTER = "_after_action"
"""The key of an `@after` handler in the handlers of an action, see `ocpp.routing.create_route_map`."""

_ACTIONS = frozenset(action for version in VERSIONS.values() for action in (*version.requests, *version.known))

handled: ContextVar[Exchange | DeferredCall | None] = ContextVar("wattspan_ocpp_handled", default=None)
"""The CALL whose handlers run. Without one, as after `uninstrument()`, an `@after` handler has no span."""


class _AfterHandler(FunctionWrapper):  # type: ignore[type-arg]  # generic in its stubs alone
    """An `@after` handler with its span. It has the signature of the handler, which the package inspects."""

    def __init__(self, handler: Callable[..., Any], of: "AfterHandlers") -> None:
        super().__init__(handler, of._call)
        self._self_of = of  # with any other prefix, `wrapt` sets an attribute of the handler


class AfterHandlers:
    """Gives `@after` handlers a span: INTERNAL, a child of the message's."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def wrap_all(self, charge_point: Any) -> None:
        """Wrap the handlers of all actions that OCPP defines, as `wrap` does."""
        for action in tuple(charge_point.route_map):
            if action in _ACTIONS:
                self.wrap(charge_point, action)

    def wrap(self, charge_point: Any, action: str) -> None:
        """Wrap the handler of an action in the route map of a charge point, unless it is wrapped or there is none."""
        handlers = charge_point.route_map.get(action)
        handler = None if handlers is None else handlers.get(AFTER)
        if type(handler) is _AfterHandler:
            if handler._self_of is self:
                return
            handler = handler.__wrapped__  # of an earlier instrumentation
        if handler is not None:
            handlers[AFTER] = _AfterHandler(handler, self)

    def _call(
        self, handler: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        call = handled.get()
        exchange = call.exchange if isinstance(call, DeferredCall) else call
        if exchange is None:
            return handler(*args, **kwargs)
        message = exchange.span
        span = self._tracer.start_span(
            f"after {message.action}",
            trace.set_span_in_context(message.otel),
            SpanKind.INTERNAL,
            {catalogue.CP_ID: message.cp_id, catalogue.OCPP_ACTION: message.action},
        )
        with _current(span):
            result = handler(*args, **kwargs)
        if isinstance(result, asyncio.Future):
            result.add_done_callback(lambda done: _end(span, _error(done)))
        elif inspect.isawaitable(result):
            return _awaited(span, result)
        else:
            _end(span, None)
        return result


async def _awaited(span: trace.Span, awaitable: Awaitable[Any]) -> Any:
    with _current(span):
        result = await awaitable
    _end(span, None)
    return result


@contextmanager
def _current(span: trace.Span) -> Iterator[None]:
    """Make the span current. An exception ends it."""
    token = otel_context.attach(trace.set_span_in_context(span))
    try:
        yield
    except BaseException as exc:
        _end(span, exc)
        raise
    finally:
        otel_context.detach(token)


def _error(done: "asyncio.Future[Any]") -> BaseException | None:
    return asyncio.CancelledError() if done.cancelled() else done.exception()


def _end(span: trace.Span, exc: BaseException | None) -> None:
    """End the span. Of an exception, only its type is recorded: its text may hold an id token."""
    if exc is not None:
        span.set_attribute(catalogue.FAILURE, error_of(exc))
        span.add_event("exception", {"exception.type": type(exc).__qualname__})
        span.set_status(StatusCode.ERROR)
    span.end()
