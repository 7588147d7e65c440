"""`python -m tour.cluster`: kill a node while somebody looks at the console, and print what is seen (docs/scaling.md).

Two nodes behind HAProxy with the shipped configuration, twenty simulated charge points, and a browser at the console.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
from playwright.async_api import Error, Page, async_playwright

from stack.cluster_of_nodes import Cluster
from stack.process import eventually
from support.postgres import PostgresServer
from support.redis_servers import RedisServer
from tour.story import ARRIVALS, PASSWORD
from wattspan.simulator import Simulation, connection

NAMES = ("north", "south")
CHARGE_POINTS = 20
WATCHED_S = 35.0
BEFORE_S = 8.0
MAX_BACK_OFF_S = 5.0
PICTURES = Path("build/screenshots")
"""Playwright makes the folder."""


async def main() -> None:
    """Start everything, look, kill, look, start again, look."""
    connection._MAX_BACK_OFF_S = MAX_BACK_OFF_S
    folder = Path(tempfile.mkdtemp(prefix="wattspan-tour-"))
    with PostgresServer.run() as postgres, RedisServer.run() as redis:
        environment = {"WATTSPAN_ADMIN_PASSWORD": PASSWORD}
        database = postgres.empty()
        async with (
            Cluster.run(folder, names=NAMES, database=database, redis=redis.url, environment=environment) as cluster,
            async_playwright() as playwright,
        ):
            simulation = Simulation(
                url=cluster.url, charge_points=CHARGE_POINTS, arrivals=ARRIVALS, time_factor=60, prefix="CP-"
            )
            running = asyncio.create_task(simulation.run())
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = await browser.new_page(viewport={"width": 1280, "height": 720})
            await log_in(page, cluster.api)
            await eventually(lambda: connected(simulation))
            await asyncio.sleep(BEFORE_S)
            await picture(page, "before")
            write(await nodes(cluster, database))
            write(f"killed {NAMES[0]}")
            await cluster.nodes[0].kill()
            await watch(cluster, page, simulation)
            write(await nodes(cluster, database))
            await cluster.nodes[0].start()
            write(f"started {NAMES[0]} again")
            await watch(cluster, page, simulation)
            write(await nodes(cluster, database))
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await browser.close()
    shutil.rmtree(folder)


async def log_in(page: Page, address: str) -> None:
    """Open the list of the fleet, through the balancer."""
    await page.goto(address)
    await page.get_by_label("Name").fill("admin")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("heading", name="Fleet").wait_for()


async def connected(simulation: Simulation) -> bool:
    return simulation.progress().connected == CHARGE_POINTS


async def picture(page: Page, name: str) -> None:
    """A screenshot."""
    await page.screenshot(path=PICTURES / f"cluster-{name}.png")


async def watch(cluster: Cluster, page: Page, simulation: Simulation) -> None:
    """Print what is seen whenever it changes."""
    began, last = time.monotonic(), ""
    while (after_s := time.monotonic() - began) < WATCHED_S:
        pages = await asyncio.gather(*(shown(node.metrics) for node in cluster.nodes))
        of_pages = ", ".join(f"{name} {text}" for name, text in zip(NAMES, pages, strict=True))
        seen = f"chargers connected {simulation.progress().connected}; console {await console(page)}; pages: {of_pages}"
        if seen != last:
            write(f"{after_s:5.1f} s  {seen}")
            await picture(page, f"{after_s:.0f}-s")
        last = seen
        await asyncio.sleep(0.25)


async def console(page: Page) -> str:
    """What the console has of connections, and of its own stream of events."""
    with suppress(Error):
        text = await page.inner_text("body", timeout=2_000)
        connected = re.search(r"Connected\s+(\d+)\s+of\s+(\d+)", text)
        state = re.search(r"\b(live|reconnecting)\b", text)
        if connected and state:
            return f"{connected[1]} of {connected[2]}, {state[1]}"
    return "without an answer"


async def shown(address: str) -> str:
    """How many charge points a page has, and how many of them are connected."""
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            text = (await client.get(f"http://{address}/metrics")).text
    except httpx.HTTPError:
        return "no answer"
    states = re.findall(r"^ocpp_cp_connected{\S+} (\d)", text, re.MULTILINE)
    return f"{len(states)} ({states.count('1')} connected)"


def write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def nodes(cluster: Cluster, database: str) -> str:
    """The output of `wattspan node list`."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wattspan", "node", "list", "--database", database), stdout=asyncio.subprocess.PIPE
    )
    return (await child.communicate())[0].decode()


if __name__ == "__main__":
    asyncio.run(main())
