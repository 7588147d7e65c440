"""The two text formats: escaping, numbers, family heads, exemplars; and content negotiation. Pure functions.

Prometheus text 0.0.4 and OpenMetrics 1.0 (section numbers are those of OpenMetrics).
"""

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache

from wattspan.telemetry.catalogue import Kind
from wattspan.telemetry.histogram import Exemplar


class Format(Enum):
    """A format of the page; its value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    """Rendered by `prometheus.protobuf`."""


_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
TARGET, TARGET_INFO = "target", "target_info"
_UNSAFE = re.compile("[^a-zA-Z0-9_]")
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def pairs(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return label pairs as they stand between the braces, e.g. `cp_id="CP1",connector_id="1"`."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))


cached_pairs = lru_cache(maxsize=4096)(pairs)
"""The same, cached, for values from a small set."""


def special(value: float) -> str:
    """Return NaN or an infinity as the formats spell it."""
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124  NaN alone differs from itself


def number(value: float) -> str:
    """Return the value of a sample as text."""
    return f"{value}" if value - value == 0 else special(value)


def head(name: str, kind: Kind, text: str, form: Format) -> str:
    """Return the HELP and TYPE lines of a family.

    OpenMetrics names a counter's family without `_total` (§5.1.2) and has no counters whose samples lack it: such a
    family is `unknown` there.
    """
    family, type_name = name, kind.value
    if form is Format.OPENMETRICS and kind is Kind.COUNTER:
        family, type_name = (name.removesuffix("_total"), type_name) if name.endswith("_total") else (name, "unknown")
    escapes = _ESCAPES if form is Format.OPENMETRICS else _HELP_ESCAPES
    return f"# HELP {family} {text.translate(escapes)}\n# TYPE {family} {type_name}\n"


def exemplar(found: Exemplar) -> str:
    """Return an exemplar as it follows the count of a bucket (OpenMetrics §4.6.1)."""
    # %-formatting takes the tuple as it is: a page may have hundreds of thousands.
    return ' # {trace_id="%032x",span_id="%016x"} %.9g %.3f' % found  # noqa: UP031


def target_labels(attributes: Mapping[str, object]) -> dict[str, str]:
    """Return the attributes of a resource as labels."""
    return {_UNSAFE.sub("_", name): str(value) for name, value in attributes.items()}


def target_info(attributes: Mapping[str, object], form: Format) -> str:
    """Return the resource as the family `target_info` (OTel spec, Prometheus compatibility: resource attributes)."""
    found = target_labels(attributes)
    family, kind = (TARGET, "info") if form is Format.OPENMETRICS else (TARGET_INFO, "gauge")
    labels = pairs(tuple(found), tuple(found.values()))
    return f"# HELP {family} Resource of the target.\n# TYPE {family} {kind}\n{TARGET_INFO}{{{labels}}} 1\n"


def sample_names(name: str, kind: Kind) -> tuple[str, ...]:
    """Return the names of a family and its samples, for the `name[]` filter."""
    if kind is Kind.HISTOGRAM:
        return (name, f"{name}_bucket", f"{name}_sum", f"{name}_count")
    return (name, name.removesuffix("_total")) if kind is Kind.COUNTER else (name,)


_PROTOBUF = "application/vnd.google.protobuf"
_DELIMITED = {"proto=io.prometheus.client.metricfamily", "encoding=delimited"}


def wanted(accept: str, *, protobuf: bool = False) -> Format:
    """Return the format that an Accept header prefers; text 0.0.4 if it prefers none.

    `protobuf`: whether Prometheus' protobuf format is offered.
    """
    quality = dict(_qualities(accept))
    openmetrics = quality.get("application/openmetrics-text", 0.0)
    text = max((quality[each] for each in ("text/plain", "text/*", "*/*") if each in quality), default=0.0)
    if protobuf and quality.get(_PROTOBUF, 0.0) > max(openmetrics, quality.get("text/plain", text)):
        return Format.PROTOBUF
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= quality.get("text/plain", text) else Format.TEXT


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip (RFC 9110 §12.5.3)."""
    quality = dict(_qualities(accept_encoding))
    return quality.get("gzip", quality.get("*", 0.0)) > 0


def _qualities(header: str) -> Iterable[tuple[str, float]]:
    """Return what a header accepts and the weights; for duplicates, the highest weight."""
    best: dict[str, float] = {}
    for item in header.split(","):
        word, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if word and (word != _PROTOBUF or _DELIMITED.issubset(parameters)):  # it has other messages and encodings
            best[word] = max(best.get(word, 0.0), weight)
    return best.items()
