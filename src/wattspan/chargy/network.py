"""The last good data of the network, and the task that refreshes it.

It owns when to fetch and what a failure changes. It must not know the format of the feed or the metrics.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

import httpx

from wattspan.chargy.kml import parse
from wattspan.chargy.model import Feed
from wattspan.chargy.source import Source, Validators
from wattspan.errors import FeedError
from wattspan.telemetry.catalogue import EVENT_NAME, EXCEPTION_MESSAGE, FEED_EVENT

log = logging.getLogger(__name__)

OK, UNCHANGED = "ok", "unchanged"
RESULTS = (OK, UNCHANGED, "timeout", "network", "status", "too_large", "malformed")
"""Results of a fetch; all but the first two are failures."""
FIRST_RETRY_S = 15.0
"""Delay after the first failure; each further failure doubles it, up to the interval."""


class Network:
    """The state of the network. It may be read on any thread: `feed` is replaced as a whole and never changed.

    `feed` None: no fetch has succeeded yet. `fresh_ts` is when the feed was last known to be current, Unix seconds.
    """

    def __init__(self, source: Source, *, interval_s: float, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._interval_s = interval_s
        self._clock = clock
        self._validators = Validators()
        self._failures = 0
        self.feed: Feed | None = None
        self.up = False
        self.fresh_ts: float | None = None
        self.fetches: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))

    @property
    def age_s(self) -> float | None:
        """Seconds since the feed was last known to be current; None before the first success."""
        return None if self.fresh_ts is None else max(0.0, self._clock() - self.fresh_ts)

    @property
    def pause_s(self) -> float:
        """Seconds until the next fetch."""
        if not self._failures:
            return self._interval_s
        return min(self._interval_s, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 16))

    async def refresh(self, client: httpx.AsyncClient) -> None:
        """Fetch once and count the result. Cancellation: safe, nothing is counted.

        Raises:
            FeedError: the fetch failed; the last good data is kept.
        """
        try:
            document = await self._source.fetch(client, self._validators)
            if document is not None:
                self.feed = await asyncio.to_thread(parse, document.body)
                # Only now: a later 304 must not confirm a document that could not be parsed.
                self._validators = document.validators
        except FeedError as exc:
            self.up = False
            self._failures += 1
            self.fetches[exc.reason] += 1
            raise
        self.up = True
        self._failures = 0
        self.fresh_ts = self._clock()
        self.fetches[UNCHANGED if document is None else OK] += 1

    async def watch(self, client: httpx.AsyncClient) -> None:
        """Refresh periodically until cancelled. Failures are logged."""
        while True:
            try:
                await self.refresh(client)
            except FeedError as exc:
                fields = {EVENT_NAME: FEED_EVENT, EXCEPTION_MESSAGE: str(exc)}
                log.warning("the feed could not be read, next attempt in %.0f s: %s", self.pause_s, exc, extra=fields)
            await asyncio.sleep(self.pause_s)


def new_client() -> httpx.AsyncClient:
    """Return an HTTP client that follows redirects and keeps no idle connections."""
    # At INFO, httpx logs the URL of each request, which may contain a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return httpx.AsyncClient(follow_redirects=True, limits=httpx.Limits(max_keepalive_connections=0))
