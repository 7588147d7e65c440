"""What goes on beside messages as long as the server lives: books followed, health asked, old rows deleted.

It owns how often. None of it may end the server: while the store is gone it tries again the next time.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from wattspan.api.access.auth_service import AuthService
from wattspan.api.health import check_health
from wattspan.csms.service import Core
from wattspan.domain.events import ChargePointDecommissioned
from wattspan.errors import StoreError
from wattspan.gateway.gateway import Gateway
from wattspan.settings import Settings
from wattspan.store.queries import audit as audit_queries
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.store import Store
from wattspan.telemetry.recorder import Recorder

BOOKS_S = 2.0
"""How often we look for charge points that another process put into the books or took out."""
HEALTH_S = 15.0
"""How often the database is asked whether it takes writes, so that its time to answer is on /metrics."""
EXPIRY_S = 600.0
"""How often old meter readings and rows of the audit log are deleted."""
EXPIRY_ROWS = 50_000
EXPIRY_AUDIT_ROWS = 2_000
"""In one transaction, which answers to chargers wait for."""
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Each is a coroutine that runs until it is cancelled."""

    settings: Settings
    core: Core
    store: Store
    gateway: Gateway
    keeper: AuthService
    recorder: Recorder

    def all(self) -> list[Coroutine[Any, Any, None]]:
        """To be run side by side."""
        return [self._watch_books(), self._check_health(), self._expire()]

    async def let_go_removed(self) -> None:
        """Have charge points that left the books leave fleet and metrics, and close their connections.

        Raises StoreError.
        """
        for cp_id in await self.store.removed_charge_points():
            self.gateway.disconnect(cp_id, "decommissioned")
            self.core.record([ChargePointDecommissioned(cp_id=cp_id, received_ts=self.core.clock())])
            self.recorder.decommissioned(cp_id)

    async def _watch_books(self) -> None:
        """Follow what another process (`wattspan cp add`, `remove`) did in the books."""
        looked_ts = time.time()
        while True:
            await asyncio.sleep(BOOKS_S)
            with contextlib.suppress(StoreError):
                await self.let_go_removed()
                since_ts, looked_ts = looked_ts - BOOKS_S, time.time()
                for added in await self.store.read(charge_point_queries.registered_since, since_ts):
                    self.core.fleet.charge_point(added.cp_id, looked_ts)
                    self.gateway.dismiss(added.cp_id, True)

    async def _check_health(self) -> None:
        while True:
            with contextlib.suppress(StoreError):
                await self.keeper.count_sessions()
                await check_health(self.store, self.recorder)
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
