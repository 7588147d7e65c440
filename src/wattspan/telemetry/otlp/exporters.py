"""Chooses the exporter of each signal by the `OTEL_*` variables. The exporters read headers and TLS themselves."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

Signal = Literal["traces", "metrics", "logs"]

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
GRPC, HTTP = "grpc", "http/protobuf"
GRPC_PORT = 4317


def _grpc(signal: Signal, timeout_s: float | None) -> Any:
    """Return the exporter of a signal over gRPC; imported here, for it takes a tenth of a second."""
    from wattspan.telemetry.otlp import grpc_private as grpc  # noqa: PLC0415
    from wattspan.telemetry.otlp.spans import Encoder  # noqa: PLC0415

    if signal == "traces":
        return grpc.GrpcSpanExporter(Encoder().request, timeout_s)
    return grpc.GrpcMetricExporter(timeout_s) if signal == "metrics" else grpc.GrpcLogExporter(timeout_s)


def _http(signal: Signal, timeout_s: float | None) -> Any:
    """Return the exporter of a signal over HTTP; imported here like the others."""
    from wattspan.telemetry.otlp import http_private as http  # noqa: PLC0415
    from wattspan.telemetry.otlp.spans import Encoder  # noqa: PLC0415

    if signal == "traces":
        return http.HttpSpanExporter(Encoder().request, timeout_s)
    return http.HttpMetricExporter(timeout_s) if signal == "metrics" else http.HttpLogExporter(timeout_s)


def _console(signal: Signal) -> Any:
    """Return the console exporter of a signal; imported here like the others."""
    from wattspan.telemetry.otlp import console  # noqa: PLC0415

    if signal == "traces":
        return console.ConsoleSpanExporter()
    return console.ConsoleMetricSender() if signal == "metrics" else console.ConsoleLogRecordExporter()


_EXPORTERS: dict[str, Callable[[Signal, float | None], Any]] = {GRPC: _grpc, HTTP: _http}


def exporter(signal: Signal, environ: Mapping[str, str]) -> Any | None:
    """Return the exporter of a signal, or None if the variables say that it is not sent."""
    if disabled(environ):
        return None
    if _is_named("console", signal, environ):
        return _console(signal)
    endpoint = _variable(signal, "ENDPOINT", environ)
    if not endpoint or not _is_named("otlp", signal, environ):
        return None
    protocol = _variable(signal, "PROTOCOL", environ) or _default_protocol(endpoint)
    make = _EXPORTERS.get(protocol)
    if make is None:
        log.warning("%s are not sent: no exporter supports the protocol %s", signal, protocol)
        return None
    return make(signal, timeout_s(signal, environ))


def destinations(environ: Mapping[str, str]) -> dict[str, str]:
    """Return host and port of the endpoint of each signal that has one, without credentials."""
    endpoints = {signal: _variable(signal, "ENDPOINT", environ) for signal in SIGNALS}
    parts = {signal: urlsplit(each if "://" in each else f"//{each}") for signal, each in endpoints.items() if each}
    return {signal: part.netloc.rpartition("@")[2] for signal, part in parts.items()}


def timeout_s(signal: Signal, environ: Mapping[str, str]) -> float | None:
    """Return the time-out of a signal's exporter; None: its default. The variable is in ms, as the specification says.

    The Python exporters would take the variable as seconds, so it is passed to them.
    """
    text = _variable(signal, "TIMEOUT", environ)
    try:
        milliseconds = float(text or "nan")
    except ValueError:
        return None
    return milliseconds / 1000 if milliseconds > 0 else None


def disabled(environ: Mapping[str, str]) -> bool:
    """Return whether OTEL_SDK_DISABLED is true: then only /metrics is left."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _is_named(name: str, signal: Signal, environ: Mapping[str, str]) -> bool:
    """Return whether OTEL_{SIGNAL}_EXPORTER, a list, names an exporter; the default is `otlp`."""
    names = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip() or "otlp"
    return name in (each.strip().lower() for each in names.split(","))


def _variable(signal: Signal, name: str, environ: Mapping[str, str]) -> str:
    """Return the signal's own OTEL_EXPORTER_OTLP_* variable, or else the general one; "" if neither is set."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()


def _default_protocol(endpoint: str) -> str:
    """Return the specification's default, HTTP, but gRPC for an endpoint without a scheme or with gRPC's port."""
    if "://" not in endpoint:
        return GRPC
    return GRPC if urlsplit(endpoint).port == GRPC_PORT else HTTP
