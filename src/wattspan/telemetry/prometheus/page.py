"""Renders our own families as text, in small pieces. It owns the layout and a cache of label texts; no HTTP here.

Rendering is a plain generator, so its caller decides when to pause. Charge points may come and go at each pause. It may
run on another thread than the one that changes the state, so dictionaries are copied before they are iterated.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from wattspan.domain.model import ChargePoint
from wattspan.telemetry.catalogue import CONNECTOR_ID, CP_ID, Metric
from wattspan.telemetry.families import FAMILIES, Family, Scope, State
from wattspan.telemetry.histogram import Histogram, Series
from wattspan.telemetry.prometheus.exposition import (
    Format,
    cached_pairs,
    exemplar,
    head,
    number,
    pairs,
    sample_names,
    special,
)

BLOCK = 32
"""Charge points in a piece: well below a millisecond, even if charging profiles have to be evaluated."""

Wanted = Callable[[str], bool]
"""Returns whether a family or sample of this name was requested."""


class Page:
    """Renders the state. Caches the label texts of every charge point and connector between scrapes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._labels: dict[str, dict[str | None, str]] = {}

    def forget(self, cp_id: str) -> None:
        """Drop the label texts of a decommissioned charge point."""
        self._labels.pop(cp_id, None)

    def render(self, form: Format, wanted: Wanted) -> Iterator[str]:
        """Yield each of our families that is `wanted`, in pieces, without the end mark."""
        cps = self._state.charge_points()
        for family in FAMILIES.values():
            if _requested(family.metric, wanted) and self._state.shows(family.metric):
                yield from _headed(family.metric, form, self._family(family, cps))
        for histogram in self._state.histograms:
            if _requested(histogram.metric, wanted) and self._state.shows(histogram.metric):
                yield from _headed(histogram.metric, form, self._histogram(histogram, form))
        self._prune()

    def _family(self, family: Family, cps: Sequence[ChargePoint]) -> Iterator[str]:
        if family.scope is Scope.SERVER:
            yield _server(family, self._state)
            return
        lines = self._lines[family.scope, family.keyed]
        now_ts = self._state.clock()
        for start in range(0, len(cps), BLOCK):
            yield "".join(lines(self, family, cps[start : start + BLOCK], now_ts))

    def _charge_points(self, family: Family, cps: Sequence[ChargePoint], _now_ts: float) -> Iterator[str]:
        name, read = family.metric.name, family.read
        for cp in cps:
            value = read(cp)
            if value is not None:
                written = value if value - value == 0 else special(value)
                yield f"{name}{{{self._text(cp.cp_id, None)}}} {written}\n"

    def _charge_points_keyed(self, family: Family, cps: Sequence[ChargePoint], _now_ts: float) -> Iterator[str]:
        name, names = family.metric.name, family.metric.labels[family.scope :]
        for cp in cps:
            for key, value in family.read(cp).copy().items():
                yield f"{name}{{{self._text(cp.cp_id, None)},{_key(names, key)}}} {number(value)}\n"

    def _connectors(self, family: Family, cps: Sequence[ChargePoint], now_ts: float) -> Iterator[str]:
        name, read = family.metric.name, family.read
        for cp in cps:
            for connector_id, connector in cp.connectors.copy().items():
                value = read(cp, connector, now_ts)
                if value is not None:
                    written = value if value - value == 0 else special(value)
                    yield f"{name}{{{self._text(cp.cp_id, connector_id)}}} {written}\n"

    def _connectors_keyed(self, family: Family, cps: Sequence[ChargePoint], now_ts: float) -> Iterator[str]:
        name, names = family.metric.name, family.metric.labels[family.scope :]
        for cp in cps:
            for connector_id, connector in cp.connectors.copy().items():
                for key, value in family.read(cp, connector, now_ts).copy().items():
                    yield f"{name}{{{self._text(cp.cp_id, connector_id)},{_key(names, key)}}} {number(value)}\n"

    _lines = {  # noqa: RUF012  a table of the methods above
        (Scope.CHARGE_POINT, False): _charge_points,
        (Scope.CHARGE_POINT, True): _charge_points_keyed,
        (Scope.CONNECTOR, False): _connectors,
        (Scope.CONNECTOR, True): _connectors_keyed,
    }

    def _histogram(self, histogram: Histogram, form: Format) -> Iterator[str]:
        metric = histogram.metric
        by_cp = metric.labels[:1] == (CP_ID,)
        lines = _Lines(metric, form)
        block: list[str] = []
        for first, group in self._state.groups(histogram):
            for series in group:
                if by_cp:
                    labels = f"{self._text(first, None)},{_key(metric.labels[1:], series.labels[1:])}"
                else:
                    labels = _key(metric.labels, series.labels)
                block.append(lines.of(labels, series))
            if len(block) >= BLOCK:
                yield "".join(block)
                block = []
        yield "".join(block)

    def _text(self, cp_id: str, connector_id: str | None) -> str:
        """Return the label pairs of a connector, or those of its charge point if `connector_id` is None."""
        try:
            return self._labels[cp_id][connector_id]
        except KeyError:
            text = pairs((CP_ID,), (cp_id,))
            if connector_id is not None:
                text = f"{text},{pairs((CONNECTOR_ID,), (connector_id,))}"
            self._labels.setdefault(cp_id, {})[connector_id] = text
            return text

    def _prune(self) -> None:
        """Drop the texts of charge points that were removed during the scrape and cached again after that."""
        if len(self._labels) > len(self._state.fleet.charge_points):
            for cp_id in self._labels.keys() - self._state.fleet.charge_points.keys():
                self.forget(cp_id)


