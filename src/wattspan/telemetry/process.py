"""The `process_*` metrics as OpenTelemetry instruments, so that they are on the page and exported by OTLP."""

import sys
import time
from collections.abc import Callable, Iterable

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from wattspan.telemetry import catalogue as c
from wattspan.telemetry.catalogue import Kind, Metric

FRESH_S = 1.0
"""Values younger than this serve every reader: counting the files of 10,000 sockets takes milliseconds."""


class Process:
    """The values of this process, read at most once in FRESH_S seconds. May be called on any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._process = psutil.Process()
        self._clock = clock
        self._read_at = float("-inf")
        self._values: dict[str, int | float] = {}

    def values(self) -> dict[str, int | float]:
        """Return values by metric name, without those that the platform does not provide."""
        if self._clock() - self._read_at >= FRESH_S:
            self._values = self._read()
            self._read_at = self._clock()
        return self._values

    def _read(self) -> dict[str, int | float]:
        with self._process.oneshot():
            memory, cpu = self._process.memory_info(), self._process.cpu_times()
            values: dict[str, int | float] = {
                c.RESIDENT_MEMORY.name: memory.rss,
                c.VIRTUAL_MEMORY.name: memory.vms,
                c.CPU_SECONDS.name: cpu.user + cpu.system,
                c.START_TIME.name: self._process.create_time(),
            }
        if sys.platform != "win32":
            values[c.OPEN_FDS.name] = self._process.num_fds()
            values |= _max_fds()
        return values


def _max_fds() -> dict[str, int | float]:
    import resource  # noqa: PLC0415  not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {} if soft == resource.RLIM_INFINITY else {c.MAX_FDS.name: soft}


def register_process(meter: Meter, process: Process | None = None) -> None:
    """Create the instruments on `meter`; they are read whenever a reader of the meter collects."""
    source = process or Process()
    for metric in (c.RESIDENT_MEMORY, c.VIRTUAL_MEMORY, c.CPU_SECONDS, c.OPEN_FDS, c.MAX_FDS, c.START_TIME):
        create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
        create(metric.name, [_callback(source, metric)], metric.unit, metric.help)


def _callback(source: Process, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        value = source.values().get(metric.name)
        return () if value is None else (Observation(value),)

    return observe
