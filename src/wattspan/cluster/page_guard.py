"""Keeps each charge point on at most one node's /metrics, with values that are durable (docs/adr/0014-nodes.md)."""

import asyncio
import logging

from wattspan.cluster.membership import Membership
from wattspan.cluster.ownership import Ownership
from wattspan.errors import StoreError
from wattspan.store.journal.journal import Journal

log = logging.getLogger(__name__)

CHECK_S = 4.0
"""Seconds that a scrape waits for PostgreSQL. Then the page has no series of charge points."""
RETRY_S = 0.25
FLUSH_S = 3.0
"""Seconds that a scrape waits until the figures on the page are written."""


class PageGuard:
    """Checks a page of this node before and after it is rendered; a `telemetry.prometheus.reader.Guard`."""

    def __init__(self, ownership: Ownership, membership: Membership, journal: Journal) -> None:
        self._ownership = ownership
        self._membership = membership
        self._journal = journal
        self._losses = 0

    async def before(self) -> None:
        """Drop the charge points that others took. Without an answer of PostgreSQL the lease is given up."""
        deadline = asyncio.get_running_loop().time() + CHECK_S
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    if not self._membership.is_fresh:
                        await self._membership.heartbeat()
                    await self._ownership.verify()
                break
            except StoreError as exc:
                log.debug("the owners of the charge points can't be read: %s", exc)
                if asyncio.get_running_loop().time() + RETRY_S < deadline:
                    await asyncio.sleep(RETRY_S)
                    continue
            except TimeoutError:
                pass
            self._membership.give_up_lease()
            break
        self._losses = self._ownership.losses

    async def after(self) -> bool:
        """Return whether what was rendered is still this node's, once it is durable."""
        if not self._membership.is_fresh:
            return True  # no charge point is shown
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._journal.figures_written()
        except TimeoutError:
            log.debug("the figures on the page were not written in time")
        return self._losses == self._ownership.losses
