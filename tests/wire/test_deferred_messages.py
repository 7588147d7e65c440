"""Messages that wait to be observed while a program's spans are queued: all is recorded as if they had not waited."""

import asyncio
import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest
from ocpp.routing import after, on
from ocpp.v16 import call, call_result
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind

from support.chargers import BOOT, START, energy, meter_values, stop
from support.observing import described
from support.ocpp_programs import NOW, Adapter, Central16, Instrumented, central_program, instrumented
from support.waiting import eventually
from wattspan.instrumentation import connections, deferred
from wattspan.instrumentation.connections import MAX_DEFERRED_LENGTH

MESSAGES = (
    ("Heartbeat", {}),
    ("BootNotification", {}),
    ("NoSuchAction", {}),
    ("Authorize", {"idTag": "a"}),
    ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
    ("BootNotification", BOOT),
    ("MeterValues", {"connectorId": 1, "meterValue": []}),
    ("DataTransfer", {"vendorId": "a", "data": "x" * MAX_DEFERRED_LENGTH}),
)
NOW_NS = 1_772_438_400 * 10**9
RANDOM = (
    "ocpp.command.trace_id",
    "ocpp.command.span_id",
    "csms.force_sample",
    "ocpp.id_token_hash",
    "network.peer.port",
    "server.port",
    "ocpp.connection.duration_s",
)


def waiting(telemetry: Instrumented) -> int:
    """Return how many messages wait to be observed."""
    runtime = telemetry.instrumentor.runtime
    assert runtime is not None
    return len(runtime.connections.deferred._waiting)


