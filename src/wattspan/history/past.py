"""Recording a made-up past for demonstrations: events with their own times, sampled as they would have been."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from wattspan.domain.events import Event
from wattspan.domain.fleet import Fleet
from wattspan.history.sampling import Meter, meter_of, sample_of
from wattspan.store.queries import series as series_queries
from wattspan.store.series.blocks import HOUR_S, MINUTE_S, Block
from wattspan.store.store import Store

Steps = Iterable[tuple[int, Sequence[Event]]]
"""The begin of each step in Unix seconds, a multiple of 60, with its events, oldest first."""


async def record_past(
    steps: Steps,
    step_s: int,
    fleet: Fleet,
    store: Store,
    record: Callable[[Iterable[Event]], None],
    now_ts: float,
) -> None:
    """Record the events of each step, and write the history of their charge points. Raises StoreError.

    Minutes that are not over at `now_ts` are left to the sampling of the present. A charge point that is connected at
    the end is expected to connect now, and goes on with that connection.
    """
    meters: dict[str, Meter] = {}
    blocks: dict[str, Block] = {}
    full: list[Block] = []
    last_ts = first_ts = 0
    for start_ts, events in steps:
        first_ts, last_ts = first_ts or start_ts, start_ts + step_s
        record(events)
        for minute_ts in range(start_ts, start_ts + step_s, MINUTE_S):
            if minute_ts + MINUTE_S > now_ts:
                break
            for cp_id in {each.cp_id for each in events} | set(blocks):
                cp = fleet.charge_points[cp_id]
                meter = meters.setdefault(cp_id, meter_of(cp))
                block = blocks.get(cp_id)
                if block is None or minute_ts >= block.ends_ts:
                    full.extend([] if block is None else [block])
                    block = blocks[cp_id] = Block(cp_id, MINUTE_S, minute_ts)
                block.add(minute_ts, sample_of(cp, meter))
        await asyncio.sleep(0)
    fleet.resumed.update(cp_id for cp_id in blocks if fleet.charge_points[cp_id].connected)
    await store.do(series_queries.put_blocks, [*full, *blocks.values()])
    for hour_ts in range(first_ts // HOUR_S * HOUR_S, last_ts // HOUR_S * HOUR_S, HOUR_S):
        made = await store.read(series_queries.rolled_up, sorted(blocks), hour_ts)
        await store.do(series_queries.put_rows, made)
