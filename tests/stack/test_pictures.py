"""Every dashboard is drawn over a fleet's history; the pictures stay in build/dashboards to be looked at."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from dashboards.__main__ import DASHBOARDS
from stack.backfill import backfill, backfill_rules
from stack.fleet_history import DAY_S, QUIET_S, STEP_S, History
from stack.pictures import PICTURES, Range, draw, page
from stack.servers import Prometheus

FLEET = [f"CP{number:02}" for number in range(1, 25)]
"""More than have room on one graph."""
SITES = ("depot", "car park", "")
DAYS = 3
"""Of history; the picture shows the last day before the time without troubles."""
LEAST_BYTES = 20_000


async def test_every_dashboard_is_drawn_over_a_day(tmp_path: Path) -> None:
    end_s = int(time.time()) // STEP_S * STEP_S
    begin_s = end_s - DAYS * DAY_S
    history = History(FLEET, instance="127.0.0.1:9090", begin_s=begin_s, end_s=end_s, sites=SITES)
    await backfill(history, tmp_path / "prometheus", tmp_path / "text", begin_s=begin_s, end_s=end_s)
    await backfill_rules(tmp_path, begin_s=begin_s, end_s=end_s)
    async with Prometheus.run(tmp_path, []) as prometheus, page() as browser:
        failed: list[str] = []
        shown = Range(begin_s=end_s - QUIET_S - DAY_S, end_s=end_s - QUIET_S, scrape_s=STEP_S)
        for dashboard in DASHBOARDS:
            picture = PICTURES / f"{dashboard.uid}.png"
            chosen = replace(shown, cp_id=FLEET[0]) if dashboard.title == "Charge point" else shown
            failed += await draw(browser, prometheus, dashboard, chosen, picture)
            assert picture.stat().st_size > LEAST_BYTES
    assert failed == []
