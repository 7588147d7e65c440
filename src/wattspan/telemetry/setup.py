"""Builds the telemetry of a process from the `OTEL_*` variables. It owns what is connected; what is told is elsewhere.

One deliberate difference to the specification: without an OTLP endpoint nothing is sent and nothing complains.
Providers belong to the central system that made them, and are global only where `make_global` or `setup_tracing` is
called.
"""

import asyncio
import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from os import environ as process_environ
from typing import Any
from uuid import uuid4

from opentelemetry import metrics, trace
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.settings import Settings
from wattspan.telemetry import catalogue
from wattspan.telemetry.arrays import ArrayMeasures
from wattspan.telemetry.families import State
from wattspan.telemetry.histogram import Histograms
from wattspan.telemetry.logs import SERVICE
from wattspan.telemetry.otlp.exporters import SIGNALS, Signal, disabled, exporter
from wattspan.telemetry.otlp.fleet_metrics import FleetMetrics
from wattspan.telemetry.otlp.outbox import EXPORT_TIMEOUT_S, LogOutbox, Outbox
from wattspan.telemetry.otlp.points import Points
from wattspan.telemetry.process import register_process
from wattspan.telemetry.prometheus.reader import PrometheusReader
from wattspan.telemetry.recorder import Recorder
from wattspan.telemetry.sessions import SESSIONS_LOG, Sessions
from wattspan.telemetry.spans.hot import HotSpans
from wattspan.telemetry.tokens import TokenHash

log = logging.getLogger(__name__)

VERSION = version(SERVICE)
"""Read once: importlib.metadata parses the package's metadata for each call (3 ms)."""
QUEUE_SIZE = 32_768
"""Spans that wait for the exporter, unless OTEL_BSP_MAX_QUEUE_SIZE is set: some 12 MB, a second at full speed."""
BATCH_SIZE = 2048
"""Spans a request, unless OTEL_BSP_MAX_EXPORT_BATCH_SIZE is set."""


class Drops:
    """Counts what was lost, in `counters`, from any thread."""

    def __init__(self, counters: ServerCounters) -> None:
        self._counts = counters.telemetry_dropped
        self._lock = threading.Lock()

    def of(self, signal: str) -> Callable[[int], None]:
        """A counter for one signal: "traces", "metrics" or "logs"."""

        def dropped(count: int) -> None:
            with self._lock:
                self._counts[signal] = self._counts.get(signal, 0) + count

        return dropped


