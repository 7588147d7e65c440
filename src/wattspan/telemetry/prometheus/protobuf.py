"""Renders the page in Prometheus' protobuf format, the only one with native histograms, beside the classic ones.

It owns the messages of `io.prometheus.client` that a page needs, built from the table below (field numbers are those
of prometheus/client_model), and how our families become such messages. It knows no HTTP.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from prometheus_client.metrics_core import Metric as PrometheusMetric

from wattspan.telemetry.catalogue import METRICS, Kind, Metric
from wattspan.telemetry.families import FAMILIES, Point, State, points
from wattspan.telemetry.histogram import SCALE, Exemplar, ExponentialSeries, Histogram, Series
from wattspan.telemetry.otlp.protobuf import varint
from wattspan.telemetry.prometheus.exposition import TARGET_INFO, sample_names

BLOCK = 64
"""Metrics encoded between two chances to pause: well below a millisecond."""
ZERO_THRESHOLD = 2.0**-128
"""Prometheus' default: values up to it are in the zero bucket."""
NS = 1_000_000_000

Wanted = Callable[[str], bool]
"""Returns whether a family or sample of this name was requested."""
Labels = Iterable[tuple[str, str]]

_F = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _F.TYPE_STRING,
    "double": _F.TYPE_DOUBLE,
    "uint64": _F.TYPE_UINT64,
    "uint32": _F.TYPE_UINT32,
    "int64": _F.TYPE_INT64,
    "int32": _F.TYPE_INT32,
    "sint64": _F.TYPE_SINT64,
    "sint32": _F.TYPE_SINT32,
}
_PACKAGE = "io.prometheus.client"
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "LabelPair": {"name": (1, "string"), "value": (2, "string")},
    "Gauge": {"value": (1, "double")},
    "Counter": {"value": (1, "double")},
    "Untyped": {"value": (1, "double")},
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Exemplar": {"label": (1, "LabelPair*"), "value": (2, "double"), "timestamp": (3, "Timestamp")},
    "Bucket": {"cumulative_count": (1, "uint64"), "upper_bound": (2, "double"), "exemplar": (3, "Exemplar")},
    "BucketSpan": {"offset": (1, "sint32"), "length": (2, "uint32")},
    "Histogram": {
        "sample_count": (1, "uint64"),
        "sample_sum": (2, "double"),
        "bucket": (3, "Bucket*"),
        "schema": (5, "sint32"),
        "zero_threshold": (6, "double"),
        "zero_count": (7, "uint64"),
        "positive_span": (12, "BucketSpan*"),
        "positive_delta": (13, "sint64*"),
    },
    "Metric": {
        "label": (1, "LabelPair*"),
        "gauge": (2, "Gauge"),
        "counter": (3, "Counter"),
        "untyped": (5, "Untyped"),
        "histogram": (7, "Histogram"),
    },
    # `type` is an enumeration there, which is encoded like an integer.
    "MetricFamily": {"name": (1, "string"), "help": (2, "string"), "type": (3, "int32"), "metric": (4, "Metric*")},
}
"""Fields by name: number and type; `*` marks a repeated field."""
_TYPES = {"counter": 0, "gauge": 1, "untyped": 3, "histogram": 4}
"""MetricType."""


def _field(name: str, number: int, type_name: str) -> Any:
    plain = type_name.removesuffix("*")
    field = _F(name=name, number=number, label=_F.LABEL_REPEATED if plain != type_name else _F.LABEL_OPTIONAL)
    if plain in _SCALARS:
        field.type = _SCALARS[plain]
    else:
        field.type, field.type_name = _F.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
    return field


def _classes() -> dict[str, Any]:
    """Return the classes of the messages, in a pool of their own: another library may register the same names."""
    file = descriptor_pb2.FileDescriptorProto(name="wattspan/metrics.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        file.message_type.add(name=name, field=[_field(field, *kind) for field, kind in fields.items()])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_OF = _classes()
MetricFamily, _Metric, _LabelPair, _Histogram = (
    _OF[name] for name in ("MetricFamily", "Metric", "LabelPair", "Histogram")
)
_Bucket, _BucketSpan, _Exemplar, _Timestamp = (_OF[name] for name in ("Bucket", "BucketSpan", "Exemplar", "Timestamp"))


class ProtobufPage:
    """Renders the state, as `page.Page` does."""

    def __init__(self, state: State) -> None:
        self._state = state

    def render(self, wanted: Wanted) -> Iterator[bytes]:
        """Yield each of our families that is `wanted`, in pieces. Empty ones are chances to pause."""
        state = self._state
        for family in FAMILIES.values():
            if _requested(family.metric, wanted) and state.shows(family.metric):
                yield from _delimited(family.metric, _numbers(family.metric, points(family, state)))
        for histogram in state.histograms:
            if _requested(histogram.metric, wanted) and state.shows(histogram.metric):
                yield from _delimited(histogram.metric, _recordings(histogram, state))


def target_info(attributes: Mapping[str, object]) -> bytes:
    """Return the resource as the family `target_info`. The names are labels already."""
    labels = [(name, str(value)) for name, value in attributes.items()]
    return _family(TARGET_INFO, "Resource of the target.", "gauge", [_number(labels, "gauge", 1.0)])


def collected_families(metrics: Iterable[SdkMetric], wanted: Wanted) -> Iterator[bytes]:
    """Yield our own metrics as the SDK collected them. All are of the catalogue."""
    for metric in metrics:
        own = METRICS[metric.name]
        if not _requested(own, wanted):
            continue
        found = [
            _collected(own, point)
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint if own.kind is Kind.HISTOGRAM else NumberDataPoint)
        ]
        if found:
            yield _family(own.name, own.help, own.kind.value, found)


