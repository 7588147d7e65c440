"""Draws dashboards as PNG pictures: their queries on a real Prometheus, their panels by our own chart code in Chromium.

Grafana itself cannot be built here, so a picture shows a dashboard's layout and data and not Grafana's own look. Owns
what a panel asks and how it is drawn; where the data comes from it must not know.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from dashboards.model import Dashboard, Panel, Query
from stack.servers import Prometheus
from stack.toolchain import ROOT
from support.monitoring import VARIABLES, filled_in

HERE = Path(__file__).parent
UPLOT = ROOT / "src" / "wattspan" / "api" / "console" / "static" / "vendor"
PICTURES = ROOT / "build" / "dashboards"
"""Where an end-to-end run leaves its pictures; not in the repository."""
OVER_TIME = {"timeseries", "state-timeline", "heatmap"}
POINTS = 400
SECONDS = {"m": 60, "h": 3600, "d": 86400}
DAY_S = 86400
AT_ONCE = 4

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a picture shows, in Unix time. `scrape_s`: the distance of two samples."""

    begin_s: float
    end_s: float
    scrape_s: float
    cp_id: str = ".*"
    """The charge points that are chosen, as a regular expression."""

    def step_s(self, panel: Panel) -> float:
        """Return the distance of two points, as Grafana chooses it."""
        match = re.fullmatch(r"(\d+)([mhd])", panel.interval)
        least_s = int(match[1]) * SECONDS[match[2]] if match else 0
        return max((self.end_s - self.begin_s) / POINTS, least_s, self.scrape_s)

    def variables(self, panel: Panel) -> Mapping[str, str]:
        """Return what Grafana fills in."""
        step_s = self.step_s(panel)
        begin_s = self.end_s // DAY_S * DAY_S if panel.time_from else self.begin_s
        return VARIABLES | {
            "$__rate_interval": f"{max(step_s + self.scrape_s, 4 * self.scrape_s):.0f}s",
            "$__interval": f"{step_s:.0f}s",
            "$__range": f"{max(self.end_s - begin_s, 1):.0f}s",
            "$cp_id": self.cp_id,
        }


@asynccontextmanager
async def page() -> AsyncIterator[Page]:
    """A page of Debian's Chromium, as wide as a screen."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "not installed: chromium (on Debian: apt install chromium)"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield await browser.new_page(viewport={"width": 1920, "height": 1080})
        await browser.close()


async def draw(page: Page, prometheus: Prometheus, dashboard: Dashboard, shown: Range, path: Path) -> list[str]:
    """Draw a dashboard, rows opened, into a PNG; return what could not be drawn, and panels that hold no data."""
    opened = replace(dashboard, rows=tuple(replace(row, collapsed=False) for row in dashboard.rows))
    asking = asyncio.Semaphore(AT_ONCE)

    async def series(panel: Panel) -> list[Json]:
        async with asking:
            return [each for query in panel.queries for each in await _answer(prometheus, panel, query, shown)]

    answers = iter(await asyncio.gather(*map(series, opened.panels())))
    panels = iter(opened.panels())
    written = opened.json()["panels"]
    for each in written:
        if each["type"] != "row":
            each |= {"series": next(answers), "step": shown.step_s(next(panels))}
    await page.set_content(_page())
    data = {"title": dashboard.title, "panels": written, "begin": shown.begin_s, "end": shown.end_s}
    failed = await page.evaluate("(data) => window.drawn(data)", data)
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    await page.screenshot(path=path, full_page=True)
    return [f"{dashboard.title} / {each}" for each in failed]


async def _answer(prometheus: Prometheus, panel: Panel, query: Query, shown: Range) -> list[Json]:
    """The series of a query: name, labels and points; of a panel that shows only the last value, one point each."""
    if query.logs is not None:
        return []
    expr = filled_in(query.expr, shown.variables(panel))
    if panel.kind in OVER_TIME and not query.instant:
        step_s = shown.step_s(panel)
        begin_s, end_s = (at_s // step_s * step_s for at_s in (shown.begin_s, shown.end_s))
        found = await prometheus.over(expr, begin_s=begin_s, end_s=end_s, step_s=step_s)
    else:
        now = await prometheus.query(expr, at_s=shown.end_s)
        found = [(labels, [(shown.end_s, value)]) for labels, value in now]
    return [{"name": _name(query, labels), "labels": labels, "points": _finite(points)} for labels, points in found]


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points without NaN and infinity, which JSON does not have."""
    return [(at_s, value) for at_s, value in points if abs(value) < float("inf")]


def _name(query: Query, labels: Mapping[str, str]) -> str:
    if query.legend:
        return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), query.legend)
    return ", ".join(value for name, value in labels.items() if name != "__name__")


def _page() -> str:
    """The page with all of its code in it: it loads nothing."""
    chart = (UPLOT / "uplot.js").read_text(encoding="utf-8")
    chart = chart.replace("export { uPlot as default };", "").replace("export function", "function")
    drawing = (HERE / "draw.js").read_text(encoding="utf-8").replace('import uPlot from "data:uplot";', "")
    style = (UPLOT / "uplot.css").read_text(encoding="utf-8")
    page = (HERE / "page.html").read_text(encoding="utf-8")
    return f"{page}<style>{style}</style><script>{chart}\n{drawing}</script>"
