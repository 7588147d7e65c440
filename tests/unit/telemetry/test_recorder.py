import asyncio
import io

import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from support.recorders import NS, api, attributes, current, hot, transaction
from wattspan.telemetry.instruments import ApiMeasures
from wattspan.telemetry.recorder import EXEMPLAR_EVERY_NS, SLOW_S, Recorder
from wattspan.telemetry.sessions import SessionSpans
from wattspan.telemetry.spans.api import ApiSpans


@pytest.fixture(params=[hot, api], ids=["hot", "api"])
def recording(request):
    return request.param()


def answer(recording, action="Heartbeat", *, took_s=0.001, **given):
    span = recording.recorder.message("CP1", action, recording.clock.now_ns)
    recording.clock.pass_s(took_s)
    known = {"connector_id": None, "session": None, "error": None, "store_wait_s": 0.0}
    recording.recorder.answered(span, **known | given)
    return span


def exemplars(recording, name="ocpp_msg_handling_seconds"):
    return [
        int.from_bytes(each.trace_id)
        for metric in recording.metrics()
        if metric.name == name
        for point in metric.histogram.data_points
        for each in point.exemplars
    ]


def test_a_message_is_a_server_span_named_by_its_action(recording):
    answer(recording, "MeterValues", connector_id="2", store_wait_s=0.25)
    span = recording.span("MeterValues")
    told = attributes(span)
    told.pop("csms.force_sample")
    assert told == {
        "cp_id": "CP1",
        "rpc.system.name": "ocpp",
        "rpc.method": "MeterValues",
        "ocpp.action": "MeterValues",
        "connector_id": "2",
        "ocpp.store_wait_s": 0.25,
    }
    assert span.kind == span.SPAN_KIND_SERVER
    assert span.end_time_unix_nano - span.start_time_unix_nano == NS // 1000


def test_every_message_starts_a_trace_of_its_own(recording):
    with current(recording, "handshake"):
        traces = {answer(recording).trace_id for _ in range(3)}
    assert len(traces) == 3
    assert all(not span.parent_span_id for span in recording.spans())


def test_a_message_of_a_session_links_to_the_sessions_span(recording):
    session = transaction()
    answer(recording, "MeterValues", session=session)
    (link,) = recording.span("MeterValues").links
    assert int.from_bytes(link.trace_id) == session.trace_id
    assert int.from_bytes(link.span_id) == session.span_id
    assert attributes(recording.span("MeterValues"))["ocpp.transaction_id"] == "4711"


def test_an_error_is_the_spans_status_and_type(recording):
    answer(recording, "Nonsense", error="NotImplemented")
    span = recording.span("Nonsense")
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert attributes(span)["error.type"] == "NotImplemented"


def test_a_command_is_a_client_span_under_the_request_that_asked_for_it(recording):
    with current(recording, "POST /commands"):
        span = recording.recorder.command("CP1", "Reset", None)
        recording.recorder.command_done(span, status="Accepted", error=None, session=None)
    request, command = recording.span("POST /commands"), recording.span("Reset")
    assert command.kind == command.SPAN_KIND_CLIENT
    assert (command.trace_id, command.parent_span_id) == (request.trace_id, request.span_id)
    assert attributes(command)["ocpp.status"] == "Accepted"


def test_a_command_without_a_request_around_it_is_a_root(recording):
    span = recording.recorder.command("CP1", "Reset", "1")
    recording.recorder.command_done(span, status=None, error="Timeout", session=None)
    assert not recording.span("Reset").parent_span_id
    assert attributes(recording.span("Reset"))["connector_id"] == "1"


async def test_a_task_spawned_meanwhile_stays_in_the_messages_trace(recording):
    seen = []

    async def look() -> None:
        seen.append(trace.get_current_span().get_span_context().trace_id)

    span = recording.recorder.message("CP1", "Authorize", recording.clock.now_ns)
    token = recording.recorder.attach(span)
    task = asyncio.create_task(look())
    recording.recorder.detach(token)
    await task
    assert seen == [span.trace_id]
    assert not trace.get_current_span().get_span_context().is_valid


