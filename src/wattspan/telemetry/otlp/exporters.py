"""Which exporter a signal gets, by the `OTEL_*` variables; they read the rest (headers, TLS, time-outs) themselves."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter

from wattspan.telemetry.otlp.spans import (
    POINTS_PER_REQUEST,
    GrpcMetricExporter,
    GrpcSpanExporter,
    HttpMetricExporter,
    HttpSpanExporter,
)

log = logging.getLogger(__name__)

Signal = Literal["traces", "metrics", "logs"]

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
GRPC, HTTP = "grpc", "http/protobuf"
GRPC_PORT = 4317

_MADE: dict[tuple[Signal, str], Callable[[], Any]] = {
    ("traces", GRPC): GrpcSpanExporter,
    ("traces", HTTP): HttpSpanExporter,
    ("metrics", GRPC): GrpcMetricExporter,
    ("metrics", HTTP): lambda: HttpMetricExporter(max_export_batch_size=POINTS_PER_REQUEST),
    ("logs", GRPC): GrpcLogExporter,
    ("logs", HTTP): HttpLogExporter,
}


def exporter(signal: Signal, environ: Mapping[str, str]) -> Any | None:
    """The OTLP exporter of a signal; None: it is not sent."""
    endpoint = _of(signal, "ENDPOINT", environ)
    if not endpoint or disabled(environ) or not _wanted(signal, environ):
        return None
    protocol = _of(signal, "PROTOCOL", environ) or _protocol_of(endpoint)
    try:
        return _MADE[signal, protocol]()
    except KeyError:
        log.warning("%s are not sent: no exporter speaks %s", signal, protocol)
        return None


def disabled(environ: Mapping[str, str]) -> bool:
    """OTEL_SDK_DISABLED: /metrics stays, all else is off."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _wanted(signal: Signal, environ: Mapping[str, str]) -> bool:
    """OTEL_TRACES_EXPORTER and its sisters: a list; we send by OTLP or not at all."""
    named = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip() or "otlp"
    return "otlp" in (each.strip().lower() for each in named.split(","))


def _of(signal: Signal, what: str, environ: Mapping[str, str]) -> str:
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{what}", "").strip()


def _protocol_of(endpoint: str) -> str:
    """Where none is named: the specification's default, but gRPC for what is plainly a gRPC address."""
    if "://" not in endpoint:
        return GRPC
    return GRPC if urlsplit(endpoint).port == GRPC_PORT else HTTP