def foreign_families(families: Iterable[PrometheusMetric]) -> Iterator[bytes]:
    """Yield families of other libraries, as the stock exporter makes them."""
    for family in families:
        if family.type == "histogram":
            yield _family(family.name, family.documentation, "histogram", list(_foreign_histograms(family)))
            continue
        kind = family.type if family.type in ("counter", "gauge") else "untyped"
        by_name: dict[str, list[Any]] = {}
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                by_name.setdefault(sample.name, []).append(_number(sample.labels.items(), kind, sample.value))
        for name, found in by_name.items():
            yield _family(name, family.documentation, kind, found)


def _requested(metric: Metric, wanted: Wanted) -> bool:
    return any(map(wanted, sample_names(metric.name, metric.kind)))


def _family(name: str, text: str, kind: str, metrics: Sequence[Any]) -> bytes:
    """Return a whole family, preceded by its length."""
    body: bytes = MetricFamily(name=name, help=text, type=_TYPES[kind], metric=metrics).SerializeToString()
    return varint(len(body)) + body


def _delimited(metric: Metric, found: Iterator[Any]) -> Iterator[bytes]:
    """Yield a family, preceded by its length, in pieces; nothing without metrics.

    A message may be written in parts: its repeated field goes on in each of them.
    """
    parts: list[bytes] = []
    while block := list(islice(found, BLOCK)):
        parts.append(MetricFamily(metric=block).SerializeToString())
        yield b""
    if not parts:
        return
    head = MetricFamily(name=metric.name, help=metric.help, type=_TYPES[metric.kind.value]).SerializeToString()
    yield varint(len(head) + sum(map(len, parts))) + head
    yield from parts


def _pairs(labels: Labels) -> list[Any]:
    """Return labels. What UTF-8 cannot encode becomes "?"."""
    return [
        _LabelPair(name=name, value=value if value.isascii() else value.encode(errors="replace").decode())
        for name, value in labels
    ]


def _number(labels: Labels, kind: str, value: float) -> Any:
    return _Metric(label=_pairs(labels), **{kind: {"value": value}})


def _numbers(metric: Metric, found: Iterable[Point]) -> Iterator[Any]:
    names, kind = metric.labels, metric.kind.value
    for point in found:
        yield _number(zip(names, point.labels, strict=True), kind, point.value)


def _recordings(histogram: Histogram, state: State) -> Iterator[Any]:
    names = histogram.metric.labels
    for _, group in state.groups(histogram):
        for series in group:
            yield _Metric(label=_pairs(zip(names, series.labels, strict=True)), histogram=_recording(series))


def _recording(series: Series) -> Any:
    """Return a series with its classic buckets, and with native ones if it has exponential ones."""
    cumulative = list(accumulate(series.counts))
    exemplars = series.exemplars
    recorded = _Histogram(sample_count=cumulative[-1], sample_sum=series.total)
    for index, (count, bound) in enumerate(zip(cumulative, (*series.bounds, float("inf")), strict=True)):
        last = exemplars.get(index)
        recorded.bucket.add(
            cumulative_count=count, upper_bound=bound, exemplar=None if last is None else _exemplar(last)
        )
    if isinstance(series, ExponentialSeries):
        _add_native(recorded, series)
    return recorded


def _add_native(recorded: Any, series: ExponentialSeries) -> None:
    """Add native buckets: runs of them, each count as its difference to the one before.

    Prometheus' bucket i ends at 2**(i / 2**schema); ours, as OpenTelemetry's, begins there.
    """
    recorded.schema, recorded.zero_threshold, recorded.zero_count = SCALE, ZERO_THRESHOLD, series.zeros
    end, before = 0, 0
    for index in sorted(series.exponential):
        count, place = series.exponential[index], index + 1
        if recorded.positive_span and place == end:
            recorded.positive_span[-1].length += 1
        else:
            recorded.positive_span.add(offset=place - end, length=1)
        recorded.positive_delta.append(count - before)
        end, before = place + 1, count


def _exemplar(found: Exemplar) -> Any:
    seconds, nanos = divmod(round(found.ts * NS), NS)
    labels = (("trace_id", f"{found.trace_id:032x}"), ("span_id", f"{found.span_id:016x}"))
    return _Exemplar(label=_pairs(labels), value=found.value, timestamp=_Timestamp(seconds=seconds, nanos=nanos))


def _collected(own: Metric, point: NumberDataPoint | HistogramDataPoint) -> Any:
    attributes = point.attributes or {}
    labels = [(label, str(attributes.get(label, ""))) for label in own.labels]
    if isinstance(point, NumberDataPoint):
        return _number(labels, own.kind.value, point.value)
    bounds = (*point.explicit_bounds, float("inf"))
    buckets = [
        _Bucket(cumulative_count=count, upper_bound=bound)
        for bound, count in zip(bounds, accumulate(point.bucket_counts), strict=True)
    ]
    return _Metric(
        label=_pairs(labels), histogram=_Histogram(sample_count=point.count, sample_sum=point.sum, bucket=buckets)
    )


def _foreign_histograms(family: PrometheusMetric) -> Iterator[Any]:
    """Yield the histograms of a family, whose buckets, sums and counts are samples of their own."""
    found: dict[tuple[tuple[str, str], ...], Any] = {}
    for sample in family.samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        recorded = found.setdefault(labels, _Histogram())
        if sample.name.endswith("_bucket"):
            recorded.bucket.add(cumulative_count=int(sample.value), upper_bound=float(sample.labels["le"]))
        elif sample.name.endswith("_sum"):
            recorded.sample_sum = sample.value
        elif sample.name.endswith("_count"):
            recorded.sample_count = int(sample.value)
    for labels, recorded in found.items():
        yield _Metric(label=_pairs(labels), histogram=recorded)
