"""Waits at the start of a server until its database server takes connections. It knows no table."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from wattspan.errors import StoreUnavailable
from wattspan.store.engine import BUSY_TIMEOUT_S, make_engine, parse, translate_errors

log = logging.getLogger(__name__)

RETRY_S = (0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts; the last value repeats."""


async def wait_until_reachable(database: str, stop: asyncio.Event, retry_s: Sequence[float] = RETRY_S) -> bool:
    """Return True once PostgreSQL takes a connection, and at once for SQLite; False if `stop` is set first.

    Each attempt that fails is logged. Raises StoreUnusable for what waiting does not change, such as a wrong password.
    Cancellation: safe; an attempt in progress ends in its thread.
    """
    if parse(database).get_backend_name() != "postgresql":
        return True
    attempts = 0
    while not stop.is_set():
        try:
            await asyncio.to_thread(_connect, database)
        except StoreUnavailable as exc:
            pause_s = retry_s[min(attempts, len(retry_s) - 1)]
            attempts += 1
            log.warning("waiting for the database, next attempt in %g s: %s", pause_s, exc)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()
        else:
            return True
    return False


def _connect(database: str) -> None:
    engine = make_engine(parse(database), writes=False, busy_timeout_s=BUSY_TIMEOUT_S)
    try:
        with translate_errors(engine), engine.connect():
            pass
    finally:
        engine.dispose()
