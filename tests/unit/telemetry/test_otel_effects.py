"""What the `OTEL_*` variables of the table in docs/backends.md do, by what a real receiver gets."""

import logging
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import certifi
import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.trace import SpanContext, TraceFlags

from support.certificates import SERVER, Pair, TestAuthority
from support.otlp import Receiver, receiver, silent
from support.telemetry_runs import Run, start
from support.waiting import eventually
from wattspan.telemetry.prometheus.exposition import Format

LINKED = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
NEVER_MS = "3600000"
LOGGER = logging.getLogger("wattspan.test")


def to(collector: Receiver, **variables: str) -> dict[str, str]:
    """Return the variables with the address of the receiver."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, **variables}


def log_batches(collector: Receiver) -> list[list[Any]]:
    """Return the log records of each request."""
    return [
        [record for resource in each.resource_logs for scope in resource.scope_logs for record in scope.log_records]
        for each in list(collector.logs)
    ]


def span_batches(collector: Receiver) -> list[list[Any]]:
    """Return the spans of each request."""
    return [
        [span for resource in each.resource_spans for scope in resource.scope_spans for span in scope.spans]
        for each in list(collector.traces)
    ]


@pytest.mark.parametrize("variable", ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"])
async def test_a_span_has_no_more_attributes_than_the_limit(variable: str) -> None:
    with receiver() as collector:
        async with start(**to(collector, **{variable: "3"})) as run:
            run.message()
    (span,) = collector.spans()
    assert len(span.attributes) == 3
    assert span.dropped_attributes_count > 0


@pytest.mark.parametrize("variable", ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"])
async def test_a_value_of_a_span_is_no_longer_than_the_limit(variable: str) -> None:
    with receiver() as collector:
        async with start(**to(collector, **{variable: "4"})) as run:
            run.message(cp_id="CHARGER")
    (span,) = collector.spans()
    found = {each.key: each.value.string_value for each in span.attributes}
    assert found["cp_id"] == "CHAR"
    assert max(map(len, found.values())) == 4


async def test_a_link_has_no_more_attributes_than_the_limit() -> None:
    with receiver() as collector:
        async with start(**to(collector, OTEL_LINK_ATTRIBUTE_COUNT_LIMIT="1")) as run:
            span = run.begin()
            span.otel.add_link(LINKED, {"first": 1, "second": 2})
            run.end(span)
    (sent,) = collector.spans()
    (link,) = sent.links
    assert (len(link.attributes), link.dropped_attributes_count) == (1, 1)


@pytest.mark.filterwarnings("ignore:Log record attributes were dropped")  # the SDK says so, once
@pytest.mark.parametrize("variable", ["OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"])
async def test_a_log_record_has_no_more_attributes_than_the_limit(variable: str) -> None:
    with receiver() as collector:
        async with start(**to(collector, **{variable: "2"})):
            LOGGER.warning("odd", extra={f"key{number}": number for number in range(5)})
    ((record,),) = log_batches(collector)
    assert len(record.attributes) == 2
    assert record.dropped_attributes_count > 0


@pytest.mark.parametrize(
    "variable", ["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"]
)
async def test_a_value_of_a_log_record_is_no_longer_than_the_limit(variable: str) -> None:
    with receiver() as collector:
        async with start(**to(collector, **{variable: "4"})):
            LOGGER.warning("odd", extra={"cp_id": "CHARGER"})
    ((record,),) = log_batches(collector)
    assert {each.key: each.value.string_value for each in record.attributes}["cp_id"] == "CHAR"


@pytest.mark.parametrize("wait_ms", ["20", NEVER_MS])
async def test_records_leave_after_the_delay_or_at_the_end(wait_ms: str) -> None:
    with receiver() as collector:
        delays = {"OTEL_BSP_SCHEDULE_DELAY": wait_ms, "OTEL_BLRP_SCHEDULE_DELAY": wait_ms}
        async with start(**to(collector, OTEL_METRICS_EXPORTER="none", **delays)) as run:
            run.message()
            LOGGER.warning("odd")
            if wait_ms != NEVER_MS:
                await eventually(lambda: collector.traces and collector.logs)
            else:
                assert (collector.traces, collector.logs) == ([], [])
        assert (len(collector.spans()), len(log_batches(collector)[0])) == (1, 1)


async def test_a_request_has_no_more_records_than_the_batch_size() -> None:
    with receiver() as collector:
        sizes = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "5"}
        async with start(**to(collector, **sizes)) as run:
            for _ in range(35):
                run.message()
                LOGGER.warning("odd")
    for batches, size in ((span_batches(collector), 10), (log_batches(collector), 5)):
        assert sum(map(len, batches)) == 35
        assert max(map(len, batches)) == size


async def test_a_full_queue_of_log_records_drops_and_counts_them() -> None:
    async with silent() as endpoint:
        sizes = {"OTEL_BLRP_MAX_QUEUE_SIZE": "20", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "10"}
        others = {"OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TIMEOUT": "200"}
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **others, **sizes) as run:
            for _ in range(200):
                LOGGER.warning("odd")
            assert run.counters.telemetry_dropped["logs"] >= 200 - 20 - 2 * 10


async def test_what_an_export_of_metrics_does_not_send_within_its_time_out_is_dropped_and_counted() -> None:
    with receiver(before_answer=partial(time.sleep, 0.02)) as collector:
        times = {"OTEL_METRIC_EXPORT_INTERVAL": "50", "OTEL_METRIC_EXPORT_TIMEOUT": "1"}
        async with start(**to(collector, **times)) as run:
            await eventually(lambda: run.counters.telemetry_dropped.get("metrics"))
            assert collector.metrics
            assert not collector.metric("ocpp_cp_boots_total")


async def test_exponential_histograms_leave_if_they_are_the_default() -> None:
    with receiver() as collector:
        wanted = {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"}
        async with start(**to(collector, **wanted)) as run:
            run.message()
    (point,) = collector.metric("ocpp_msg_handling_seconds")
    assert sum(point.positive.bucket_counts) == point.count == 1


async def test_lowmemory_is_deltas_of_histograms_and_sums_of_counters() -> None:
    with receiver() as collector:
        async with start(**to(collector, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="lowmemory")) as run:
            run.message()
    (handled,) = collector.metric("ocpp_msg_handling_seconds")
    (boots,) = collector.metric("ocpp_cp_boots_total")
    assert handled.start_time_unix_nano > boots.start_time_unix_nano == 1_700_000_000 * 10**9


async def test_always_off_leaves_exemplars_out() -> None:
    with receiver() as collector:
        async with start(**to(collector, OTEL_METRICS_EXEMPLAR_FILTER="always_off")) as run:
            run.message()
    (handled,) = collector.metric("ocpp_msg_handling_seconds")
    assert (handled.count, list(handled.exemplars)) == (1, [])


async def test_detectors_of_resources_add_their_attributes() -> None:
    with receiver() as collector:
        async with start(**to(collector, OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="process")) as run:
            run.message()
    assert "process.pid" in {each.key for each in collector.traces[0].resource_spans[0].resource.attributes}


async def test_metrics_of_the_sdk_itself_are_on_the_page_if_they_are_enabled() -> None:
    async with start(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED="true") as run:
        await run.telemetry.reader.scrape(Format.TEXT)
        page = b"".join(await run.telemetry.reader.scrape(Format.TEXT))
    assert b"otel_sdk_metric_reader_collection_duration" in page


async def test_a_header_of_one_signal_replaces_the_general_one() -> None:
    with receiver() as collector:
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=all", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-key=metrics"}
        async with start(**to(collector, **headers)) as run:
            run.message()
    assert {each["x-key"] for each in collector.headers} == {"all", "metrics"}


class Spans(trace_service_pb2_grpc.TraceServiceServicer):
    """Counts the requests that a server gets by gRPC."""

    def __init__(self) -> None:
        self.requests = 0

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  gRPC's name
        self.requests += 1
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def grpc_receiver(credentials: grpc.ServerCredentials | None) -> Iterator[tuple[Spans, int]]:
    """A receiver of spans by gRPC and its port; `credentials` None: without TLS."""
    spans, server = Spans(), grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(spans, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield spans, port
    finally:
        server.stop(0)


async def test_an_address_without_a_scheme_is_used_without_tls_if_insecure() -> None:
    with grpc_receiver(None) as (spans, port):
        variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_INSECURE": "true"}
        async with start(**variables) as run:
            run.message()
    assert spans.requests == 1


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path, "collector")


def client_variables(authority: TestAuthority, ours: Pair | None) -> dict[str, str]:
    """Return the variables for a receiver of this authority; `ours`: the certificate that we present."""
    found = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.cert), "OTEL_EXPORTER_OTLP_TIMEOUT": "500"}
    if ours is not None:
        found["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"] = str(ours.cert)
        found["OTEL_EXPORTER_OTLP_CLIENT_KEY"] = str(ours.key)
    return found


async def dropped(run: Run) -> None:
    """Wait until spans are lost."""
    await eventually(lambda: run.counters.telemetry_dropped.get("traces"))


@pytest.mark.parametrize("shows_certificate", [True, False])
async def test_by_http_certificates_of_both_sides_are_those_of_the_variables(
    authority: TestAuthority, shows_certificate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # of the HTTP client, which would take them instead
        monkeypatch.setenv(other, certifi.where())
    theirs = authority.pair("localhost", use=SERVER, alternative=("127.0.0.1",), file="theirs")
    ours = authority.pair("wattspan", file="ours") if shows_certificate else None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.cert)
    context.load_cert_chain(theirs.cert, theirs.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with receiver(tls=context) as collector:
        variables = {"OTEL_METRICS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "20"}
        async with start(**to(collector, **variables, **client_variables(authority, ours))) as run:
            run.message()
            await (eventually(collector.spans) if shows_certificate else dropped(run))
    assert len(collector.spans()) == int(shows_certificate)


@pytest.mark.parametrize("shows_certificate", [True, False])
async def test_by_grpc_certificates_of_both_sides_are_those_of_the_variables(
    authority: TestAuthority, shows_certificate: bool
) -> None:
    theirs = authority.pair("localhost", use=SERVER, alternative=("127.0.0.1", "localhost"), file="theirs")
    ours = authority.pair("wattspan", file="ours") if shows_certificate else None
    files = (theirs.key.read_bytes(), theirs.cert.read_bytes())
    credentials = grpc.ssl_server_credentials([files], authority.cert.read_bytes(), require_client_auth=True)
    with grpc_receiver(credentials) as (spans, port):
        endpoint = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"https://localhost:{port}"}
        protocol = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_BSP_SCHEDULE_DELAY": "20"}
        async with start(**endpoint, **protocol, **client_variables(authority, ours)) as run:
            run.message()
            await (eventually(lambda: spans.requests) if shows_certificate else dropped(run))
    assert spans.requests == int(shows_certificate)
