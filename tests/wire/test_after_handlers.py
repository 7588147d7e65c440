"""The spans of `@after` handlers of an instrumented program."""

# The ocpp package is not typed throughout.
import asyncio
import inspect
from typing import Any

import pytest
from ocpp.exceptions import SecurityError
from ocpp.routing import after, create_route_map, on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call_result as result16
from ocpp.v21 import ChargePoint as ChargePoint21
from ocpp.v21 import call_result as result21
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call_result as result201
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, StatusCode

from support.ocpp_programs import NOW, Adapter, instrumented
from support.waiting import eventually
from wattspan.instrumentation.after_handlers import AFTER

HEARTBEAT = '[2, "1", "Heartbeat", {}]'
RESULTS: dict[Any, Any] = {ChargePoint16: result16, ChargePoint201: result201, ChargePoint21: result21}


def program(handler: Any, base: Any = ChargePoint16) -> Any:
    """Return a charge point whose `@after` handler of Heartbeat is this function."""

    def on_heartbeat(self: Any) -> Any:
        return RESULTS[base].Heartbeat(current_time=NOW)

    handler.__name__ = "after_heartbeat"  # by which the package finds it
    members = {"on_heartbeat": on("Heartbeat")(on_heartbeat), "after_heartbeat": after("Heartbeat")(handler)}
    return type("Program", (base,), members)("CP1", Adapter())


@pytest.mark.parametrize("base", RESULTS)
@pytest.mark.parametrize("kind", ["plain", "coroutine", "future"])
async def test_an_after_handler_has_a_child_span_of_its_own(base: Any, kind: str):
    seen = []

    def plain(self: Any) -> None:
        assert self.id == "CP1"
        seen.append(trace.get_current_span())

    async def coroutine(self: Any) -> None:
        await asyncio.sleep(0)
        plain(self)

    def future(self: Any) -> Any:
        return asyncio.ensure_future(coroutine(self))

    with instrumented() as telemetry:
        charge_point = program({"plain": plain, "coroutine": coroutine, "future": future}[kind], base)
        await charge_point.route_message(HEARTBEAT)
        await eventually(lambda: telemetry.named("after Heartbeat"))
    message, span = telemetry.only("Heartbeat"), telemetry.only("after Heartbeat")
    assert (span.kind, span.parent) == (SpanKind.INTERNAL, message.context)
    assert span.attributes == {"cp_id": "CP1", "ocpp.action": "Heartbeat"}
    assert span.status.status_code is StatusCode.UNSET
    assert message.end_time <= span.start_time
    assert seen[0].get_span_context() == span.context


@pytest.mark.parametrize(
    ("exc", "error"),
    [
        (RuntimeError("token 1234"), "InternalError"),
        (SecurityError("token 1234"), "SecurityError"),
        (TimeoutError("token 1234"), "Timeout"),
        (asyncio.CancelledError("token 1234"), "Cancelled"),
    ],
)
async def test_what_an_after_handler_raises_is_an_error_of_its_span_and_reaches_the_program(exc, error):
    tasks: list[Any] = []

    async def raising(self: Any) -> None:
        tasks.append(asyncio.current_task())
        raise exc

    with instrumented() as telemetry:
        charge_point = program(raising)
        await charge_point.route_message(HEARTBEAT)
        await eventually(lambda: tasks and tasks[0].done())
        (raised,) = await asyncio.gather(*tasks, return_exceptions=True)
    assert type(raised) is type(exc)
    span = telemetry.only("after Heartbeat")
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, error)
    assert [dict(event.attributes) for event in span.events] == [{"exception.type": type(exc).__qualname__}]
    assert "1234" not in span.to_json()
    assert telemetry.only("Heartbeat").status.status_code is not StatusCode.ERROR  # it was answered before
    assert charge_point._connection.sent == [[3, "1", {"currentTime": NOW}]]


async def test_what_a_plain_after_handler_raises_leaves_route_message_as_before():
    def raising(self: Any) -> None:
        raise RuntimeError("a fault of theirs")

    with instrumented() as telemetry, pytest.raises(RuntimeError, match="a fault of theirs"):
        await program(raising).route_message(HEARTBEAT)
    assert telemetry.only("after Heartbeat").attributes["error.type"] == "InternalError"


async def test_the_package_passes_an_after_handler_what_it_asks_for_and_the_context_of_the_program():
    seen = []

    async def wants_id(self: Any, call_unique_id: str) -> None:
        seen.append((call_unique_id, baggage.get_baggage("tenant")))

    with instrumented():
        token = otel_context.attach(baggage.set_baggage("tenant", "t1"))
        charge_point = program(wants_id)
        await charge_point.route_message(HEARTBEAT)
        otel_context.detach(token)
        await eventually(lambda: seen)
        handler = charge_point.route_map["Heartbeat"][AFTER]
        assert handler == charge_point.after_heartbeat
        assert list(inspect.signature(handler).parameters) == ["call_unique_id"]
    assert seen == [("1", "t1")]


async def test_handlers_of_a_route_map_set_later_have_spans_and_after_uninstrument_none_have():
    calls = []

    def count(self: Any) -> None:
        calls.append(trace.get_current_span().get_span_context().is_valid)

    with instrumented() as telemetry:
        charge_point = program(count)
        for _ in range(2):
            await charge_point.route_message(HEARTBEAT)
        charge_point.route_map = create_route_map(charge_point)
        await charge_point.route_message(HEARTBEAT)
        telemetry.instrumentor.uninstrument()
        await charge_point.route_message(HEARTBEAT)
    assert calls == [True, True, True, False]
    assert len(telemetry.named("after Heartbeat")) == 3


async def test_a_message_that_is_not_observed_leaves_its_after_handler_alone():
    calls = []

    def count(self: Any) -> None:
        calls.append(1)

    with instrumented() as telemetry:
        telemetry.instrumentor.runtime.observer._max_charge_points = 0
        charge_point = program(count)
        await charge_point.route_message(HEARTBEAT)
    assert (calls, telemetry.spans.get_finished_spans()) == ([1], ())


async def test_a_route_map_of_another_kind_is_counted_and_harms_nobody():
    class Odd(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise TypeError("not like this")

    with instrumented() as telemetry:
        charge_point = program(lambda self: None)
        charge_point.route_map = Odd(charge_point.route_map)
        await charge_point.route_message(HEARTBEAT)
        assert telemetry.metrics()["ocpp_observer_unobserved_total", ("failure",)] == 1
    assert charge_point._connection.sent == [[3, "1", {"currentTime": NOW}]]
