"""Periodic work of a running server: following the registry, checking the database, deleting old rows.

It owns how often. None of it ends the server: while the store is unavailable it tries again the next time, and counts
the failure.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from wattspan.api.access.auth_service import AuthService
from wattspan.api.health import check_health
from wattspan.csms.core import Core
from wattspan.csms.directory import Directory
from wattspan.csms.registry import RunningFleet
from wattspan.settings import Settings
from wattspan.store.maintenance_task import maintenance_task
from wattspan.store.queries import audit as audit_queries
from wattspan.store.queries import jobs as job_queries
from wattspan.store.store import Store
from wattspan.telemetry.logs import report_left_out

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
JOBS_KEPT_S = 90 * DAY_S
"""How long jobs are kept after their end."""
EXPIRY_JOBS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """The periodic work, as coroutines that run until they are cancelled."""

    settings: Settings
    core: Core
    store: Store
    running: RunningFleet
    auth: AuthService
    directory: Directory

    def all(self) -> list[Coroutine[Any, Any, None]]:
        """Return the coroutines, to be run concurrently."""
        return [self._follow_registry(), self._check_health(), self._expire()]

    def _task(self, task: str) -> AbstractContextManager[None]:
        return maintenance_task(task, self.core.counters)

    async def _follow_registry(self) -> None:
        """Follow what other processes (`wattspan cp add`, `remove`) change in the database."""
        looked_ts = self.core.clock()
        while True:
            await asyncio.sleep(REGISTRY_S)
            with self._task("registry"):
                await self.running.remove_decommissioned()
                since_ts, looked_ts = looked_ts - REGISTRY_S, self.core.clock()
                await self.running.add_registered(since_ts)
                if self.settings.redis is not None:
                    await self.running.dismiss_decided()
                await self.directory.refresh()

    async def _check_health(self) -> None:
        while True:
            with self._task("health"):
                await self.auth.count_logins()
                await check_health(self.store, self.core.recorder)
            report_left_out()
            await asyncio.sleep(HEALTH_S)

    async def _expire(self) -> None:
        readings_s = (self.settings.reading_retention_days or 0.0) * DAY_S
        audit_s = (self.settings.audit_retention_days or 0.0) * DAY_S
        while True:
            with self._task("job_expiry"):
                await self.store.do(job_queries.expire, self.core.clock() - JOBS_KEPT_S, EXPIRY_JOBS)
            with self._task("reading_partitions"):
                await self.store.partition_readings()
            if readings_s:
                with self._task("reading_expiry"):
                    await self.store.expire_readings(self.core.clock() - readings_s, EXPIRY_ROWS)
            if audit_s:
                with self._task("audit_expiry"):
                    await self.store.do(audit_queries.expire_entries, self.core.clock() - audit_s, EXPIRY_AUDIT_ROWS)
            await asyncio.sleep(EXPIRY_S)
