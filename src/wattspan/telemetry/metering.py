"""The telemetry of a program of ours without a fleet (`wattspan chargy`): a meter, a page, metrics and logs by OTLP.

It owns what is connected. It must not know what is measured or who scrapes.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from os import environ as process_environ

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

from wattspan.telemetry import catalogue
from wattspan.telemetry.otlp.exporters import exporter
from wattspan.telemetry.otlp.log_handler import export_logs
from wattspan.telemetry.otlp.outbox import EXPORT_TIMEOUT_S, LogOutbox
from wattspan.telemetry.process import register_process
from wattspan.telemetry.prometheus.reader import PrometheusReader, cardinality_limits
from wattspan.telemetry.resource import VERSION, resource_of
from wattspan.telemetry.sdk_private import LoggerProvider
from wattspan.telemetry.shutdown import in_threads

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """A meter and its readers. End it with `shutdown`."""

    meter: Meter
    reader: PrometheusReader
    meter_provider: MeterProvider
    logger_provider: LoggerProvider
    log_handler: logging.Handler | None
    """None: no logs are exported."""

    async def shutdown(self, timeout_s: float = EXPORT_TIMEOUT_S) -> None:
        """Export what is left and stop, within `timeout_s` even if a Collector hangs. Cancellation: safe."""
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
            log.warning("the last %s could not be exported within %g s", " and ".join(sorted(late)), timeout_s)


def setup_metering(service_name: str, environ: Mapping[str, str] = process_environ, *, instance: str = "") -> Metering:
    """Build it as the `OTEL_*` variables say; without an endpoint nothing is exported. OTEL_SERVICE_NAME wins."""
    resource = resource_of(environ, service_name, instance)
    reader = PrometheusReader(None, resource)
    readers: list[MetricReader] = [reader]
    if (metrics := exporter("metrics", environ)) is not None:
        readers.append(PeriodicExportingMetricReader(metrics, **cardinality_limits()))
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    meter = meters.get_meter(catalogue.METER, VERSION)
    register_process(meter)
    loggers = LoggerProvider(resource, shutdown_on_exit=False)
    handler = None
    if (logs := exporter("logs", environ)) is not None:
        # Lost records are not counted: this page has no metric for it, and lost metrics are exported the next time.
        loggers.add_log_record_processor(LogOutbox(logs, lambda _: None))
        handler = export_logs(loggers)
    return Metering(meter=meter, reader=reader, meter_provider=meters, logger_provider=loggers, log_handler=handler)
