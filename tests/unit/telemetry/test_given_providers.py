"""A user's own providers: everything goes through OpenTelemetry's API, and they stay the user's."""

import os
import time
from collections.abc import Iterator

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.otlp import receiver
from wattspan.domain.apply import apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import ChargePointBooted
from wattspan.domain.fleet import Fleet
from wattspan.telemetry import catalogue
from wattspan.telemetry.families import State
from wattspan.telemetry.given import applies, given_telemetry
from wattspan.telemetry.prometheus.exposition import Format
from wattspan.telemetry.setup import GivenProviders, Telemetry, setup_telemetry


class User:
    """A user's providers and what reached them."""

    def __init__(self) -> None:
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def names(self) -> set[str]:
        """The metrics that have points."""
        data = self.reader.get_metrics_data()
        found = [] if data is None else [s for resource in data.resource_metrics for s in resource.scope_metrics]
        return {metric.name for scope in found for metric in scope.metrics if list(metric.data.data_points)}


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    found = User()
    yield found
    found.tracers.shutdown()
    found.meters.shutdown()


async def setup(given: GivenProviders) -> Telemetry:
    fleet = Fleet()
    apply(fleet, ChargePointBooted(cp_id="CP1", received_ts=1_700_000_000.0))
    return await setup_telemetry(fleet, ServerCounters(started_ts=1.0), os.environ, given=given)


def message(telemetry: Telemetry) -> int:
    span = telemetry.recorder.message("CP1", "Heartbeat", time.time_ns())
    token = telemetry.recorder.attach(span)
    telemetry.recorder.detach(token)
    telemetry.recorder.answered(span, connector_id=None, session=None, error=None, store_wait_s=0.0)
    return span.trace_id


async def page(telemetry: Telemetry) -> str:
    return b"".join(await telemetry.reader.scrape(Format.TEXT)).decode()


async def test_spans_and_metrics_reach_the_users_providers_and_the_page_is_whole(user):
    telemetry = await setup(GivenProviders(user.tracers, user.meters))
    trace_id = message(telemetry)
    (span,) = user.spans.get_finished_spans()
    assert (span.name, span.context.trace_id) == ("Heartbeat", trace_id)
    assert {"ocpp_cp_connected", "ocpp_msg_handling_seconds", "process_cpu_seconds_total"} <= user.names()
    text = await page(telemetry)
    assert 'ocpp_msg_handling_seconds_count{cp_id="CP1",message_type="Heartbeat"} 1\n' in text
    assert "process_cpu_seconds_total " in text
    assert 'ocpp_cp_connected{cp_id="CP1"} 0\n' in text
    await telemetry.shutdown(1.0)


async def test_an_instrumented_program_that_runs_a_central_system_as_well_has_the_metrics_of_both(user):
    of_program = given_telemetry(user.tracers, user.meters)
    state = State(fleet=Fleet(), counters=ServerCounters(started_ts=1.0), shows=applies)
    of_program.instruments.add(state)
    assert "ocpp_central_up" in user.names()
    assert not {"failed_logins_total", "ocpp_store_waiting", "process_cpu_seconds_total"} & user.names()
    telemetry = await setup(GivenProviders(user.tracers, user.meters))
    assert {"failed_logins_total", "ocpp_store_waiting", "process_cpu_seconds_total"} <= user.names()
    of_program.instruments.remove(state)
    await telemetry.shutdown(1.0)


async def test_the_users_metrics_have_the_names_and_units_of_the_catalogue(user):
    telemetry = await setup(GivenProviders(None, user.meters))
    message(telemetry)
    data = user.reader.get_metrics_data()
    assert data is not None
    found = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
    assert found
    for metric in found:
        entry = catalogue.METRICS[metric.name]
        assert (metric.unit, metric.description) == (entry.unit, entry.help)
    await telemetry.shutdown(1.0)


async def test_only_the_signals_of_a_given_provider_leave_our_own_exporters(user, monkeypatch):
    with receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        telemetry = await setup(GivenProviders(user.tracers, None))
        assert set(telemetry.exporters) == {"metrics", "logs"}
        message(telemetry)
        await telemetry.shutdown(5.0)
        assert not collector.traces
        assert collector.metrics
    assert user.spans.get_finished_spans()


async def test_a_shutdown_leaves_the_users_providers_open_and_observes_nothing_more(user):
    telemetry = await setup(GivenProviders(user.tracers, user.meters))
    message(telemetry)
    await telemetry.shutdown(1.0)
    with user.tracers.get_tracer("t").start_as_current_span("later"):
        pass
    assert user.spans.get_finished_spans()[-1].name == "later"
    user.meters.get_meter("t").create_counter("later").add(1)
    assert "ocpp_cp_connected" not in user.names()
    assert "later" in user.names()


async def test_a_second_central_system_on_the_same_provider_is_observed_after_the_first(user):
    first = await setup(GivenProviders(None, user.meters))
    await first.shutdown(1.0)
    second = await setup(GivenProviders(None, user.meters))
    assert "ocpp_cp_connected" in user.names()
    await second.shutdown(1.0)


async def test_providers_that_do_nothing_will_do(user):
    telemetry = await setup(GivenProviders(trace.NoOpTracerProvider(), metrics.NoOpMeterProvider()))
    message(telemetry)
    assert "ocpp_msg_handling_seconds_count" in await page(telemetry)
    await telemetry.shutdown(1.0)
