"""HTTP spans and the HTTP histogram follow OpenTelemetry's stable HTTP conventions."""

import re
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from support.central import Csms
from support.operators import admin, anonymous
from support.waiting import eventually
from wattspan.telemetry import catalogue


class Seen(ParentBased):
    """A sampler that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__(ALWAYS_ON)
        self.attributes: list[dict[str, Any]] = []

    def should_sample(
        self, context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None, *more: Any, **rest: Any
    ) -> Any:
        if "http.request.method" in (attributes or {}):
            self.attributes.append(dict(attributes))
        return super().should_sample(context, trace_id, name, kind, attributes, *more, **rest)


async def test_requests_by_the_stable_conventions(make_csms: Callable[..., Any]) -> None:
    sampler, exporter, reader = Seen(), InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(sampler, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    csms: Csms = await make_csms(tracer_provider=tracers, meter_provider=meters)
    async with admin(csms) as boss, anonymous(csms) as stranger:
        await boss.ask("GET", "/charge-points/A", 404, headers={"User-Agent": "test/1"})
        await stranger.send("GET", "/no/such/route")
        await stranger.send("PROPFIND", "/charge-points")

    def spans() -> dict[str, ReadableSpan]:
        return {span.name: span for span in exporter.get_finished_spans()}

    await eventually(lambda: any(name.startswith("HTTP") for name in spans()))
    found = spans()
    route = "/api/v1/charge-points/{cp_id}"
    attributes = dict(found[f"GET {route}"].attributes or {})
    assert attributes.pop("network.peer.port") > 0
    assert attributes == {
        "http.request.method": "GET",
        "http.route": route,
        "http.response.status_code": 404,
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": csms.central.api_port,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "test/1",
        "user.name": "admin",
    }
    assert attributes.keys() <= catalogue.ATTRIBUTES.keys()
    assert "http.route" not in (found["GET"].attributes or {})
    unknown = next(span.attributes or {} for name, span in found.items() if name.startswith("HTTP"))
    assert (unknown["http.request.method"], unknown["http.request.method_original"]) == ("_OTHER", "PROPFIND")
    first = next(each for each in sampler.attributes if each.get("user_agent.original") == "test/1")
    assert first.keys() == attributes.keys() - {"http.route", "http.response.status_code", "user.name"} | {
        "network.peer.port"
    }
    assert found["GET"].instrumentation_scope is not None
    assert found["GET"].instrumentation_scope.schema_url == catalogue.SCHEMA_URL

    data = reader.get_metrics_data()
    assert data is not None
    metrics = {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    points = {
        point.attributes.get("http.route"): point for point in metrics["http.server.request.duration"].data.data_points
    }
    assert dict(points[route].attributes) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": route,
        "http.response.status_code": 404,
        "network.protocol.version": "1.1",
    }
    assert points[route].explicit_bounds == catalogue.HTTP_SERVER_BOUNDS


async def test_the_page_has_the_resource_the_build_and_not_the_histogram_that_leaves_by_otlp(csms: Csms) -> None:
    async with anonymous(csms) as stranger:
        await stranger.send("GET", "/no/such/route")
    page = (await csms.get("/metrics")).text
    target = re.search(r"^target_info\{(.*)\} 1$", page, re.MULTILINE)
    assert target is not None
    assert re.search(r'service_version="[^"]+"', target[1])
    assert re.search(r'^wattspan_build_info\{version="[^"]+",python="3[^"]+"\} 1$', page, re.MULTILINE)
    assert "http_server_request_duration" not in page
    assert 'http_requests_total{method="GET",status="404",endpoint="unmatched"} 1' in page
    openmetrics = (await csms.get("/metrics", accept="application/openmetrics-text")).text
    assert "# TYPE target info\ntarget_info{" in openmetrics


async def test_the_instance_has_the_same_id_after_a_restart(csms: Csms) -> None:
    def instance() -> Any:
        return csms.central.telemetry.tracer_provider.resource.attributes["service.instance.id"]  # type: ignore[attr-defined]

    before = instance()
    await csms.restart()
    assert instance() == before
