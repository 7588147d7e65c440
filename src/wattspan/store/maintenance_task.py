"""`maintenance_task`: periodic work on the database that may fail and is done again, so that its failures are seen.

It owns how a failure is counted and logged. Which tasks there are, and how often they run, it must not know.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from wattspan.domain.counters import ServerCounters
from wattspan.errors import StoreError
from wattspan.telemetry.catalogue import EVENT_NAME, EXCEPTION_MESSAGE, MAINTENANCE_EVENT
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

FAILED = MAINTENANCE_EVENT
"""The `event.name` of the log record."""


@contextmanager
def maintenance_task(task: str, counters: ServerCounters | None) -> Iterator[None]:
    """Count and log a StoreError instead of raising it, for the task is done again at its next turn."""
    try:
        yield
    except StoreError as exc:
        if counters is not None:
            counters.maintenance_failed(task)
        fields = {EVENT_NAME: FAILED, "task": task, EXCEPTION_MESSAGE: str(exc)}
        limited(
            log, logging.WARNING, task, "maintenance task %s failed, tried again later: %s", task, exc, fields=fields
        )
