"""The `process_*` family as OpenTelemetry instruments, so that it leaves by OTLP as well as on the page."""

import sys
import time
from collections.abc import Callable, Iterable

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from wattspan.telemetry import catalogue as c
from wattspan.telemetry.catalogue import Kind, Metric

FRESH_S = 1.0
"""Figures younger than this serve every reader: counting the files of 10,000 sockets takes milliseconds."""


class Process:
    """This process's figures, read at most once in FRESH_S seconds. Callbacks come from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._process = psutil.Process()
        self._clock = clock
        self._read_at = float("-inf")
        self._figures: dict[str, int | float] = {}

    def figures(self) -> dict[str, int | float]:
        """Values by metric name; what the platform does not tell is left out."""
        if self._clock() - self._read_at >= FRESH_S:
            self._figures = self._read()
            self._read_at = self._clock()
        return self._figures

    def _read(self) -> dict[str, int | float]:
        with self._process.oneshot():
            memory, cpu = self._process.memory_info(), self._process.cpu_times()
            figures: dict[str, int | float] = {
                c.RESIDENT_MEMORY.name: memory.rss,
                c.VIRTUAL_MEMORY.name: memory.vms,
                c.CPU_SECONDS.name: cpu.user + cpu.system,
                c.START_TIME.name: self._process.create_time(),
            }
        if sys.platform != "win32":
            figures[c.OPEN_FDS.name] = self._process.num_fds()
            figures |= _max_fds()
        return figures


def _max_fds() -> dict[str, int | float]:
    import resource  # noqa: PLC0415  not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {} if soft == resource.RLIM_INFINITY else {c.MAX_FDS.name: soft}


def register_process(meter: Meter, process: Process | None = None) -> None:
    """Create the instruments on `meter`, which reads them whenever one of its readers collects."""
    source = process or Process()
    for metric in (c.RESIDENT_MEMORY, c.VIRTUAL_MEMORY, c.CPU_SECONDS, c.OPEN_FDS, c.MAX_FDS, c.START_TIME):
        create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
        create(metric.name, [_callback(source, metric)], metric.unit, metric.help)


def _callback(source: Process, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        value = source.figures().get(metric.name)
        return () if value is None else (Observation(value),)

    return observe
