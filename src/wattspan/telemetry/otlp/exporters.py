"""Chooses the OTLP exporter of each signal by the `OTEL_*` variables. The exporters read headers and TLS themselves."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

Signal = Literal["traces", "metrics", "logs"]

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
GRPC, HTTP = "grpc", "http/protobuf"
GRPC_PORT = 4317


def _grpc(signal: Signal) -> Any:
    """Return the exporter of a signal over gRPC; imported here, for it takes a tenth of a second."""
    from wattspan.telemetry.otlp import grpc_private as grpc  # noqa: PLC0415
    from wattspan.telemetry.otlp.spans import Encoder  # noqa: PLC0415

    if signal == "traces":
        return grpc.GrpcSpanExporter(Encoder().request)
    return grpc.GrpcMetricExporter() if signal == "metrics" else grpc.GrpcLogExporter()


def _http(signal: Signal) -> Any:
    """Return the exporter of a signal over HTTP; imported here like the others."""
    from wattspan.telemetry.otlp import http_private as http  # noqa: PLC0415
    from wattspan.telemetry.otlp.spans import Encoder  # noqa: PLC0415

    if signal == "traces":
        return http.HttpSpanExporter(Encoder().request)
    return http.HttpMetricExporter() if signal == "metrics" else http.HttpLogExporter()


_EXPORTERS: dict[str, Callable[[Signal], Any]] = {GRPC: _grpc, HTTP: _http}


def exporter(signal: Signal, environ: Mapping[str, str]) -> Any | None:
    """Return the OTLP exporter of a signal, or None if the variables say that it is not sent."""
    endpoint = _variable(signal, "ENDPOINT", environ)
    if not endpoint or disabled(environ) or not _wanted(signal, environ):
        return None
    protocol = _variable(signal, "PROTOCOL", environ) or _default_protocol(endpoint)
    make = _EXPORTERS.get(protocol)
    if make is None:
        log.warning("%s are not sent: no exporter supports the protocol %s", signal, protocol)
        return None
    return make(signal)


def disabled(environ: Mapping[str, str]) -> bool:
    """Return whether OTEL_SDK_DISABLED is true: then only /metrics is left."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _wanted(signal: Signal, environ: Mapping[str, str]) -> bool:
    """Return whether OTEL_{SIGNAL}_EXPORTER, a list, names `otlp`. No other exporter is supported."""
    names = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip() or "otlp"
    return "otlp" in (each.strip().lower() for each in names.split(","))


def _variable(signal: Signal, name: str, environ: Mapping[str, str]) -> str:
    """Return the signal's own OTEL_EXPORTER_OTLP_* variable, or else the general one; "" if neither is set."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()


def _default_protocol(endpoint: str) -> str:
    """Return the specification's default, HTTP, but gRPC for an endpoint without a scheme or with gRPC's port."""
    if "://" not in endpoint:
        return GRPC
    return GRPC if urlsplit(endpoint).port == GRPC_PORT else HTTP
