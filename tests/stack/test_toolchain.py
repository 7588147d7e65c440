"""The tools of the end-to-end tests work, before anything of ours is tried on them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import format_trace_id
from websockets import ConnectionClosedError, ServerConnection, Subprotocol, serve

from stack.ocpp_go import OcppGoCentralSystem, RunOcppGo
from stack.ocpp_rpc import CallError, Payload, RunOcppRpc, boot, charge, meter, start, stop
from stack.process import LOOPBACK, ProgramError, eventually, free_ports
from stack.servers import COLLECTOR_CONFIG, Collector, Jaeger, RunPrometheus, Target, attributes
from stack.toolchain import RECIPES, tool

SERVICE = Resource({"service.name": "toolchain-test"})


async def lines_of(page: Callable[[], Awaitable[str]], name: str) -> list[str]:
    """The lines of a metrics page that are about one metric, its TYPE line included, without HELP."""
    pattern = re.compile(rf"(# TYPE )?{name}[ {{]")
    return [line for line in (await page()).splitlines() if pattern.match(line)]


ANSWERS: dict[str, Payload] = {
    "BootNotification": {"status": "Accepted", "interval": 120, "currentTime": "2026-01-01T00:00:00Z"},
    "SignCertificate": {"status": "Accepted"},
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "StartTransaction": {"idTagInfo": {"status": "Accepted"}, "transactionId": 1},
}
FASTER = [2, "faster", "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "0"}]


@asynccontextmanager
async def scripted_central_system(answers: dict[str, Payload], calls: list[str]) -> AsyncIterator[str]:
    """A central system that answers from `answers`, else from ANSWERS; its URL. Actions it got are put into `calls`."""

    async def serve_one(connection: ServerConnection) -> None:
        # An ocpp-go program that is stopped says no goodbye.
        with suppress(ConnectionClosedError):
            await answer_all(connection)

    async def answer_all(connection: ServerConnection) -> None:
        async for message in connection:
            kind, message_id, *rest = json.loads(message)
            if kind != 2:
                continue
            calls.append(rest[0])
            await connection.send(json.dumps([3, message_id, (ANSWERS | answers).get(rest[0], {})]))
            if rest[0] == "SignCertificate":
                await connection.send(json.dumps(FASTER))

    async with serve(serve_one, LOOPBACK, 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        yield f"ws://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if not recipe.left_out])
def test_a_tool_is_made(name: str) -> None:
    assert tool(name).is_file()


def test_the_collector_takes_the_shipped_configuration() -> None:
    command: list[str | Path] = [tool("otelcol"), "validate", f"--config={COLLECTOR_CONFIG}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def grpc_exporter(collector: Collector) -> SpanExporter:
    return GrpcSpanExporter(endpoint=collector.grpc_endpoint, insecure=True)


def http_exporter(collector: Collector) -> SpanExporter:
    return HttpSpanExporter(endpoint=f"{collector.http_endpoint}/v1/traces")


@pytest.mark.parametrize("exporter", [grpc_exporter, http_exporter])
async def test_a_span_of_the_stock_sdk_is_found_by_its_attribute(
    collector: Collector, jaeger: Jaeger, exporter: Callable[[Collector], SpanExporter]
) -> None:
    provider = TracerProvider(resource=SERVICE)
    provider.add_span_processor(SimpleSpanProcessor(exporter(collector)))
    tracer = provider.get_tracer("toolchain")
    for cp_id in ("CP-1", "CP-2"):
        tracer.start_span("Heartbeat", attributes={"cp_id": cp_id}).end()
    provider.shutdown()

    (trace,) = await eventually(lambda: jaeger.traces("toolchain-test", tags={"cp_id": "CP-2"}))
    (span,) = trace["spans"]
    assert span["operationName"] == "Heartbeat"
    assert attributes(span)["cp_id"] == "CP-2"
    assert await jaeger.services() == ["toolchain-test"]


@contextmanager
def metered(collector: Collector) -> Iterator[Meter]:
    """A meter of the stock SDK; what it counted is sent at the end."""
    exporter = OTLPMetricExporter(endpoint=collector.grpc_endpoint, insecure=True)
    provider = MeterProvider([PeriodicExportingMetricReader(exporter)], SERVICE)
    yield provider.get_meter("wattspan")
    provider.shutdown()


async def test_the_energy_counter_keeps_its_very_name_on_the_collectors_page(collector: Collector) -> None:
    with metered(collector) as meter:
        meter.create_counter("ocpp_cp_energy_total_wh", unit="{Wh}").add(1500.5, {"cp_id": "CP-1"})
    assert await eventually(lambda: lines_of(collector.page, "ocpp_cp_energy_total_wh")) == [
        "# TYPE ocpp_cp_energy_total_wh counter",
        'ocpp_cp_energy_total_wh{cp_id="CP-1",job="toolchain-test"} 1500.5',
    ]
    assert await lines_of(partial(collector.page, openmetrics=True), "ocpp_cp_energy_total_wh") == [
        "# TYPE ocpp_cp_energy_total_wh unknown",
        'ocpp_cp_energy_total_wh{cp_id="CP-1",job="toolchain-test"} 1500.5',
    ]


async def test_an_exemplar_goes_through_the_collector_into_prometheus(
    collector: Collector, prometheus: RunPrometheus
) -> None:
    with (
        metered(collector) as meter,
        TracerProvider().get_tracer("toolchain").start_as_current_span("Heartbeat") as span,
    ):
        meter.create_histogram("ocpp_msg_handling_seconds", unit="s").record(0.003, {"cp_id": "CP-1"})
    async with prometheus([Target(address=collector.prometheus)]) as server:
        began = time.time() - 60
        ask = partial(server.exemplars, "ocpp_msg_handling_seconds_bucket", start_s=began, end_s=began + 120)
        (series,) = await eventually(ask)
    assert series["seriesLabels"]["cp_id"] == "CP-1"
    assert series["exemplars"][0]["labels"]["trace_id"] == format_trace_id(span.get_span_context().trace_id)


async def test_a_dead_jaeger_does_not_keep_the_collector_from_taking_spans(tmp_path: Path) -> None:
    async with Collector.run(tmp_path) as collector:
        provider = TracerProvider(resource=SERVICE)
        provider.add_span_processor(SimpleSpanProcessor(grpc_exporter(collector)))
        provider.get_tracer("toolchain").start_span("Heartbeat").end()
        provider.shutdown()
        (_, accepted) = await eventually(
            lambda: lines_of(collector.own_page, "otelcol_receiver_accepted_spans"),
        )
    assert accepted.endswith(" 1")


async def test_prometheus_scrapes_and_answers(collector: Collector, prometheus: RunPrometheus) -> None:
    async with prometheus([Target(address=collector.telemetry, job="otelcol")]) as server:
        await eventually(lambda: server.query('up{job="otelcol"} == 1'))

        async def is_up() -> bool:
            """On a busy machine a scrape now and then takes longer than its second."""
            (target,) = await server.targets()
            return bool(target["health"] == "up")

        await eventually(is_up)
        assert await server.query("scalar(vector(2))") == [({}, 2.0)]
        assert await server.exemplars("up", start_s=time.time() - 60, end_s=time.time()) == []


async def test_ocpp_rpc_charges_on_a_central_system_of_another_house(
    ocpp_go_central_system: OcppGoCentralSystem, ocpp_rpc: RunOcppRpc
) -> None:
    async with ocpp_rpc(url=ocpp_go_central_system.url, identity="RPC-1") as charger:
        assert await charge(charger, id_tag="TAG-1") >= 0
        reserve = await charger.command("ReserveNow")
    assert reserve["answer"] == {"status": "Accepted"}
    assert charger.faults == []


async def test_ocpp_rpc_tells_an_error_answer_from_an_answer(
    ocpp_go_central_system: OcppGoCentralSystem, ocpp_rpc: RunOcppRpc
) -> None:
    async with ocpp_rpc(url=ocpp_go_central_system.url, identity="RPC-1") as charger:
        await boot(charger)
        with pytest.raises(CallError, match="PropertyConstraintViolation"):
            await start(charger, id_tag="TAG-1", connector_id=-1)


async def test_ocpp_rpc_comes_back_in_mid_session_after_its_central_system_was_away(
    tmp_path: Path, ocpp_rpc: RunOcppRpc
) -> None:
    (port,) = free_ports(1)
    central_system = partial(OcppGoCentralSystem.run, tmp_path, port=port)
    async with AsyncExitStack() as stack:
        async with central_system() as server:
            charger = await stack.enter_async_context(ocpp_rpc(url=server.url, identity="RPC-1"))
            await boot(charger)
            transaction_id = await start(charger, id_tag="TAG-1")
        async with central_system():
            await charger.connected(2)
            await meter(charger, transaction_id, [1500])
            await stop(charger, transaction_id, id_tag="TAG-1", meter_wh=2000)
    assert len(charger.disconnects) == 2, "once when the central system went, once at the end"


async def test_ocpp_rpc_fails_on_an_answer_that_its_schema_forbids(ocpp_rpc: RunOcppRpc) -> None:
    calls: list[str] = []
    async with scripted_central_system({"BootNotification": {"status": "Perhaps"}}, calls) as url:
        connection = ocpp_rpc(url=url, identity="RPC-1")
        charger = await connection.__aenter__()
        with pytest.raises(CallError):
            await boot(charger)
        with pytest.raises(ProgramError, match="saw faults"):
            await connection.__aexit__(None, None, None)
    assert calls == ["BootNotification"]


async def test_ocpp_go_plays_the_session_that_its_docstring_tells(ocpp_go: RunOcppGo) -> None:
    calls: list[str] = []
    async with scripted_central_system({}, calls) as url, ocpp_go(url=url, identity="GO-1") as charger:

        async def played() -> bool:
            return calls[-2:] == ["StopTransaction", "StatusNotification"]

        await charger.program.until(played, "through with its session")
    assert calls == [
        *("BootNotification", "StatusNotification", "SecurityEventNotification", "LogStatusNotification"),
        *("SignCertificate", "Authorize", "StatusNotification", "StartTransaction", "StatusNotification"),
        *["MeterValues"] * 5,
        *("StatusNotification", "StopTransaction", "StatusNotification"),
    ]
    assert charger.program.log_tail() == ""


async def test_ocpp_go_complains_of_an_answer_that_its_schema_forbids(ocpp_go: RunOcppGo) -> None:
    async with (
        scripted_central_system({"BootNotification": {"status": "Perhaps"}}, []) as url,
        ocpp_go(url=url, identity="GO-1") as charger,
    ):

        async def complained() -> bool:
            return "OccurrenceConstraintViolation" in charger.program.log_tail()

        await charger.program.until(complained, "heard to complain")
