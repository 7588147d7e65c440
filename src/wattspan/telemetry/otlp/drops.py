"""Counts the telemetry records that were lost, by signal. It knows neither queues nor exporters."""

import threading
from collections.abc import Callable

from wattspan.domain.counters import ServerCounters


class DropCounter:
    """Adds lost records to `counters`. For any thread."""

    def __init__(self, counters: ServerCounters) -> None:
        self._counts = counters.telemetry_dropped
        self._lock = threading.Lock()

    def of(self, signal: str) -> Callable[[int], None]:
        """Return a function that adds to the count of one signal: "traces", "metrics" or "logs"."""

        def dropped(count: int) -> None:
            with self._lock:
                self._counts[signal] = self._counts.get(signal, 0) + count

        return dropped
