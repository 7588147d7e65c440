"""The telemetry of a program of ours that has instruments and no fleet: a page, and metrics and logs by OTLP.

It owns what is connected. What is measured, and who scrapes, it must not know.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from os import environ as process_environ

from opentelemetry.metrics import Meter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

from wattspan.telemetry import catalogue
from wattspan.telemetry.logs import SERVICE
from wattspan.telemetry.otlp.exporters import exporter
from wattspan.telemetry.otlp.outbox import EXPORT_TIMEOUT_S, LogOutbox
from wattspan.telemetry.process import register_process
from wattspan.telemetry.prometheus.reader import PrometheusReader, cardinality_limits
from wattspan.telemetry.setup import in_threads, resource_of, send_logs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """A meter and who reads it. End it with `shutdown`."""

    meter: Meter
    reader: PrometheusReader
    meter_provider: MeterProvider
    logger_provider: LoggerProvider
    log_handler: logging.Handler | None
    """None: no logs are sent."""

    async def shutdown(self, timeout_s: float = EXPORT_TIMEOUT_S) -> None:
        """Send what is left and stop, within `timeout_s` whatever a Collector does. Cancellation: safe."""
        if self.log_handler is not None:
            logging.getLogger().removeHandler(self.log_handler)
        late = await in_threads(
            {
                "metrics": lambda: self.meter_provider.shutdown(timeout_s * 1000),
                "logs": self.logger_provider.shutdown,
            },
            timeout_s,
        )
        if late:
            log.warning("the last %s could not be sent within %g s", " and ".join(sorted(late)), timeout_s)


def setup_metering(service_name: str, environ: Mapping[str, str] = process_environ) -> Metering:
    """Build it from the `OTEL_*` variables; without an endpoint nothing is sent. OTEL_SERVICE_NAME wins."""
    resource = resource_of(environ, service_name)
    reader = PrometheusReader(None)
    readers: list[MetricReader] = [reader]
    if (metrics := exporter("metrics", environ)) is not None:
        readers.append(PeriodicExportingMetricReader(metrics, **cardinality_limits()))
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    meter = meters.get_meter(catalogue.METER, version(SERVICE))
    register_process(meter)
    loggers = LoggerProvider(resource, shutdown_on_exit=False)
    handler = None
    if (logs := exporter("logs", environ)) is not None:
        # Nothing here counts what is lost: the page has no place for it, and metrics lost are simply sent next time.
        loggers.add_log_record_processor(LogOutbox(logs, lambda _: None))
        handler = send_logs(loggers)
    return Metering(meter=meter, reader=reader, meter_provider=meters, logger_provider=loggers, log_handler=handler)
