"""Decision 12: on the wire nobody can tell the back ends apart."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)

from support.recorders import RecorderHarness, api, closed, current, hot, phase, transaction
from wattspan.domain.model import TimelineEntry

BY_NAME = {each.name: each.load()(0.5) for each in entry_points(group="opentelemetry_traces_sampler")}
"""The samplers that `OTEL_TRACES_SAMPLER` names: other objects than the constants of the SDK."""
CONSTANT = ["always_off", "always_on", "parentbased_always_off", "parentbased_always_on"]
SAMPLERS = [ALWAYS_OFF, DEFAULT_OFF, DEFAULT_ON, TraceIdRatioBased(0.0), TraceIdRatioBased(1.0)]
SAMPLERS += [BY_NAME[name] for name in CONSTANT]
IDS = ("traceId", "spanId", "parentSpanId")


def converse(recording: RecorderHarness) -> None:
    """Several messages, a schema fault, an error, commands with and without a request around them, and a session."""
    recorder, clock = recording.recorder, recording.clock
    session = transaction()

    def message(action: str, took_s: float, *, fault: bool = False, **given: Any) -> None:
        span = recorder.message("CP1", action, clock.now_ns)
        token = recorder.attach(span)
        clock.pass_s(took_s)
        if fault:
            span.event(
                "schema fault", {"ocpp.fault.code": "TypeConstraintViolation", "ocpp.fault.path": "/meterValue/0"}
            )
            span.set("ocpp.note", "lenient")
        with recording.tracers.get_tracer("library").start_as_current_span("inner", start_time=clock.now_ns):
            pass
        recorder.detach(token)
        known: dict[str, Any] = {"connector_id": None, "session": None, "error": None, "store_wait_s": 0.0}
        recorder.answered(span, **known | given)
        recorder.answered(span, **known)  # the second word on a message is not heard
        clock.pass_s(1.0)

    message("BootNotification", 0.002)
    message("StartTransaction", 0.3, connector_id="2", session=session, store_wait_s=0.0125)
    message("MeterValues", 0.004, connector_id="2", session=session, store_wait_s=0.001, fault=True)
    message("Nonsense", 0.0002, error="NotImplemented")
    message("DataTransfer", 0.0, connector_id="ünïcödé")

    for status, error in (("Accepted", None), ("Rejected", None), (None, "Timeout"), ("", None)):
        span = recorder.command("CP1", "RemoteStopTransaction", "2")
        clock.pass_s(0.5)
        recorder.command_done(span, status=status, error=error, session=session)
    with current(recording, "POST /commands"):
        span = recorder.command("CP1", "Reset", None)
        clock.pass_s(0.25)
        recorder.command_done(span, status="Accepted", error=None, session=None)

    recorder.session_stopped(
        closed(
            phase(0, "preparing"),
            phase(60, "charging"),
            TimelineEntry(session.began_ts + 90, "disconnected", {"ws.close_code": 1006}),
            phase(600, "suspended by EV"),
            phase(700, "charging"),
            phase(3000, "finishing"),
        )
    )
    recorder.store_committed(0.002)


def wire(recording: RecorderHarness) -> list[dict[str, Any]]:
    """Spans without their ids, which differ; parents and links by the name of what they point to."""
    spans = recording.spans()
    names = {span.span_id: span.name for span in spans}
    told = []
    for span in spans:
        whole = MessageToDict(span)
        whole["parent"] = names[span.parent_span_id] if span.parent_span_id else None
        whole["root"] = not span.parent_span_id
        whole["attributes"] = sorted(whole.get("attributes", []), key=lambda each: each["key"])
        for link, parsed in zip(whole.get("links", []), span.links, strict=True):
            link["spanId"] = names.get(parsed.span_id, "elsewhere")
        whole["status"] = whole.get("status", "absent")
        for event in whole.get("events", []):
            event["attributes"] = sorted(event.get("attributes", []), key=lambda each: each["key"])
            if event["name"] == "schema fault":
                del event["timeUnixNano"]  # the wall clock's
        if whole["name"] == "inner" or whole["name"].startswith("POST"):
            del whole["endTimeUnixNano"]  # the wall clock's
        told.append({key: value for key, value in whole.items() if key not in IDS})
    return told


def measured(recording: RecorderHarness) -> dict[str, list[dict[str, Any]]]:
    """Histograms by name; exemplars by bucket."""
    found = {}
    for metric in recording.metrics():
        if not metric.HasField("histogram"):
            continue
        points = [
            {
                "labels": {each.key: each.value.string_value for each in point.attributes},
                "count": point.count,
                "sum": round(point.sum, 9),
                "buckets": list(point.bucket_counts),
                "bounds": list(point.explicit_bounds),
                "min": round(point.min, 9),
                "max": round(point.max, 9),
                "exemplars": sorted(round(each.as_double, 9) for each in point.exemplars),
            }
            for point in metric.histogram.data_points
        ]
        points.sort(key=lambda each: sorted(each["labels"].items()))
        found[metric.name] = [metric.unit, metric.description, points]
    return found


@pytest.mark.parametrize("by_charge_point", [True, False])
def test_one_conversation_gives_the_same_spans_and_histograms(by_charge_point):
    recordings = [make(by_charge_point=by_charge_point) for make in (hot, api)]
    for recording in recordings:
        converse(recording)
    assert wire(recordings[0]) == wire(recordings[1])
    assert measured(recordings[0]) == measured(recordings[1])


def test_resource_and_scope_are_the_same():
    envelopes = []
    for recording in (hot(), api()):
        converse(recording)
        envelope = recording.request()
        found = {
            (str(resource.resource), resource.schema_url, str(scope.scope), scope.schema_url)
            for resource in envelope.resource_spans
            for scope in resource.scope_spans
        }
        envelopes.append(found)
    assert envelopes[0] == envelopes[1]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_samplers_word_counts_the_same(sampler):
    recordings: list[RecorderHarness] = []
    make: Callable[..., RecorderHarness]
    for make in (hot, api):
        recording = make(sampler)
        converse(recording)
        recordings.append(recording)
    assert wire(recordings[0]) == wire(recordings[1])
    assert measured(recordings[0]) == measured(recordings[1])


@pytest.mark.parametrize("name", CONSTANT)
def test_a_sampler_of_the_environment_that_always_decides_alike_is_not_asked(name, monkeypatch):
    asked = []
    monkeypatch.setattr(BY_NAME[name], "should_sample", lambda *args, **_: asked.append(args))
    recording = hot(BY_NAME[name])
    span = recording.recorder.message("CP1", "Heartbeat", recording.clock.now_ns)
    assert span.sampled is name.endswith("on")
    assert not asked


class _LikeAlwaysOff(Sampler):
    """A program's own sampler, described as one of the SDK's."""

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return ALWAYS_OFF.get_description()


def test_a_sampler_of_the_program_is_asked_whatever_it_is_called():
    recording = hot(_LikeAlwaysOff())
    assert recording.recorder.message("CP1", "Heartbeat", recording.clock.now_ns).sampled


def test_what_is_current_meanwhile_has_the_same_flags():
    flags = []
    for recording in (hot(), api()):
        span = recording.recorder.message("CP1", "Heartbeat", recording.clock.now_ns)
        flags.append(span.otel.get_span_context().trace_flags)
        assert span.otel.get_span_context().trace_id == span.trace_id
    assert flags[0] == flags[1]


def test_a_message_links_to_the_session_span_of_its_time_though_the_session_is_opened_again():
    links = []
    for recording in (hot(), api()):
        session = transaction()
        span = recording.recorder.message("CP1", "MeterValues", recording.clock.now_ns)
        recording.recorder.answered(span, connector_id="2", session=session, error=None, store_wait_s=0.0)
        first_span_id = session.span_id
        session.reopen()
        assert session.span_id != first_span_id
        links.append([link.span_id for link in recording.span("MeterValues").links])
        assert [link.context.span_id for span in recording.kept.spans for link in span.links] == [first_span_id]
        assert links[-1] == [first_span_id.to_bytes(8)]
    assert links[0] == links[1]
