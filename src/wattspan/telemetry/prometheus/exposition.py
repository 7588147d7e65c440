"""The words of the two text formats: escaping, numbers, family heads, and which of them a scraper wants. Pure.

Prometheus text 0.0.4 and OpenMetrics 1.0 (their specifications; §numbers are OpenMetrics').
"""

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache

from wattspan.telemetry.catalogue import Kind
from wattspan.telemetry.histogram import Exemplar


class Format(Enum):
    """A text format; its value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def pairs(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Label pairs as they stand between the braces, e.g. `cp_id="CP1",connector_id="1"`."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))


kept_pairs = lru_cache(maxsize=4096)(pairs)
"""The same for values out of a small vocabulary."""


def special(value: float) -> str:
    """A number that Python spells otherwise: NaN and the infinities."""
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124  NaN alone differs from itself


def number(value: float) -> str:
    """A sample's value."""
    return f"{value}" if value - value == 0 else special(value)


def head(name: str, kind: Kind, text: str, form: Format) -> str:
    """The lines above a family's samples.

    OpenMetrics names a counter's family without `_total` (§5.1.2), and knows no counter whose samples lack it:
    such a one is `unknown` there.
    """
    family, word = name, kind.value
    if form is Format.OPENMETRICS and kind is Kind.COUNTER:
        family, word = (name.removesuffix("_total"), word) if name.endswith("_total") else (name, "unknown")
    escapes = _ESCAPES if form is Format.OPENMETRICS else _HELP_ESCAPES
    return f"# HELP {family} {text.translate(escapes)}\n# TYPE {family} {word}\n"


def exemplar(found: Exemplar) -> str:
    """An exemplar as it follows a bucket's count (OpenMetrics §4.6.1)."""
    # As a tuple, %-formatting takes it whole: there are hundreds of thousands on a page.
    return ' # {trace_id="%032x",span_id="%016x"} %.9g %.3f' % found  # noqa: UP031


def sample_names(name: str, kind: Kind) -> tuple[str, ...]:
    """Every name a family goes by: its own and its samples', for the `name[]` filter."""
    if kind is Kind.HISTOGRAM:
        return (name, f"{name}_bucket", f"{name}_sum", f"{name}_count")
    return (name, name.removesuffix("_total")) if kind is Kind.COUNTER else (name,)


def wanted(accept: str) -> Format:
    """The format an Accept header prefers; text 0.0.4 when it does not say, and where both are as welcome."""
    quality = dict(_qualities(accept))
    openmetrics = quality.get("application/openmetrics-text", 0.0)
    text = max((quality[each] for each in ("text/plain", "text/*", "*/*") if each in quality), default=0.0)
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= quality.get("text/plain", text) else Format.TEXT


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110 §12.5.3)."""
    quality = dict(_qualities(accept_encoding))
    return quality.get("gzip", quality.get("*", 0.0)) > 0


def _qualities(header: str) -> Iterable[tuple[str, float]]:
    """What a header accepts, with its weight; of one named twice, the best."""
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
        if word:
            best[word] = max(best.get(word, 0.0), weight)
    return best.items()