def _requested(metric: Metric, wanted: Wanted) -> bool:
    return any(map(wanted, sample_names(metric.name, metric.kind)))


def _headed(metric: Metric, form: Format, pieces: Iterator[str]) -> Iterator[str]:
    """Yield `pieces`, the first that is not empty after the family's head. Empty ones are chances to pause, too."""
    above = head(metric.name, metric.kind, metric.help, form)
    for piece in pieces:
        yield above + piece if piece else ""
        above = "" if piece else above


def _key(names: tuple[str, ...], key: str | tuple[str, ...]) -> str:
    return cached_pairs(names, (key,) if isinstance(key, str) else key)


def _server(family: Family, state: State) -> str:
    name, value = family.metric.name, family.read(state)
    if family.keyed:
        return "".join(
            f"{name}{{{_key(family.metric.labels, key)}}} {number(each)}\n" for key, each in value.copy().items()
        )
    return "" if value is None else f"{name} {number(value)}\n"


class _Lines:
    """The lines of a histogram, split where the labels go, so that a series takes one join and one formatting."""

    def __init__(self, metric: Metric, form: Format) -> None:
        self._exemplars = form is Format.OPENMETRICS
        comma, braces = (",", ("{", "}")) if metric.labels else ("", ("", ""))
        count = "%d%s" if self._exemplars else "%d"
        edges = [f'{comma}le="{bound}"}} {count}\n' for bound in (*metric.bounds, "+Inf")]
        starts = [f"{metric.name}_bucket{{"] * len(edges) + [
            f"{metric.name}_sum{braces[0]}",
            f"{metric.name}_count{braces[0]}",
        ]
        ends = ["", *edges, f"{braces[1]} %s\n", f"{braces[1]} %d\n"]
        self._parts = [end + start for end, start in zip(ends, [*starts, ""], strict=True)]

    def of(self, labels: str, series: Series) -> str:
        """Return the lines of one series."""
        values: list[int | str] = list(accumulate(series.counts))
        count = values[-1]
        if self._exemplars:
            last = series.exemplars
            texts = [exemplar(last[bucket]) if bucket in last else "" for bucket in range(len(values))]
            values = [value for pair in zip(values, texts, strict=True) for value in pair]
        return labels.replace("%", "%%").join(self._parts) % (*values, number(series.total), count)
