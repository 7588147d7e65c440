"""Samples the fleet once a minute, keeps the open blocks in memory, and writes them beside the journal.

An open block is written every few minutes and at its end, so that a crash loses the last minutes of the history and
nothing else. While the store is unavailable, blocks wait in memory; beyond MAX_WAITING the oldest are dropped. After
each hour, its minutes are rolled up to the longer steps; rolling up twice changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint
from wattspan.errors import StoreError
from wattspan.history.sampling import Meter, meter_of, sample_of
from wattspan.store.queries import series as series_queries
from wattspan.store.series.blocks import HOUR_S, MINUTE_S, RETENTION_S, Block
from wattspan.store.store import Store
from wattspan.telemetry.logs import limited

T = TypeVar("T")

log = logging.getLogger(__name__)

SLICE = 64
"""Charge points sampled or written between two pauses for messages."""
WRITE_EVERY = 5
"""Minutes between two writes of an open block."""
MAX_WAITING = 40_000
"""Blocks that wait in memory for the store."""
PAUSE_S = 0.05
"""The pause between two slices of a roll-up."""


class SeriesRecorder:
    """The samples of a fleet. Not thread-safe: for the event loop's thread."""

    def __init__(
        self, fleet: Fleet, store: Store, clock: Callable[[], float], counters: ServerCounters | None = None
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._clock = clock
        self._meters: dict[str, Meter] = {}
        self._open: dict[str, Block] = {}
        self._waiting: dict[tuple[str, int], Block] = {}
        self._is_suspended = False
        self._dropped = {} if counters is None else counters.history_dropped
        for cp in fleet.charge_points.values():
            self._meters[cp.cp_id] = meter_of(cp)

    async def run(self) -> None:
        """Sample at each full minute until cancelled."""
        await self._roll_up_missed()
        while True:
            now_ts = self._clock()
            await asyncio.sleep(MINUTE_S - now_ts % MINUTE_S)
            minute_ts = round(self._clock() / MINUTE_S) * MINUTE_S - MINUTE_S
            await self.record(minute_ts)
            if minute_ts % HOUR_S == 0:  # the last hour's blocks were written just now
                await self._roll_up_missed()

    async def record(self, minute_ts: int) -> None:
        """Sample the fleet for the minute that began at `minute_ts`, and write the blocks whose turn it is."""
        if self._is_suspended:
            return
        for number, cps in enumerate(_slices(list(self._fleet.charge_points.values()))):
            is_due = (number + minute_ts // MINUTE_S) % WRITE_EVERY == 0
            for cp in cps:
                self._sample(cp, minute_ts, is_due=is_due)
            await asyncio.sleep(0)
        await self._write(minute_ts)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Take no samples. Energy of this time is not counted by the next one."""
        self._is_suspended = True
        try:
            yield
        finally:
            self._is_suspended = False
            self._meters = {cp.cp_id: meter_of(cp) for cp in self._fleet.charge_points.values()}

    def open_blocks(self, cp_ids: Sequence[str]) -> list[Block]:
        """Return copies of the blocks of these charge points that may not be written yet."""
        wanted = set(cp_ids)
        found = [block for (cp_id, _), block in self._waiting.items() if cp_id in wanted]
        found += [self._open[cp_id].copy() for cp_id in wanted if cp_id in self._open]
        return found

    async def stop(self) -> None:
        """Write every open block."""
        self._waiting.update({(block.cp_id, block.start_ts): block for block in self._open.values()})
        self._open.clear()
        await self._write(int(self._clock()) // MINUTE_S * MINUTE_S)

    def _sample(self, cp: ChargePoint, minute_ts: int, *, is_due: bool) -> None:
        meter = self._meters.get(cp.cp_id)
        if meter is None:
            meter = self._meters[cp.cp_id] = Meter(0.0) if cp.known_since_ts >= minute_ts else meter_of(cp)
        block = self._open.get(cp.cp_id)
        if block is not None and minute_ts >= block.ends_ts:
            self._waiting[cp.cp_id, block.start_ts] = block
            block = None
        if block is None:
            block = self._open[cp.cp_id] = Block(cp.cp_id, MINUTE_S, minute_ts)
        block.add(minute_ts, sample_of(cp, meter))
        if is_due:
            self._waiting[cp.cp_id, block.start_ts] = block.copy()

    async def _write(self, minute_ts: int) -> None:
        for cp_id in [cp_id for cp_id in self._open if cp_id not in self._fleet.charge_points]:
            block = self._open.pop(cp_id)
            self._waiting[cp_id, block.start_ts] = block
            self._meters.pop(cp_id, None)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.pop(next(iter(self._waiting)))
            self._dropped["blocks"] = self._dropped.get("blocks", 0) + 1
        try:
            for keys in _slices(list(self._waiting)):
                blocks = [self._waiting[key] for key in keys]
                await self._store.do(series_queries.put_blocks, blocks)
                for key, block in zip(keys, blocks, strict=True):
                    if self._waiting.get(key) is block:
                        del self._waiting[key]
            await self._store.do(series_queries.put_mark, series_queries.SAMPLED, minute_ts + MINUTE_S)
        except StoreError as exc:
            limited(log, logging.WARNING, "series", "the history could not be written, and is tried again: %s", exc)

    async def _roll_up_missed(self) -> None:
        """Roll up the hours that ended since the last roll-up. A failure is tried again after the next hour."""
        try:
            rolled_ts = await self._store.read(series_queries.mark, series_queries.ROLLED)
            now_ts = int(self._clock())
            first_ts = max(rolled_ts or 0, (now_ts - RETENTION_S[MINUTE_S]) // HOUR_S * HOUR_S)
            unwritten_ts = min((start_ts for _, start_ts in self._waiting), default=now_ts)
            for hour_ts in range(first_ts, min(now_ts, unwritten_ts) // HOUR_S * HOUR_S, HOUR_S):
                await self.roll_up(hour_ts)
        except StoreError as exc:
            limited(log, logging.WARNING, "series", "the history could not be rolled up, and is tried again: %s", exc)

    async def roll_up(self, hour_ts: int) -> None:
        """Add the minutes of the hour that began at `hour_ts` to the blocks of longer steps. Raises StoreError."""
        store = self._store
        cp_ids = await store.read(series_queries.sampled_charge_points, hour_ts, hour_ts + HOUR_S)
        for part in _slices(cp_ids):
            made = await store.read(series_queries.rolled_up, part, hour_ts)
            await store.do(series_queries.put_rows, made)
            await asyncio.sleep(PAUSE_S)
        await store.do(series_queries.put_mark, series_queries.ROLLED, hour_ts + HOUR_S)


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), SLICE):
        yield items[first : first + SLICE]
