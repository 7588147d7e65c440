"""Tracing for any program in one call. It owns the process's tracer provider once `setup_tracing` has set it."""

import atexit
from os import environ

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from wattspan.telemetry.otlp.exporters import exporter
from wattspan.telemetry.otlp.outbox import span_outbox
from wattspan.telemetry.resource import resource_of

_tracing: TracerProvider | None = None


def setup_tracing(service_name: str) -> None:
    """Export the traces of this process by OTLP, as the `OTEL_*` variables say.

    OTEL_SERVICE_NAME overrides `service_name`. Without an endpoint nothing is exported and nothing is logged. A second
    call does nothing, and neither does a call after another tracer provider was set. At exit the last spans are
    exported, for at most 5 seconds.
    """
    global _tracing  # noqa: PLW0603  as global as the provider it sets
    if _tracing is not None:
        return
    _tracing = provider = TracerProvider(resource=resource_of(environ, service_name), shutdown_on_exit=False)
    spans = exporter("traces", environ)
    if spans is not None:
        _tracing.add_span_processor(span_outbox(spans, lambda _: None, environ))
        atexit.register(provider.shutdown)
    trace.set_tracer_provider(_tracing)
