"""What is written by hand is held against what the stock encoder writes of the very same spans."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from support.otlp import until
from support.recorders import RecorderHarness, attributes, hot, transaction
from wattspan.telemetry.otlp.outbox import Outbox
from wattspan.telemetry.otlp.protobuf import varint
from wattspan.telemetry.otlp.spans import Encoder

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def tell(recording: RecorderHarness, action: str = "Heartbeat", cp_id: str = "CP1", **known: Any) -> None:
    span = recording.recorder.message(cp_id, action, recording.clock.now_ns)
    recording.clock.pass_s(0.001)
    rest: dict[str, Any] = {"connector_id": None, "session": None, "error": None, "store_wait_s": 0.0}
    recording.recorder.answered(span, **rest | known)


def in_order(request: bytes) -> list[Any]:
    parsed = ExportTraceServiceRequest.FromString(request)
    for resource in parsed.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.attributes.sort(key=lambda each: each.key)
    return [parsed]


@given(
    cp_id=TEXT,
    action=TEXT,
    connector_id=st.none() | TEXT,
    transaction_id=st.none() | TEXT,
    error=st.none() | TEXT,
    store_wait_s=st.floats(0, 1e9),
)
def test_the_bytes_mean_what_the_stock_encoders_mean(cp_id, action, connector_id, transaction_id, error, store_wait_s):
    recording = hot()
    session = None if transaction_id is None else transaction(transaction_id=transaction_id)
    for _ in range(2):  # the second time from what was kept
        tell(
            recording,
            action,
            cp_id,
            connector_id=connector_id,
            session=session,
            error=error,
            store_wait_s=store_wait_s,
        )
    spans = recording.kept.spans
    assert in_order(Encoder().request(spans)) == in_order(encode_spans(spans).SerializeToString())


def test_the_bytes_of_a_child_span_mean_what_the_stock_encoders_mean():
    recording = hot()
    spans: Any = recording.recorder._spans
    parent = spans.server("CP1", "Heartbeat", 1)
    for error in (None, "InternalError"):
        child = spans.child(parent, 2)
        child.finish(3, connector_id=None, session=None, error=error, store_wait_s=0.0, forced=False)
    written = recording.kept.spans
    assert [span.parent.span_id for span in written] == [parent.span_id] * 2
    assert in_order(Encoder().request(written)) == in_order(encode_spans(written).SerializeToString())


def test_our_spans_and_everybody_elses_are_one_request():
    recording = hot()
    tell(recording)
    with recording.tracers.get_tracer("library").start_as_current_span("foreign"):
        tell(recording, "MeterValues")
    assert {span.name for span in recording.spans()} == {"Heartbeat", "MeterValues", "foreign"}


def test_spans_of_two_central_systems_keep_their_resource():
    first, second = hot(), hot()
    tell(first)
    tell(second)
    request = ExportTraceServiceRequest.FromString(Encoder().request([*first.kept.spans, *second.kept.spans]))
    assert len(request.resource_spans) == 2


def test_text_that_is_no_utf8_loses_a_letter_and_no_span():
    recording = hot()
    tell(recording)
    tell(recording, cp_id="CP\ud800")
    assert {attributes(span)["cp_id"] for span in recording.spans()} == {"CP1", "CP?"}


def test_what_is_kept_for_connectors_is_bounded():
    recording, encoder = hot(), Encoder()
    for number in range(3000):
        tell(recording, connector_id=str(number))
    encoder.request(recording.kept.spans)
    assert len(encoder._connectors) <= 1024


@pytest.mark.parametrize(("number", "written"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")])
def test_varints_are_protobufs(number, written):
    assert varint(number) == written


class Failing(SpanExporter):
    def __init__(self, *, raises: bool) -> None:
        self.raises = raises

    def export(self, spans: Any) -> SpanExportResult:
        if self.raises:
            raise OSError("no route")
        return SpanExportResult.FAILURE


@pytest.mark.parametrize("raises", [True, False])
def test_what_an_exporter_fails_to_send_is_counted(raises):
    lost: list[int] = []
    outbox = Outbox(Failing(raises=raises), lost.append, queue_size=100, batch_size=10)
    recording = hot()
    for _ in range(25):
        tell(recording)
    for span in recording.kept.spans:
        outbox.on_end(span)
    outbox.shutdown()
    until(lambda: sum(lost) == 25)
