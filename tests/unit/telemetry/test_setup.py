import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from support.otlp import receiver, silent
from support.telemetry_runs import start
from support.waiting import WITHIN_S, eventually
from wattspan.domain.apply import apply
from wattspan.domain.events import ChargePointBooted
from wattspan.telemetry.prometheus.exposition import Format


async def test_without_an_endpoint_nothing_is_sent_and_nothing_complains(caplog):
    async with start() as run:
        run.message()
        assert run.telemetry.exporters == {}
    assert caplog.records == []


async def test_every_message_arrives_as_a_span_at_shutdown():
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as run:
            sent = {run.message() for _ in range(5000)}
        assert {int.from_bytes(span.trace_id) for span in collector.spans()} == sent
        assert run.counters.telemetry_dropped == {}


async def test_the_resource_says_who_tells_and_variables_win():
    with receiver() as collector:
        async with start(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test,service.instance.id=one",
            OTEL_SERVICE_NAME="depot",
        ) as run:
            run.message()
        told = {each.key: each.value.string_value for each in collector.traces[0].resource_spans[0].resource.attributes}
    assert told["service.name"] == "depot"
    assert told["service.instance.id"] == "one"
    assert told["deployment.environment"] == "test"
    assert told["service.version"]


async def test_headers_and_compression_are_the_stock_exporters():
    with receiver() as collector:
        async with start(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            OTEL_EXPORTER_OTLP_HEADERS="x-tenant=depot",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        ) as run:
            run.message()
        assert collector.headers[0]["x-tenant"] == "depot"
        assert len(collector.spans()) == 1


async def test_our_families_leave_with_the_last_export():
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as run:
            run.message()
        (boots,) = collector.metric("ocpp_cp_boots_total")
        (handled,) = collector.metric("ocpp_msg_handling_seconds")
        assert (boots.as_int, boots.start_time_unix_nano) == (1, 1_700_000_000 * 10**9)
        assert handled.count == 1
        assert collector.metric("process_resident_memory_bytes")


async def test_an_exemplar_points_to_a_span_that_a_tail_sampler_keeps():
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as run:
            run.message()
        (handled,) = collector.metric("ocpp_msg_handling_seconds")
        (span,) = collector.spans()
    assert handled.exemplars[0].trace_id == span.trace_id
    assert "csms.force_sample" in {each.key for each in span.attributes}


async def test_delta_counts_from_process_start():
    with receiver() as collector:
        async with start(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta"
        ) as run:
            for _ in range(2):
                apply(run.fleet, ChargePointBooted(cp_id="CP1", received_ts=1_700_000_001.0))
        assert [point.as_int for point in collector.metric("ocpp_cp_boots_total")] == [2]


async def test_metrics_leave_at_the_interval_that_is_set():
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_METRIC_EXPORT_INTERVAL="20"):
            await eventually(lambda: len(collector.metrics) >= 2)


async def test_warnings_and_session_ends_leave_as_logs_with_their_trace():
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as run:
            recorder = run.telemetry.recorder
            span = recorder.message("CP1", "Heartbeat", time.time_ns())
            token = recorder.attach(span)
            logging.getLogger("wattspan.test").warning("odd")
            logging.getLogger("wattspan.test").info("not sent")
            recorder.detach(token)
        (record,) = [
            record
            for request in collector.logs
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
    assert record.body.string_value == "odd"
    assert int.from_bytes(record.trace_id) == span.trace_id


@pytest.mark.parametrize(
    "off",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
    ],
)
async def test_what_is_switched_off_is_not_sent(off):
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **off) as run:
            run.message()
            page = b"".join(await run.telemetry.reader.scrape(Format.TEXT))
        assert collector.headers == []
    assert b'ocpp_cp_boots_total{cp_id="CP1"} 1' in page


