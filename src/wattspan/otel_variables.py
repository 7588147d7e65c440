"""The `OTEL_*` variables we rely on, and which values of them OpenTelemetry understands. Reads no environment itself.

The SDK only logs what it can't read and goes on with something else; so it is told before anything starts.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from urllib.parse import urlsplit


def otel_faults(environ: Mapping[str, str]) -> Iterator[str]:
    """OTel spec, environment variables: empty means not set. A fault never shows headers: they hold tokens."""
    for variable, (right, must) in _OTEL.items():
        if (value := environ.get(variable, "").strip()) and not right(value, environ):
            yield f"{variable}: {'it' if 'HEADERS' in variable else value} is not {must}"


_Check = tuple[Callable[[str, Mapping[str, str]], bool], str]
_EVERY_SIGNAL = ("", "TRACES_", "METRICS_", "LOGS_")
_SAMPLERS = {
    f"{parent}{sampler}" for parent in ("", "parentbased_") for sampler in ("always_on", "always_off", "traceidratio")
}


def _is_endpoint(value: str, environ: Mapping[str, str]) -> bool:
    """An http(s) URL; gRPC takes `host:port` as well."""
    try:
        url = urlsplit(value if "://" in value else f"grpc://{value}")
        port = url.port  # raises when it is no number
    except ValueError:
        return False
    grpc = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "") in {"", "grpc"}
    return bool(url.hostname) and (
        url.scheme in {"http", "https"} or (url.scheme == "grpc" and grpc and port is not None)
    )


def _is_sampler(value: str, _: Mapping[str, str]) -> bool:
    return value.lower() in _SAMPLERS or bool(entry_points(group="opentelemetry_traces_sampler", name=value))


def _is_sampler_argument(value: str, environ: Mapping[str, str]) -> bool:
    """Only the ratio samplers of the specification read it as a ratio."""
    ratio = environ.get("OTEL_TRACES_SAMPLER", "").lower() in {"traceidratio", "parentbased_traceidratio"}
    return not ratio or _in_range(0, 1)[0](value, environ)


def _one_of(*words: str) -> _Check:
    return lambda value, _: value.lower() in words, f"one of {', '.join(words)}"


def _in_range(least: float, most: float = float("inf")) -> _Check:
    def right(value: str, _: Mapping[str, str]) -> bool:
        try:
            return least <= float(value) <= most
        except ValueError:
            return False

    return right, f"between {least:g} and {most:g}" if most < float("inf") else f"a number of {least:g} or more"


_PAIRS: _Check = (
    lambda value, _: all(re.match(r"\s*[^=\s]+\s*=", pair) for pair in value.split(",") if pair.strip()),
    "a list of key=value, commas between them",
)
_OTEL: dict[str, _Check] = {
    **{f"OTEL_EXPORTER_OTLP_{of}ENDPOINT": (_is_endpoint, "an http or https URL") for of in _EVERY_SIGNAL},
    **{f"OTEL_EXPORTER_OTLP_{of}PROTOCOL": _one_of("grpc", "http/protobuf") for of in _EVERY_SIGNAL},
    **{f"OTEL_EXPORTER_OTLP_{of}COMPRESSION": _one_of("none", "gzip", "deflate") for of in _EVERY_SIGNAL},
    **{f"OTEL_EXPORTER_OTLP_{of}TIMEOUT": _in_range(0) for of in _EVERY_SIGNAL},
    **{f"OTEL_EXPORTER_OTLP_{of}HEADERS": _PAIRS for of in _EVERY_SIGNAL},
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": _one_of("cumulative", "delta", "lowmemory"),
    "OTEL_METRIC_EXPORT_INTERVAL": _in_range(1),
    "OTEL_METRIC_EXPORT_TIMEOUT": _in_range(1),
    "OTEL_RESOURCE_ATTRIBUTES": _PAIRS,
    "OTEL_SDK_DISABLED": _one_of("true", "false"),
    "OTEL_TRACES_SAMPLER": (_is_sampler, f"one of {', '.join(sorted(_SAMPLERS))}"),
    "OTEL_TRACES_SAMPLER_ARG": (_is_sampler_argument, "between 0 and 1"),
}