def test_no_id_token_is_on_any_span(recording):
    answer(recording, session=transaction())
    recording.recorder.session_stopped(transaction(stopped_received_ts=1_700_000_100.0, reason="Local"))
    assert b"SECRET-TAG" not in recording.request().SerializeToString()


def test_ten_exemplars_a_second_at_most_and_each_on_a_span_that_is_kept(recording):
    for _ in range(3000):
        answer(recording, took_s=0.001)
    forced = [span for span in recording.spans() if "csms.force_sample" in attributes(span)]
    assert len(forced) == 3 * NS // EXEMPLAR_EVERY_NS
    assert set(exemplars(recording)) <= {int.from_bytes(span.trace_id) for span in forced}


def test_a_slow_message_gets_its_exemplar_though_quick_ones_took_theirs(recording):
    answer(recording, took_s=0.001)
    slow = answer(recording, took_s=SLOW_S)
    assert slow.trace_id in exemplars(recording)


def test_a_clock_that_is_set_back_ends_no_span_before_it_began_and_keeps_exemplars_coming(recording):
    answer(recording)
    recording.clock.pass_s(-3600)
    later = answer(recording, took_s=-1.0)
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in recording.spans())
    assert later.trace_id in exemplars(recording) or attributes(recording.spans()[0])["csms.force_sample"]


def test_a_message_is_answered_once():
    recording = hot()
    span = answer(recording)
    recording.recorder.answered(span, connector_id=None, session=None, error="Late", store_wait_s=0.0)
    assert len(recording.kept.spans) == 1


def test_a_decommissioned_charge_point_leaves_the_histogram():
    recording = hot()
    answer(recording)
    recording.recorder.decommissioned("CP1")
    assert [metric for metric in recording.metrics() if metric.name == "ocpp_msg_handling_seconds"] == []


def test_a_hot_span_takes_what_the_api_offers_and_any_exporter_takes_it():
    recording = hot()
    span = recording.recorder.message("CP1", "Authorize", recording.clock.now_ns)
    api_span = span.otel
    api_span.set_attributes({"plugin": "tariff"})
    api_span.add_link(trace.SpanContext(1, 2, is_remote=True), {"why": "test"})
    api_span.update_name("Authorize by plugin")
    api_span.set_status(trace.StatusCode.ERROR, "no tariff")
    api_span.record_exception(ValueError("odd"))
    api_span.end()
    recording.recorder.answered(span, connector_id="1", session=None, error=None, store_wait_s=0.0)
    api_span.set_attribute("late", True)
    console = io.StringIO()
    ConsoleSpanExporter(out=console).export(recording.kept.spans)
    told = recording.span("Authorize by plugin")
    assert attributes(told) | {"csms.force_sample": True} == {
        "cp_id": "CP1",
        "ocpp.action": "Authorize",
        "rpc.system.name": "ocpp",
        "rpc.method": "Authorize",
        "plugin": "tariff",
        "connector_id": "1",
        "csms.force_sample": True,
    }
    assert told.status.message == "no tariff"
    assert told.events[0].name == "exception"
    assert len(told.links) == 1
    assert '"plugin": "tariff"' in console.getvalue()


def test_with_no_sdk_at_all_the_recorder_is_quiet():
    tracer = trace.NoOpTracer()
    recorder = Recorder(
        ApiSpans(tracer), ApiMeasures(NoOpMeterProvider().get_meter("m")), SessionSpans(tracer, None, str)
    )
    span = recorder.message("CP1", "Heartbeat", 1)
    recorder.detach(recorder.attach(span))
    recorder.answered(span, connector_id=None, session=transaction(), error="x", store_wait_s=0.0)
    recorder.session_stopped(transaction(stopped_received_ts=1_700_000_100.0))
