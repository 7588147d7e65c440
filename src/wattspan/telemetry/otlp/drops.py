"""Counts the telemetry records that were lost, by signal. It knows neither queues nor exporters."""

import logging
import threading
from collections.abc import Callable, Mapping

from wattspan.domain.counters import ServerCounters
from wattspan.telemetry.catalogue import EVENT_NAME, SERVER_ADDRESS, SIGNAL, TELEMETRY_DROPPED_EVENT
from wattspan.telemetry.logs import SDK_EVERY_S, Limiter

DROPS_LOG = __name__
"""The logger of these records, which must not be exported: each would be lost, too."""

log = logging.getLogger(DROPS_LOG)


class DropCounter:
    """Adds lost records to `counters`, and logs that there are some. For any thread.

    `destinations` has the host and port of each signal.
    """

    def __init__(self, counters: ServerCounters, destinations: Mapping[str, str]) -> None:
        self._counts = counters.telemetry_dropped
        self._destinations = destinations
        self._lock = threading.Lock()
        self._limiter = Limiter(SDK_EVERY_S)

    def of(self, signal: str) -> Callable[[int], None]:
        """Return a function that adds to the count of one signal: "traces", "metrics" or "logs"."""

        def dropped(count: int) -> None:
            with self._lock:
                self._counts[signal] = self._counts.get(signal, 0) + count
                is_logged = self._limiter.passes(signal) is not None
            if is_logged:
                destination = self._destinations.get(signal, "")
                fields = {EVENT_NAME: TELEMETRY_DROPPED_EVENT, SIGNAL: signal, SERVER_ADDRESS: destination}
                log.warning("%s for %s are lost: it does not take them", signal, destination, extra=fields)

        return dropped
