"""A fleet in real time over two weeks of history, in the stack as shipped: graphs, figures, exemplars, logs, alerts.

One test, for it is one long run; it gathers all that is wrong before it fails. `--fleet-s` says how long it runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.fortnight import Fortnight, Stopwatch
from stack.fortnight_alerts import odd_alerts
from stack.fortnight_company import FLEET, charging, faulty, near_its_limit, odd, operator
from stack.fortnight_seen import (
    differs,
    lost_exemplars,
    lost_lines,
    now_of,
    other_figures,
    silent_queries,
    slow_dashboards,
)
from wattspan.simulator import Ledger


@pytest.mark.timeout(1800)
async def test_a_fleet_over_two_weeks_of_history(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fleet_s: int,
    record_property: Callable[[str, object], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="wattspan")  # as `wattspan serve` does
    for name in [name for name in os.environ if name.startswith("OTEL")]:
        monkeypatch.delenv(name)
    watch = Stopwatch()
    try:
        async with Fortnight.run(tmp_path, FLEET, monkeypatch.setenv, watch) as fortnight:
            with watch.on("to charge"):
                ledger, wrong = await live(fortnight, fleet_s)
            wrong |= await checked(fortnight, ledger, fleet_s, watch)
    finally:
        record_property("fortnight, seconds", watch.took)
    said = [f"{what}: {each}" for what, found in wrong.items() for each in found]
    assert not said, "\n".join(said)


async def checked(fortnight: Fortnight, ledger: Ledger, fleet_s: int, watch: Stopwatch) -> dict[str, list[str]]:
    """What is wrong, check by check."""
    left_s = time.time()
    wrong: dict[str, list[str]] = {}
    for page, prometheus in fortnight.pages.items():
        with watch.on(f"for figures on {page}"):
            wrong[f"figures on {page}"] = await other_figures(prometheus, ledger)
        with watch.on(f"for queries on {page}"):
            wrong[f"queries on {page}"] = await silent_queries(prometheus, fortnight.began_s)
        with watch.on(f"for exemplars on {page}"):
            wrong[f"exemplars on {page}"] = await lost_exemplars(fortnight, prometheus)
    wrong["two weeks"] = await slow_dashboards(fortnight, watch)
    with watch.on("for logs"):
        wrong["logs"] = await lost_lines(fortnight, ledger)
    with watch.on("for alerts"):
        wrong["alerts"] = await odd_alerts(fortnight, ledger, fleet_s, left_s)
    return wrong


async def live(fortnight: Fortnight, fleet_s: int) -> tuple[Ledger, dict[str, list[str]]]:
    """The fleet charges, odd ones misbehave, an operator looks; the ledger, and what was wrong in the middle of it."""
    simulation = charging(fortnight.csms, fleet_s)
    async with asyncio.TaskGroup() as company:
        fleet = company.create_task(simulation.run())
        restless = [
            company.create_task(each)
            for each in (faulty(fortnight), near_its_limit(fortnight.csms), operator(fortnight.csms))
        ]
        await odd(fortnight)
        await asyncio.sleep(max(fortnight.began_s + 0.6 * fleet_s - time.time(), 0))
        wrong = {
            f"fleet now, on {page}": await differs(each, lambda: now_of(simulation))
            for page, each in fortnight.pages.items()
        }
        ledger = await fleet
        await fortnight.csms.durable()
        for task in restless:
            task.cancel()
    return ledger, wrong
