"""The health check of the database, with its duration on /metrics."""

import time

from wattspan.store.store import Store
from wattspan.telemetry import catalogue
from wattspan.telemetry.recorder import Recorder


async def check_health(store: Store, recorder: Recorder) -> float:
    """Check that the database accepts writes, and return the seconds it took. Raises StoreError if it does not."""
    began_s = time.perf_counter()
    try:
        await store.ping()
        took_s = time.perf_counter() - began_s
        recorder.took(catalogue.DATABASE_CHECK_SECONDS, took_s)
    finally:
        recorder.took(catalogue.SYSTEM_CHECK_SECONDS, time.perf_counter() - began_s)
    return took_s
