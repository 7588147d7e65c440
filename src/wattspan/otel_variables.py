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


def otel_warnings(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that is set and has no effect here."""
    for variable, text in _WITHOUT_EFFECT.items():
        if environ.get(variable, "").strip():
            yield f"{variable} has no effect: {text}"
    if environ.get("OTEL_METRICS_EXEMPLAR_FILTER", "").strip().lower() == "always_on":
        yield "OTEL_METRICS_EXEMPLAR_FILTER: always_on is as trace_based for our histograms: exemplars need a kept span"


_WITHOUT_EFFECT = {
    "OTEL_BSP_EXPORT_TIMEOUT": "the SDK does not use it; set OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_BLRP_EXPORT_TIMEOUT": "the SDK does not use it; set OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "only the stable conventions are used",
    "OTEL_ENTITIES": "the SDK has no entities; set OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "there is no Zipkin exporter; a Collector has one",
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT": "there is no Zipkin exporter; a Collector has one",
    "OTEL_PYTHON_TRACER_PROVIDER": "Wattspan builds its own provider; pass one to CentralSystem instead",
    "OTEL_PYTHON_METER_PROVIDER": "Wattspan builds its own provider; pass one to CentralSystem instead",
    "OTEL_PYTHON_ID_GENERATOR": "session spans need ids that are known before",
    "OTEL_PYTHON_TRACER_CONFIGURATOR": "configurators are not supported",
    "OTEL_PYTHON_METER_CONFIGURATOR": "configurators are not supported",
    "OTEL_PYTHON_LOGGER_CONFIGURATOR": "configurators are not supported",
}

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


def _are_exporters(*known: str) -> _Check:
    """Return the check of a list of exporters, of which `otlp` and `console` exclude each other."""

    def are_known(value: str, _: Mapping[str, str]) -> bool:
        names = [each.strip().lower() for each in value.split(",")]
        return all(each in known for each in names) and not {"otlp", "console"} <= set(names)

    return are_known, f"one of {', '.join(known)} (not otlp and console at once)"


def _are_propagators(value: str, _: Mapping[str, str]) -> bool:
    names = [each.strip() for each in value.split(",") if each.strip()]
    return names == ["none"] or all(entry_points(group="opentelemetry_propagator", name=name) for name in names)


def _is_never_valid(_value: str, _: Mapping[str, str]) -> bool:
    return False


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
_CONFIGURATION: _Check = (
    _is_never_valid,
    "supported: declarative configuration is not part of the SDK; set the variables",
)
_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
)
_QUEUES = ("MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE", "SCHEDULE_DELAY", "EXPORT_TIMEOUT")
_CHECKS: dict[str, _Check] = {
    **{f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT": (_is_endpoint, "an http or https URL") for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}PROTOCOL": _one_of("grpc", "http/protobuf") for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}COMPRESSION": _one_of("none", "gzip", "deflate") for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}TIMEOUT": _in_range(0) for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}HEADERS": _PAIRS for signal in _SIGNALS},
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": _one_of("cumulative", "delta", "lowmemory"),
    "OTEL_TRACES_EXPORTER": _are_exporters("otlp", "console", "none"),
    "OTEL_METRICS_EXPORTER": _are_exporters("otlp", "console", "prometheus", "none"),
    "OTEL_LOGS_EXPORTER": _are_exporters("otlp", "console", "none"),
    "OTEL_PROPAGATORS": (
        _are_propagators,
        "a list of installed propagators (tracecontext, baggage; opentelemetry-propagator-b3 and -jaeger bring b3 "
        "and jaeger) or none",
    ),
    "OTEL_CONFIG_FILE": _CONFIGURATION,
    "OTEL_EXPERIMENTAL_CONFIG_FILE": _CONFIGURATION,
    "OTEL_METRICS_EXEMPLAR_FILTER": _one_of("trace_based", "always_off", "always_on"),
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": _one_of(
        "explicit_bucket_histogram", "base2_exponential_bucket_histogram"
    ),
    "OTEL_LOG_LEVEL": _one_of("trace", "debug", "info", "warn", "warning", "error", "fatal", "none"),
    **{name: _in_range(0) for name in _LIMITS},
    **{f"OTEL_{queue}_{name}": _in_range(1) for queue in ("BSP", "BLRP") for name in _QUEUES},
    "OTEL_METRIC_EXPORT_INTERVAL": _in_range(1),
    "OTEL_METRIC_EXPORT_TIMEOUT": _in_range(1),
    "OTEL_RESOURCE_ATTRIBUTES": _PAIRS,
    "OTEL_SDK_DISABLED": _one_of("true", "false"),
    "OTEL_TRACES_SAMPLER": (_is_sampler, f"one of {', '.join(sorted(_SAMPLERS))}"),
    "OTEL_TRACES_SAMPLER_ARG": (_is_sampler_argument, "between 0 and 1"),
}