def heartbeat(message_id: str) -> str:
    return json.dumps([2, message_id, "Heartbeat", {}])


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Let messages wait until something has them observed."""
    monkeypatch.setattr(deferred, "MAX_WAIT_S", 3600.0)


async def recorded(*, queued: bool) -> tuple[dict[Any, Any], list[dict[str, Any]]]:
    """Return the metrics and spans of a conversation with sessions, faults and a command."""
    with instrumented(queued=queued) as telemetry:
        async with central_program() as program, program.charger("CP1") as charger:
            for number, (action, payload) in enumerate(MESSAGES):
                await charger.raw(json.dumps([2, str(number), action, payload]))
            await charger.send_raw("nonsense")
            transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
            await charger.call("MeterValues", meter_values(transaction_id, energy(3000)))
            command = asyncio.create_task(program.charge_points["CP1"].call(call.ClearCache(), unique_id="c"))
            await charger.reply(await charger.expect("ClearCache"), {"status": "Rejected"})
            await command
            await charger.call("StopTransaction", stop(transaction_id))
            metrics = telemetry.metrics()
            telemetry.flush()
        spans = [
            span for span in telemetry.spans.get_finished_spans() if not span.name.startswith(("after ", "disconnect"))
        ]
        counted = {key: value for key, value in metrics.items() if "_ts" not in key[0] and "seconds" not in key[0]}
        return counted, described(spans, without=RANDOM)


async def test_spans_and_metrics_are_those_of_messages_that_do_not_wait(monkeypatch):
    for module in (connections, deferred):
        monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: NOW_NS))
    monkeypatch.setattr(Central16, "ids", itertools.repeat(7))
    metrics, spans = await recorded(queued=False)
    later_metrics, later_spans = await recorded(queued=True)
    assert later_spans == spans
    assert later_metrics == metrics


async def test_messages_wait_while_spans_are_queued_and_a_reader_of_metrics_has_them_observed():
    with instrumented(queued=True) as telemetry:
        charge_point = Central16("CP1", Adapter())
        for number in range(3):
            await charge_point.route_message(heartbeat(str(number)))
        assert waiting(telemetry) == 5  # the first message begins the connection, which does not wait
        assert telemetry.metrics()["ocpp_central_messages_total", ("in", "Heartbeat")] == 3
        assert telemetry.metrics()["ocpp_msg_handling_seconds", ("CP1", "Heartbeat")] == 3
        assert waiting(telemetry) == 0


async def test_nothing_waits_where_somebody_sees_when_a_span_begins():
    class Started(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            seen.append(span.name)

    seen: list[str] = []
    with instrumented(queued=True) as telemetry:
        charge_point = Central16("CP1", Adapter())
        await charge_point.route_message(heartbeat("1"))
        telemetry.provider.add_span_processor(Started())
        telemetry.metrics()  # so that nothing waits
        await charge_point.route_message(heartbeat("2"))
        assert waiting(telemetry) == 0
    assert "Heartbeat" in seen


async def test_no_more_than_a_bounded_number_waits(monkeypatch):
    monkeypatch.setattr(deferred, "MAX_WAITING", 6)
    with instrumented(queued=True) as telemetry:
        charge_point = Central16("CP1", Adapter())
        for number in range(20):
            await charge_point.route_message(heartbeat(str(number)))
            assert waiting(telemetry) < 6


async def test_a_moment_later_they_are_observed(monkeypatch):
    monkeypatch.setattr(deferred, "MAX_WAIT_S", 0.0)
    with instrumented(queued=True) as telemetry:
        charge_point = Central16("CP1", Adapter())
        await charge_point.route_message(heartbeat("1"))
        await charge_point.route_message(heartbeat("2"))
        await eventually(lambda: not waiting(telemetry))
        telemetry.provider.force_flush()
        assert len(telemetry.named("Heartbeat")) == 2


def test_those_of_an_event_loop_that_ended_are_not_lost():
    async def two() -> None:
        charge_point = Central16("CP1", Adapter())
        await charge_point.route_message(heartbeat("1"))
        await charge_point.route_message(heartbeat("2"))

    with instrumented(queued=True) as telemetry:
        asyncio.run(two())
        telemetry.instrumentor.uninstrument()
        telemetry.provider.force_flush()
        assert len(telemetry.named("Heartbeat")) == 2


class Tracing(Central16):
    """Uses the span of its message in every way that the API has."""

    @on("Heartbeat")
    async def on_heartbeat(self, **_: Any) -> Any:
        span = trace.get_current_span()
        if self.seen:
            return call_result.Heartbeat(current_time=NOW)
        span.set_attribute("theirs", 1)
        span.set_attributes({"more": 2})
        span.add_event("event", {"a": "b"})
        span.add_link(span.get_span_context())
        span.record_exception(ValueError("known"))
        span.set_status(trace.StatusCode.ERROR, "their reason")
        span.update_name("renamed")
        assert span.is_recording()
        span.end()
        assert span.attributes["theirs"] == 1  # type: ignore[attr-defined]  # a span of the SDK has them
        with trace.get_tracer("theirs").start_as_current_span("below"):
            await asyncio.sleep(0)
        self.seen.append(span.get_span_context())
        return call_result.Heartbeat(current_time=NOW)

    @after("Heartbeat")
    def after_heartbeat(self, **_: Any) -> None:
        return


async def test_the_current_span_is_the_messages_and_what_is_set_there_stays():
    with instrumented(queued=True) as telemetry:
        charge_point = Tracing("CP1", Adapter())
        charge_point.seen.append(None)
        await charge_point.route_message(heartbeat("0"))
        charge_point.seen.clear()
        with trace.use_span(trace.INVALID_SPAN):
            await charge_point.route_message(heartbeat("1"))
        telemetry.flush()
        (context,) = charge_point.seen
        span, later = telemetry.only("renamed"), telemetry.named("after Heartbeat")[-1]
        assert (span.context.trace_id, span.context.span_id) == (context.trace_id, context.span_id)
        assert (span.kind, span.attributes["theirs"], span.attributes["more"]) == (SpanKind.SERVER, 1, 2)
        assert [event.name for event in span.events] == ["event", "exception"]
        assert span.status.description == "their reason"
        assert (later.parent.span_id, later.context.trace_id) == (context.span_id, context.trace_id)


async def test_a_handler_that_is_cancelled_ends_its_span():
    class Slow(Central16):
        @on("Heartbeat")
        async def on_heartbeat(self, **_: Any) -> Any:
            if self.seen:
                await asyncio.Event().wait()
            self.seen.append(1)
            return call_result.Heartbeat(current_time=NOW)

    with instrumented(queued=True) as telemetry:
        charge_point = Slow("CP1", Adapter())
        await charge_point.route_message(heartbeat("1"))
        task = asyncio.create_task(charge_point.route_message(heartbeat("2")))
        await eventually(lambda: waiting(telemetry) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        telemetry.flush()
        assert [span.attributes.get("error.type") for span in telemetry.named("Heartbeat")] == [None, "Cancelled"]
