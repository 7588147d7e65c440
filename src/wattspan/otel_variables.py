"""Checks the `OTEL_*` variables that we rely on. It reads no environment itself.

The SDK only logs a value that it cannot parse and continues with a default; we report it before anything starts.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from urllib.parse import urlsplit


def otel_faults(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each invalid variable. An empty one counts as not set (OTel spec, environment variables).

    The value of a HEADERS variable is never shown: it holds tokens.
    """
    for variable, (is_valid, requirement) in _CHECKS.items():
        if (value := environ.get(variable, "").strip()) and not is_valid(value, environ):
            yield f"{variable}: {'the value' if 'HEADERS' in variable else value} is not {requirement}"


_Check = tuple[Callable[[str, Mapping[str, str]], bool], str]
_SIGNALS = ("", "TRACES_", "METRICS_", "LOGS_")
_SAMPLERS = {
    f"{parent}{sampler}" for parent in ("", "parentbased_") for sampler in ("always_on", "always_off", "traceidratio")
}


def _is_endpoint(value: str, environ: Mapping[str, str]) -> bool:
    """Return whether it is an http or https URL, or for gRPC `host:port`."""
    try:
        url = urlsplit(value if "://" in value else f"grpc://{value}")
        port = url.port  # raises ValueError if it is not a number
    except ValueError:
        return False
    grpc = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "") in {"", "grpc"}
    return bool(url.hostname) and (
        url.scheme in {"http", "https"} or (url.scheme == "grpc" and grpc and port is not None)
    )


def _is_sampler(value: str, _: Mapping[str, str]) -> bool:
    return value.lower() in _SAMPLERS or bool(entry_points(group="opentelemetry_traces_sampler", name=value))


def _is_sampler_argument(value: str, environ: Mapping[str, str]) -> bool:
    """Return whether it is valid: a ratio for the ratio samplers of the specification, anything for others."""
    ratio = environ.get("OTEL_TRACES_SAMPLER", "").lower() in {"traceidratio", "parentbased_traceidratio"}
    return not ratio or _in_range(0, 1)[0](value, environ)


def _one_of(*choices: str) -> _Check:
    return lambda value, _: value.lower() in choices, f"one of {', '.join(choices)}"


def _in_range(minimum: float, maximum: float = float("inf")) -> _Check:
    def is_in_range(value: str, _: Mapping[str, str]) -> bool:
        try:
            return minimum <= float(value) <= maximum
        except ValueError:
            return False

    has_maximum = maximum < float("inf")
    return is_in_range, f"between {minimum:g} and {maximum:g}" if has_maximum else f"a number of at least {minimum:g}"


_PAIRS: _Check = (
    lambda value, _: all(re.match(r"\s*[^=\s]+\s*=", pair) for pair in value.split(",") if pair.strip()),
    "a comma-separated list of key=value pairs",
)
_CHECKS: dict[str, _Check] = {
    **{f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT": (_is_endpoint, "an http or https URL") for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}PROTOCOL": _one_of("grpc", "http/protobuf") for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}COMPRESSION": _one_of("none", "gzip", "deflate") for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}TIMEOUT": _in_range(0) for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}HEADERS": _PAIRS for signal in _SIGNALS},
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": _one_of("cumulative", "delta", "lowmemory"),
    "OTEL_METRIC_EXPORT_INTERVAL": _in_range(1),
    "OTEL_METRIC_EXPORT_TIMEOUT": _in_range(1),
    "OTEL_RESOURCE_ATTRIBUTES": _PAIRS,
    "OTEL_SDK_DISABLED": _one_of("true", "false"),
    "OTEL_TRACES_SAMPLER": (_is_sampler, f"one of {', '.join(sorted(_SAMPLERS))}"),
    "OTEL_TRACES_SAMPLER_ARG": (_is_sampler_argument, "between 0 and 1"),
}
