"""Builds the telemetry of a central system: which provider, exporter and reader is connected to which.

One deliberate difference to the specification: without an OTLP endpoint nothing is exported and nothing is logged.
Providers belong to the central system that built them and are global only after `make_global`. With providers that a
user passes in, everything goes through OpenTelemetry's API, and they are never shut down here.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import environ as process_environ
from typing import Any, NamedTuple

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.otel_variables import otel_warnings
from wattspan.telemetry import catalogue
from wattspan.telemetry.arrays import ArrayMeasures
from wattspan.telemetry.families import State, shows_detail
from wattspan.telemetry.histogram import Histograms
from wattspan.telemetry.instruments import ApiMeasures, BothMeasures, FleetInstruments
from wattspan.telemetry.logs import SERVICE
from wattspan.telemetry.otlp.drops import DropCounter
from wattspan.telemetry.otlp.exporters import SIGNALS, Signal, destinations, disabled, exporter
from wattspan.telemetry.otlp.fleet_metrics import FleetMetrics
from wattspan.telemetry.otlp.log_handler import export_logs
from wattspan.telemetry.otlp.outbox import EXPORT_TIMEOUT_S, LogOutbox, span_outbox
from wattspan.telemetry.otlp.points import Points
from wattspan.telemetry.process import register_process
from wattspan.telemetry.prometheus.reader import PrometheusReader
from wattspan.telemetry.recorder import Measures, Recorder, Spans
from wattspan.telemetry.resource import VERSION, resource_of
from wattspan.telemetry.sdk_private import LoggerProvider, limits_of
from wattspan.telemetry.sessions import SessionSpans
from wattspan.telemetry.shutdown import in_thread, in_threads
from wattspan.telemetry.spans.api import ApiSpans
from wattspan.telemetry.spans.hot import HotSpans, are_tight
from wattspan.telemetry.spans.ids import PresetIdGenerator, preset_ids_of
from wattspan.telemetry.tokens import TokenHash

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The telemetry of one central system. End it with `shutdown`."""

    recorder: Recorder
    reader: PrometheusReader
    """Renders /metrics."""
    tracer_provider: trace.TracerProvider
    meter_provider: metrics.MeterProvider
    log_handler: logging.Handler | None
    """On the root logger; None: no logs are exported."""
    exporters: Mapping[Signal, Any]
    """The OTLP exporters in use, by signal."""
    closing: Mapping[Signal, Callable[[float], object]] = field(repr=False)
    """How to shut down each signal; the argument is the time-out in seconds."""

    def make_global(self) -> None:
        """Make the providers those of the process, for libraries that use OpenTelemetry's API. The first call wins."""
        trace.set_tracer_provider(self.tracer_provider)
        metrics.set_meter_provider(self.meter_provider)

    async def shutdown(self, timeout_s: float = EXPORT_TIMEOUT_S) -> None:
        """Export what is queued and stop, within `timeout_s` even if a Collector hangs. The event loop goes on.

        Cancellation: safe; what was not exported is lost.
        """
        if self.log_handler is not None:
            logging.getLogger().removeHandler(self.log_handler)
        unfinished = await in_threads(
            {signal: lambda close=close: close(timeout_s) for signal, close in self.closing.items()},  # type: ignore[misc]
            timeout_s,
        )
        for signal in unfinished & self.exporters.keys():
            in_thread(self.exporters[signal].shutdown)
        if unfinished:
            log.warning("the last %s could not be exported within %g s", " and ".join(sorted(unfinished)), timeout_s)


class GivenProviders(NamedTuple):
    """Providers that a user passes in. None: ours, the hot path."""

    tracer_provider: trace.TracerProvider | None = None
    meter_provider: metrics.MeterProvider | None = None


BUILTIN = GivenProviders()


class _Tracing(NamedTuple):
    """Where spans go. `close` takes a time-out in seconds."""

    provider: trace.TracerProvider
    spans: Spans
    sessions: SessionSpans
    close: Callable[[float], object]


