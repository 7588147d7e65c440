"""Periodic work of a running server: following the registry, checking the database, deleting old rows.

It owns how often. None of it ends the server: while the store is unavailable it tries again the next time.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from wattspan.api.access.auth_service import AuthService
from wattspan.api.health import check_health
from wattspan.csms.core import Core
from wattspan.csms.registry import RunningFleet
from wattspan.errors import StoreError
from wattspan.settings import Settings
from wattspan.store.queries import audit as audit_queries
from wattspan.store.store import Store

REGISTRY_S = 2.0
"""How often charge points that another process registered or removed are looked for."""
HEALTH_S = 15.0
"""How often the database is checked, so that its response time is on /metrics."""
EXPIRY_S = 600.0
"""How often old meter readings and rows of the audit log are deleted."""
EXPIRY_ROWS = 50_000
EXPIRY_AUDIT_ROWS = 2_000
"""Rows deleted in one transaction, which answers to charge points wait for."""
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """The periodic work, as coroutines that run until they are cancelled."""

    settings: Settings
    core: Core
    store: Store
    running: RunningFleet
    auth: AuthService

    def all(self) -> list[Coroutine[Any, Any, None]]:
        """Return the coroutines, to be run concurrently."""
        return [self._follow_registry(), self._check_health(), self._expire()]

    async def _follow_registry(self) -> None:
        """Follow what other processes (`wattspan cp add`, `remove`) change in the database."""
        looked_ts = time.time()
        while True:
            await asyncio.sleep(REGISTRY_S)
            with contextlib.suppress(StoreError):
                await self.running.remove_decommissioned()
                since_ts, looked_ts = looked_ts - REGISTRY_S, time.time()
                await self.running.add_registered(since_ts)

    async def _check_health(self) -> None:
        while True:
            with contextlib.suppress(StoreError):
                await self.auth.count_logins()
                await check_health(self.store, self.core.recorder)
            await asyncio.sleep(HEALTH_S)

    async def _expire(self) -> None:
        readings_s = (self.settings.reading_retention_days or 0.0) * DAY_S
        audit_s = (self.settings.audit_retention_days or 0.0) * DAY_S
        while readings_s or audit_s:
            with contextlib.suppress(StoreError):
                if readings_s:
                    await self.store.expire_readings(self.core.clock() - readings_s, EXPIRY_ROWS)
                if audit_s:
                    await self.store.do(audit_queries.expire_entries, self.core.clock() - audit_s, EXPIRY_AUDIT_ROWS)
            await asyncio.sleep(EXPIRY_S)
