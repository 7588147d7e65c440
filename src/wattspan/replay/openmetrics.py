"""Writes samples with the time of the log, for `promtool tsdb create-blocks-from openmetrics`.

A sample is written when it has changed, and before Prometheus would take its series for gone. It owns sampling; the
metrics are read as for any other export.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import IO

from wattspan.telemetry.families import FAMILIES, State, points
from wattspan.telemetry.prometheus.exposition import number, pairs

REPEAT_S = 240.0
"""An unchanged sample is written again after this time: Prometheus looks back five minutes."""
PROCESS_PREFIXES = ("ocpp_central_up", "ocpp_central_sockets", "ocpp_store_", "http_", "database_", "user_", "system_")
"""Metrics of a server that a log says nothing about."""


class OpenMetricsWriter:
    """Writes what changes every `interval_s` seconds of the log. `finish` ends the file.

    A gap of the log is filled: the state holds until the next message.
    """

    def __init__(self, file: IO[str], state: State, interval_s: float) -> None:
        self._file = file
        self._state = state
        self._interval_s = interval_s
        self._next_ts: float | None = None
        self._written: dict[str, tuple[float, float]] = {}
        """(value, time) of the last sample of each series."""
        self.samples = 0

    def on_time(self, now_ts: float) -> None:
        """Write the samples that are due before a record of this time changes the state."""
        if self._next_ts is None:
            self._next_ts = (now_ts // self._interval_s + 1) * self._interval_s
        while self._next_ts <= now_ts:
            self._sample(self._next_ts)
            self._next_ts += self._interval_s

    def finish(self, now_ts: float) -> None:
        """Write the last samples and the end mark."""
        self._sample(now_ts)
        self._file.write("# EOF\n")

    def _sample(self, at_ts: float) -> None:
        written, stamp = self._written, f"{at_ts:.3f}"
        lines = []
        for series, value in self._values():
            last = written.get(series)
            if last is not None and last[0] == value and at_ts - last[1] < REPEAT_S:
                continue
            written[series] = value, at_ts
            lines.append(f"{series} {number(value)} {stamp}\n")
        self.samples += len(lines)
        self._file.writelines(lines)

    def _values(self) -> Iterator[tuple[str, float]]:
        for family in FAMILIES.values():
            metric = family.metric
            if metric.name.startswith(PROCESS_PREFIXES):
                continue
            for point in points(family, self._state):
                yield _series(metric.name, pairs(metric.labels, point.labels)), point.value
        for histogram in self._state.histograms:
            metric = histogram.metric
            for series in histogram:
                labels = pairs(metric.labels, series.labels)
                counts = list(accumulate(series.counts))
                for bound, count in zip((*metric.bounds, "+Inf"), counts, strict=True):
                    yield (
                        _series(f"{metric.name}_bucket", f'{labels},le="{bound}"' if labels else f'le="{bound}"'),
                        count,
                    )
                yield _series(f"{metric.name}_sum", labels), series.total
                yield _series(f"{metric.name}_count", labels), counts[-1]


def _series(name: str, labels: str) -> str:
    return f"{name}{{{labels}}}" if labels else name
