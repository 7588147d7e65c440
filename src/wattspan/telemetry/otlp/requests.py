"""What the exporters of both protocols share: the size of a request and what is asked of the SDK."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.metrics.view import Aggregation
from opentelemetry.sdk.trace import ReadableSpan

POINTS_PER_REQUEST = 2000
"""Metric points in one request: gRPC receivers accept 4 MiB by default."""

Encode = Callable[[Sequence[ReadableSpan]], bytes]
"""Returns an ExportTraceServiceRequest; called on the batch processor's thread."""


class Preferences(NamedTuple):
    """What a metric exporter asks of the SDK, by instrument class."""

    temporality: dict[type, AggregationTemporality] | None
    aggregation: dict[type, Aggregation] | None