async def test_a_sampler_is_honoured_and_an_unsampled_trace_gets_no_exemplar():
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_TRACES_SAMPLER="always_off") as run:
            run.message()
        assert collector.spans() == []
        (handled,) = collector.metric("ocpp_msg_handling_seconds")
    assert handled.count == 1
    assert not handled.exemplars


async def test_a_ratio_keeps_about_its_share():
    with receiver() as collector:
        variables = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **variables) as run:
            for _ in range(2000):
                run.message()
        assert 350 < len(collector.spans()) < 650


async def test_a_collector_that_refuses_costs_the_loop_nothing_and_is_counted(closed_port):
    async with start(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{closed_port}",
        OTEL_EXPORTER_OTLP_TIMEOUT="200",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    ) as run:
        for _ in range(3000):
            run.message()
        await eventually(lambda: run.counters.telemetry_dropped.get("traces", 0) >= 2048)


async def test_a_collector_that_never_answers_fills_a_queue_and_no_more():
    async with silent() as endpoint:
        sizes = {"OTEL_BSP_MAX_QUEUE_SIZE": "1000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "500"}
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **sizes) as run:
            run.shutdown_s = 0.2
            for _ in range(10_000):
                run.message()
            assert run.counters.telemetry_dropped["traces"] >= 10_000 - 1000 - 2 * 500


async def test_a_collector_that_never_answers_does_not_hang_the_shutdown(caplog):
    async with silent() as endpoint, start(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as run:
        run.message()
        run.shutdown_s = 0.2
        async with asyncio.timeout(WITHIN_S):
            await run.telemetry.shutdown(0.2)
    assert "could not be exported within 0.2 s" in caplog.text


async def test_by_grpc_the_same_spans_arrive():
    got = []

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request, context):  # noqa: N802
            got.append(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        async with start(
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc"
        ) as run:
            sent = run.message()
    finally:
        server.stop(0)
    (span,) = got[0].resource_spans[0].scope_spans[0].spans
    assert (int.from_bytes(span.trace_id), span.name) == (sent, "Heartbeat")


async def test_libraries_join_the_trace_of_the_message_that_is_current():
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as run:
            recorder, tracer = run.telemetry.recorder, run.telemetry.tracer_provider.get_tracer("library")
            span = recorder.message("CP1", "Authorize", time.time_ns())
            token = recorder.attach(span)
            tracer.start_span("lookup").end()
            recorder.detach(token)
            recorder.answered(span, connector_id=None, session=None, error=None, store_wait_s=0.0)
        parents = {each.name: each.parent_span_id for each in collector.spans()}
        ids = {each.name: each.span_id for each in collector.spans()}
    assert parents["lookup"] == ids["Authorize"]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_slow_collector_gets_everything_and_the_loop_never_waits_for_it():
    may_answer = threading.Event()
    with receiver(before_answer=may_answer.wait) as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100") as run:
            for _ in range(1000):
                run.message()
            assert collector.traces == []  # all told, though no batch was taken yet
            may_answer.set()
            await eventually(lambda: len(collector.spans()) == 1000)
        assert run.counters.telemetry_dropped == {}


PROGRAM = """
from opentelemetry import trace
from wattspan import setup_tracing
setup_tracing("billing")
setup_tracing("again")
with trace.get_tracer("t").start_as_current_span("invoice"):
    pass
"""


def run_program(**environ: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=known | environ, capture_output=True, text=True, check=True, timeout=30
    )


def test_one_call_sends_any_programs_traces_and_a_second_changes_nothing():
    with receiver() as collector:
        done = run_program(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
        (resource,) = collector.traces[0].resource_spans
    assert {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"] == "billing"
    assert resource.scope_spans[0].spans[0].name == "invoice"
    assert done.stderr == ""


def test_the_one_call_without_an_endpoint_says_nothing():
    done = run_program()
    assert (done.stdout, done.stderr) == ("", "")


async def test_a_program_whose_collector_hangs_ends_all_the_same():
    async with silent() as endpoint:
        await asyncio.to_thread(run_program, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
