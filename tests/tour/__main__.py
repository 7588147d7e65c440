"""`make tour`: one session from the graph to its trace to its log lines, run for real and kept in docs/tour.md.

The shipped stack, natively (`stack.shipped`), `wattspan serve` beside it, the story of `story.py`; then what an
operator would look at: pages by Debian's Chromium into docs/tour/, answers of APIs as text into blocks of the page.
Some three minutes. What cannot be shown here the page says itself.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.async_api import Page, async_playwright, expect

from stack.process import LOOPBACK, eventually
from stack.shipped import TOKEN, Stack
from stack.toolchain import ROOT
from stack.wattspan_server import WattspanServer, to_collector
from support.operators import Operator
from tour import told
from tour.story import CP_ID, PASSWORD, Session, fleet, operator

PAGE = ROOT / "docs" / "tour.md"
PICTURES = ROOT / "docs" / "tour"
DURATION = "ocpp_tx_duration_seconds_bucket"
FAULT = "ChargePointRebootDuringTransaction"
POWER = "sum by (cp_id) (ocpp_cp_power_w)"
SHOWN = ("trace_id", "cp_id", "connector_id")
WIDTH, HEIGHT, LEGEND_TOO = 1180, 760, 930


async def picture(page: Page, name: str) -> None:
    """Of what is in sight; the docs' own test bounds its size."""
    await page.screenshot(path=PICTURES / f"{name}.png")


async def console(page: Page, base: str, number: int) -> None:
    """The session, and the alerts that are firing."""
    await page.goto(base)
    await page.get_by_label("Name").fill("admin")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.goto(f"{base}/#/sessions/{number}")
    await expect(page.locator("canvas").first).to_be_visible()
    await expect(page.get_by_role("link", name="Open its trace")).to_be_visible()
    await picture(page, "session")
    await page.goto(f"{base}/#/alerts")
    await expect(page.get_by_role("heading", name=FAULT).first).to_be_visible()
    await picture(page, "alerts")


async def graph(page: Page, address: str) -> None:
    """Power by charge point, as Prometheus draws it."""
    asked = {"g0.expr": POWER, "g0.tab": "0", "g0.stacked": "1", "g0.range_input": "3m", "g0.step_input": "5"}
    await page.set_viewport_size({"width": WIDTH, "height": LEGEND_TOO})
    await page.goto(f"http://{address}/graph?{urlencode(asked)}")
    await expect(page.locator(".rickshaw_graph svg").first).to_be_visible()
    await expect(page.get_by_text(CP_ID).first).to_be_visible()
    await picture(page, "graph")


async def pictures(stack: Stack, number: int) -> None:
    """All of them, in one browser."""
    chromium = shutil.which("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        await console(page, f"http://{LOOPBACK}:{stack.api_port}", number)
        await graph(page, stack.prometheus.address)
        await browser.close()


async def exemplar(stack: Stack, trace_id: str, since_s: float) -> dict[str, Any]:
    """The series of session durations in which the session left its exemplar, with no other's."""

    async def found() -> dict[str, Any] | None:
        told = await stack.prometheus.exemplars(DURATION, start_s=since_s, end_s=time.time() + 5)
        for series in told:
            own = [each for each in series["exemplars"] if each["labels"]["trace_id"] == trace_id]
            if own:
                return {**series, "exemplars": own}
        return None

    series = await eventually(found, within_s=60)
    assert series is not None
    return series


async def whole(stack: Stack, trace_id: str, root: str) -> dict[str, Any]:
    """A trace once the span of that name is there; what is below it comes with it or before."""

    async def found() -> dict[str, Any] | None:
        trace = await stack.jaeger.trace(trace_id)
        names = {span["operationName"] for span in trace["spans"]} if trace else set()
        return trace if any(name.startswith(root) for name in names) else None

    trace = await eventually(found, within_s=60)
    assert trace is not None
    return trace


async def firing(stack: Stack) -> list[dict[str, Any]]:
    """What Alertmanager holds, once the story's fault is among it."""
    held = await stack.alertmanager.alerts()
    wanted = {"alertname": FAULT, "cp_id": CP_ID}.items()
    return held if any(wanted <= alert["labels"].items() for alert in held) else []


async def blocks(stack: Stack, since_s: float, trace_id: str, command_trace: str) -> dict[str, str]:
    """The text parts of the page, in the order in which one goes; `trace_id` is the session's."""
    series = await exemplar(stack, trace_id, since_s)
    session = await whole(stack, trace_id, "charging session")
    command = await whole(stack, command_trace, "POST")
    by_trace = f'{{service.name="wattspan"}} trace_id:="{trace_id}"'
    found = await eventually(partial(stack.logs.lines, by_trace))
    return {
        "exemplar": told.exemplar(series),
        "trace": told.waterfall(session),
        "command": told.waterfall(command),
        "lines": f"{by_trace}\n\n{told.lines(found, SHOWN)}",
        "alerts": told.alerts(await eventually(partial(firing, stack), within_s=90)),
    }


async def tour(folder: Path, pace_s: float) -> None:
    """Runs everything, and writes docs/tour.md and its pictures."""
    async with Stack.run(folder) as stack:
        environment = to_collector(stack.collector) | {
            "WATTSPAN_METRICS_TOKEN": TOKEN,
            "WATTSPAN_ADMIN_PASSWORD": PASSWORD,
            "WATTSPAN_JAEGER_URL": f"http://{stack.jaeger.query}",
            "WATTSPAN_ALERTMANAGER_URL": f"http://{stack.alertmanager.address}",
        }
        began_s = time.time()
        async with WattspanServer.run(
            folder, environment, metrics_port=stack.metrics_port, api_port=stack.api_port
        ) as server:
            others = asyncio.create_task(fleet(server))
            # What increase() counts from: the server, seen a while before anything happens.
            await eventually(partial(stack.prometheus.query, "ocpp_central_up offset 20s"), within_s=60)
            who = operator(f"{LOOPBACK}:{stack.api_port}")
            await who.log_in("admin", PASSWORD)
            command_trace = await Session(server).happens(who, pace_s)
            number, trace_id = await newest(who)
            parts = await blocks(stack, began_s, trace_id, command_trace)
            await pictures(stack, number)
            await who.http.aclose()
            others.cancel()
            await asyncio.wait([others])
    PAGE.write_text(told.filled(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")


async def newest(who: Operator) -> tuple[int, str]:
    """Our number of the story's session, and the id of its trace."""
    answer = await who.ask("GET", "/transactions", params={"cp_id": CP_ID})
    newest, *_ = answer["items"]
    return int(newest["number"]), str(newest["trace_id"])


def main() -> int:
    """Exit code 0, or a traceback with the end of a server's log."""
    parser = argparse.ArgumentParser(prog="python -m tour", description=__doc__)
    parser.add_argument("--pace", type=float, default=12.0, help="seconds of the shortest phase (default 12)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wattspan-tour-") as folder:
        asyncio.run(tour(Path(folder), arguments.pace))
    return 0


if __name__ == "__main__":
    sys.exit(main())