class AllottedIds(RandomIdGenerator):
    """Random ids, but for a root span that is started inside `allot`: its ids were given out before."""

    def __init__(self) -> None:
        self._allotted: ContextVar[tuple[int, int] | None] = ContextVar("allotted", default=None)

    @contextmanager
    def allot(self, trace_id: int, span_id: int) -> Iterator[None]:
        """The one root span started inside gets these ids."""
        token = self._allotted.set((trace_id, span_id))
        try:
            yield
        finally:
            self._allotted.reset(token)

    def generate_trace_id(self) -> int:
        """Called for root spans alone."""
        allotted = self._allotted.get()
        return super().generate_trace_id() if allotted is None else allotted[0]

    def generate_span_id(self) -> int:
        """Called for every span."""
        allotted = self._allotted.get()
        return super().generate_span_id() if allotted is None else allotted[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a central system tells of itself, and to whom. End it with `shutdown`."""

    recorder: Recorder
    reader: PrometheusReader
    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    logger_provider: LoggerProvider
    log_handler: logging.Handler | None
    """None: no logs are sent."""
    exporters: Mapping[Signal, Any]
    """Those that send, by signal."""

    def make_global(self) -> None:
        """Let libraries of this process that speak OpenTelemetry's API join in. A process's first providers stay."""
        trace.set_tracer_provider(self.tracer_provider)
        metrics.set_meter_provider(self.meter_provider)

    async def shutdown(self, timeout_s: float = EXPORT_TIMEOUT_S) -> None:
        """Send what is left and stop, within `timeout_s` whatever Collectors do. The loop goes on meanwhile.

        Cancellation: safe; what was not sent is lost.
        """
        if self.log_handler is not None:
            logging.getLogger().removeHandler(self.log_handler)
        closing: dict[Signal, Callable[[], object]] = {
            "traces": self.tracer_provider.shutdown,
            "metrics": lambda: self.meter_provider.shutdown(timeout_s * 1000),
            "logs": self.logger_provider.shutdown,
        }
        unfinished = await in_threads(closing, timeout_s)
        for signal in unfinished & self.exporters.keys():
            _in_thread(self.exporters[signal].shutdown)
        if unfinished:
            log.warning("the last %s could not be sent within %g s", " and ".join(sorted(unfinished)), timeout_s)


async def setup_telemetry(
    settings: Settings,
    fleet: Fleet,
    counters: ServerCounters,
    environ: Mapping[str, str] = process_environ,
    *,
    token_key: bytes | None = None,
    clock_ns: Callable[[], int] = time.time_ns,
) -> Telemetry:
    """Build the telemetry of a central system whose state was restored before.

    `environ` decides what is sent; how (headers, TLS, time-outs), the stock exporters read from the process's own.
    `token_key` hashes id tokens, see `tokens`. `clock_ns` is Unix nanoseconds.
    """
    resource, scope = resource_of(environ, SERVICE), InstrumentationScope(catalogue.METER, VERSION)
    dropped = Drops(counters)
    exporters = {signal: made for signal in SIGNALS if (made := exporter(signal, environ)) is not None}
    histograms = Histograms(by_charge_point=settings.handling_by_charge_point)
    state = State(fleet=fleet, counters=counters, histograms=histograms, clock=lambda: clock_ns() / 1e9)
    reader = PrometheusReader(state)
    processor, ids = SynchronousMultiSpanProcessor(), AllottedIds()  # type: ignore[no-untyped-call]
    tracers = TracerProvider(
        resource=resource, shutdown_on_exit=False, active_span_processor=processor, id_generator=ids
    )
    if "traces" in exporters:
        processor.add_span_processor(_outbox(exporters["traces"], dropped.of("traces"), environ))
    readers: list[MetricReader] = [reader]
    if "metrics" in exporters:
        points = Points(state, **_temporality(environ))
        readers.append(_periodic(FleetMetrics(exporters["metrics"], points, resource, scope, dropped.of("metrics"))))
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    register_process(meters.get_meter(scope.name, scope.version))
    loggers = LoggerProvider(resource, shutdown_on_exit=False)
    handler = None
    if "logs" in exporters:
        loggers.add_log_record_processor(LogOutbox(exporters["logs"], dropped.of("logs")))
        handler = send_logs(loggers)
    sampler = ALWAYS_OFF if disabled(environ) else tracers.sampler
    spans = HotSpans(resource, scope, processor, sampler)
    sessions = Sessions(tracers.get_tracer(scope.name, scope.version), ids.allot, TokenHash(token_key))
    measures = ArrayMeasures(histograms)
    sent = "traces" in exporters
    recorder = Recorder(spans, measures, sessions, exemplars=sent, forget=(reader.forget,), clock_ns=clock_ns)
    return Telemetry(
        recorder=recorder,
        reader=reader,
        tracer_provider=tracers,
        meter_provider=meters,
        logger_provider=loggers,
        log_handler=handler,
        exporters=exporters,
    )


_tracing: TracerProvider | None = None


def setup_tracing(service_name: str) -> None:
    """Send this process's traces by OTLP, by the `OTEL_*` variables: one call, for any program.

    OTEL_SERVICE_NAME wins over `service_name`. Without an endpoint nothing is sent and nothing complains. A second call
    changes nothing, nor does one where somebody set a tracer provider before. At exit the last spans are sent, within
    EXPORT_TIMEOUT_S seconds.
    """
    global _tracing  # noqa: PLW0603  as global as the provider it sets
    if _tracing is not None:
        return
    _tracing = provider = TracerProvider(resource=resource_of(process_environ, service_name), shutdown_on_exit=False)
    made = exporter("traces", process_environ)
    if made is not None:
        _tracing.add_span_processor(_outbox(made, lambda _: None, process_environ))
        atexit.register(provider.shutdown)
    trace.set_tracer_provider(_tracing)


def resource_of(environ: Mapping[str, str], service_name: str) -> Resource:
    """Who tells: OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over what we know."""
    known = {"service.name": service_name, "service.instance.id": str(uuid4())}
    if service_name == SERVICE:
        known["service.version"] = VERSION
    return Resource.create({**known, **OTELResourceDetector().detect().attributes})


def _outbox(to: Any, dropped: Callable[[int], None], environ: Mapping[str, str]) -> Outbox:
    queue_size = _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SIZE)
    batch_size = _number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_SIZE)
    return Outbox(to, dropped, queue_size=queue_size, batch_size=min(batch_size, queue_size))


def _number(environ: Mapping[str, str], variable: str, default: int) -> int:
    """A whole number above 0; what is none counts as not set (OTel spec, environment variables)."""
    text = environ.get(variable, "").strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default


def _periodic(to: FleetMetrics) -> PeriodicExportingMetricReader:
    """Interval and time-out by OTEL_METRIC_EXPORT_INTERVAL and OTEL_METRIC_EXPORT_TIMEOUT."""
    return PeriodicExportingMetricReader(to)


def _temporality(environ: Mapping[str, str]) -> dict[str, AggregationTemporality]:
    """Of our families; the SDK reads the same variable for everybody else's. Our counters are observable ones."""
    wanted = environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    delta, cumulative = AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE
    return {
        "counters": delta if wanted == "delta" else cumulative,
        "histograms": delta if wanted in ("delta", "lowmemory") else cumulative,
    }


def send_logs(loggers: LoggerProvider) -> logging.Handler:
    """Sends warnings and worse, and what is told of sessions; never what the exporters say of themselves."""
    handler = LoggingHandler(logger_provider=loggers)
    handler.addFilter(
        lambda record: (
            (record.levelno >= logging.WARNING or record.name == SESSIONS_LOG)
            and not record.name.startswith("opentelemetry.")
        )
    )
    logging.getLogger().addHandler(handler)
    return handler


def _in_thread(work: Callable[[], object], done: Callable[[], object] = lambda: None) -> threading.Thread:
    """Run `work` where nobody has to wait for it, at exit neither; what it raises is logged."""

    def run() -> None:
        try:
            work()
        except Exception:
            log.debug("telemetry did not end well", exc_info=True)
        done()

    thread = threading.Thread(target=run, name="wattspan-telemetry-end", daemon=True)
    thread.start()
    return thread


async def in_threads(work: Mapping[Signal, Callable[[], object]], timeout_s: float) -> set[Signal]:
    """Run all of it at the same time; returns what had not ended after `timeout_s`."""
    loop = asyncio.get_running_loop()
    pending: dict[asyncio.Future[None], Signal] = {}
    for signal, each in work.items():
        ended: asyncio.Future[None] = loop.create_future()
        pending[ended] = signal
        _in_thread(each, lambda ended=ended: _tell(loop, ended))  # type: ignore[misc]
    _, late = await asyncio.wait(pending, timeout=timeout_s)
    return {pending[each] for each in late}


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_settle, ended)


def _settle(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
