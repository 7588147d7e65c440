"""How a metric, a span or an attribute is defined, and the registers of all of them. It must not know any of them."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """The type of a metric, as Prometheus names it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `bounds` are a histogram's upper bucket edges, ascending, without +Inf; empty for the other kinds."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()

    def without(self, label: str) -> "Metric":
        """Return the same metric without this label."""
        return replace(self, labels=tuple(own for own in self.labels if own != label))


METRICS: dict[str, Metric] = {}
"""All metrics by name, in the order of the page."""
SPANS: dict[str, str] = {}
"""The meaning of each span, by name."""
LOG_EVENTS: dict[str, str] = {}
"""The meaning of each `event.name` of a log record that has no span of that name."""
ATTRIBUTES: dict[str, str] = {}
"""The meaning of each attribute of a span or label of a metric, by name."""


def span(name: str, help: str) -> str:
    """Register a span and return its name."""
    SPANS[name] = help
    return name


def log_event(name: str, help: str) -> str:
    """Register the `event.name` of a log record without a span of its own, and return it."""
    LOG_EVENTS[name] = help
    return name


def attribute(name: str, help: str) -> str:
    """Register an attribute or a label and return its name."""
    ATTRIBUTES[name] = help
    return name


def metric(
    name: str, kind: Kind, unit: str, labels: tuple[str, ...], text: str, bounds: tuple[float, ...] = ()
) -> Metric:
    """Register a metric and return it."""
    METRICS[name] = Metric(name=name, kind=kind, unit=unit, labels=labels, help=text, bounds=bounds)
    return METRICS[name]


def gauge(name: str, unit: str, text: str, *labels: str) -> Metric:
    """Register a gauge and return it."""
    return metric(name, Kind.GAUGE, unit, labels, text)


def counter(name: str, unit: str, text: str, *labels: str) -> Metric:
    """Register a counter and return it."""
    return metric(name, Kind.COUNTER, unit, labels, text)


def seconds(name: str, text: str, *labels: str, bounds: tuple[float, ...]) -> Metric:
    """Register a histogram of durations and return it."""
    return metric(name, Kind.HISTOGRAM, "s", labels, text, bounds)