class _Metrics(NamedTuple):
    """Where metrics go. `close` takes a time-out in seconds."""

    provider: metrics.MeterProvider
    measures: Measures
    close: Callable[[float], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What both the SDK's and a user's providers are connected with."""

    environ: Mapping[str, str]
    resource: Resource
    scope: InstrumentationScope
    exporters: Mapping[Signal, Any]
    dropped: DropCounter
    state: State
    reader: PrometheusReader
    hash_token: TokenHash

    def own_tracing(self) -> _Tracing:
        """Build the hot path: our own spans, exported by the SDK's processors."""
        processor, ids = SynchronousMultiSpanProcessor(), PresetIdGenerator()  # type: ignore[no-untyped-call]
        provider = TracerProvider(
            resource=self.resource, shutdown_on_exit=False, active_span_processor=processor, id_generator=ids
        )
        if "traces" in self.exporters:
            dropped = self.dropped.of("traces")
            processor.add_span_processor(span_outbox(self.exporters["traces"], dropped, self.environ))
        sampler = ALWAYS_OFF if disabled(self.environ) else provider.sampler
        tracer, limits = self._tracer(provider), limits_of(provider)
        spans: Spans = ApiSpans(tracer)
        if not are_tight(limits):
            spans = HotSpans(self.resource, self.scope, processor, sampler, limits)
        sessions = SessionSpans(tracer, preset_ids_of(tracer), self.hash_token)
        return _Tracing(provider, spans, sessions, lambda _timeout_s: provider.shutdown())

    def given_tracing(self, provider: trace.TracerProvider) -> _Tracing:
        """Use a user's provider through the API."""
        tracer = self._tracer(provider)
        return _Tracing(provider, ApiSpans(tracer), SessionSpans(tracer, None, self.hash_token), _leave_open)

    def own_metrics(self) -> _Metrics:
        """Build a provider with the reader of /metrics and, if there is an endpoint, an OTLP exporter."""
        readers: list[MetricReader] = [self.reader]
        if "metrics" in self.exporters:
            points = Points(self.state, exponential=_are_exponential(self.environ), **_temporality(self.environ))
            dropped = self.dropped.of("metrics")
            fleet = FleetMetrics(self.exporters["metrics"], points, self.resource, self.scope, dropped)
            # Interval and time-out: OTEL_METRIC_EXPORT_INTERVAL and OTEL_METRIC_EXPORT_TIMEOUT.
            readers.append(PeriodicExportingMetricReader(fleet))
        provider = MeterProvider(readers, self.resource, shutdown_on_exit=False)
        register_process(self._meter(provider))
        measures = ArrayMeasures(self.state.histograms)
        return _Metrics(provider, measures, lambda timeout_s: provider.shutdown(timeout_s * 1000))

    def given_metrics(self, provider: metrics.MeterProvider) -> _Metrics:
        """Use a user's provider through the API. /metrics has the same content as without it."""
        meter = self._meter(provider)
        fleet = FleetInstruments.of(provider, meter)
        fleet.add(self.state)
        by_charge_point = catalogue.CP_ID in self.state.histograms.handling.metric.labels
        theirs = ApiMeasures(meter, by_charge_point=by_charge_point)
        page = MeterProvider([self.reader], self.resource, shutdown_on_exit=False)
        register_process(self._meter(page))

        def close(timeout_s: float) -> None:
            fleet.remove(self.state)
            page.shutdown(timeout_s * 1000)

        return _Metrics(provider, BothMeasures(theirs, ArrayMeasures(self.state.histograms)), close)

    def _tracer(self, provider: trace.TracerProvider) -> trace.Tracer:
        return provider.get_tracer(self.scope.name, self.scope.version, self.scope.schema_url)

    def _meter(self, provider: metrics.MeterProvider) -> metrics.Meter:
        return provider.get_meter(self.scope.name, self.scope.version, self.scope.schema_url)


async def setup_telemetry(  # noqa: PLR0913 - two that matter, and options by keyword
    fleet: Fleet,
    counters: ServerCounters,
    environ: Mapping[str, str] = process_environ,
    *,
    handling_by_charge_point: bool = True,
    detail: str = "connectors",
    native_histograms: bool = False,
    given: GivenProviders = BUILTIN,
    token_key: bytes | None = None,
    clock_ns: Callable[[], int] = time.time_ns,
    make_recorder: type[Recorder] = Recorder,
    instance: str = "",
) -> Telemetry:
    """Build and return the telemetry of a central system whose state has been restored.

    `environ` decides what is exported; the stock exporters read headers, TLS and time-outs from the process's own
    environment. `given` providers replace ours: then the user decides what is exported.
    `detail` is one of `families.DETAILS`. `native_histograms`: record what the page needs for them.
    `handling_by_charge_point=False` drops `cp_id` from the handling histogram. `token_key` hashes id tokens, see
    `tokens`. `clock_ns` returns Unix nanoseconds. `instance` is as in `resource.resource_of`.
    """
    theirs = {"traces": given.tracer_provider, "metrics": given.meter_provider}
    own_signals = [signal for signal in SIGNALS if theirs.get(signal) is None]
    exporters = {signal: made for signal in own_signals if (made := exporter(signal, environ)) is not None}
    by_otlp = _are_exponential(environ)
    histograms = Histograms(
        by_charge_point=handling_by_charge_point and detail != "fleet",
        exponential=native_histograms or (by_otlp and "metrics" in exporters),
    )
    state = State(
        fleet=fleet,
        counters=counters,
        histograms=histograms,
        clock=lambda: clock_ns() / 1e9,
        shows=shows_detail(detail),
    )
    resource = resource_of(environ, SERVICE, instance)
    parts = _Parts(
        environ=environ,
        resource=resource,
        scope=InstrumentationScope(catalogue.METER, VERSION, catalogue.SCHEMA_URL),
        exporters=exporters,
        dropped=DropCounter(counters, destinations(environ)),
        state=state,
        reader=PrometheusReader(state, resource),
        hash_token=TokenHash(token_key),
    )
    tracers, meters = given.tracer_provider, given.meter_provider
    tracing = parts.own_tracing() if tracers is None else parts.given_tracing(tracers)
    measuring = parts.own_metrics() if meters is None else parts.given_metrics(meters)
    loggers = LoggerProvider(parts.resource, shutdown_on_exit=False)
    handler = None
    if "logs" in exporters:
        loggers.add_log_record_processor(LogOutbox(exporters["logs"], parts.dropped.of("logs")))
        handler = export_logs(loggers)
    for line in otel_warnings(environ):
        log.warning("%s", line)
    exemplars = environ.get("OTEL_METRICS_EXEMPLAR_FILTER", "").strip().lower() != "always_off"
    recorder = make_recorder(
        tracing.spans,
        measuring.measures,
        tracing.sessions,
        exemplars=exemplars and (tracers is not None or "traces" in exporters),
        forget=(parts.reader.forget,),
        clock_ns=clock_ns,
    )
    return Telemetry(
        recorder=recorder,
        reader=parts.reader,
        tracer_provider=tracing.provider,
        meter_provider=measuring.provider,
        log_handler=handler,
        exporters=exporters,
        closing={
            "traces": tracing.close,
            "metrics": measuring.close,
            "logs": lambda _timeout_s: loggers.shutdown(),
        },
    )


def _leave_open(_timeout_s: float) -> None:
    """Do nothing: the provider is the user's."""


def _are_exponential(environ: Mapping[str, str]) -> bool:
    """Return whether histograms leave as exponential ones."""
    aggregation = environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "").strip().lower()
    return aggregation == "base2_exponential_bucket_histogram"


def _temporality(environ: Mapping[str, str]) -> dict[str, AggregationTemporality]:
    """Return the temporality of our families; the SDK reads the same variable for other instruments."""
    wanted = environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    delta, cumulative = AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE
    return {  # our counters are observable ones
        "counters": delta if wanted == "delta" else cumulative,
        "histograms": delta if wanted in ("delta", "lowmemory") else cumulative,
    }
