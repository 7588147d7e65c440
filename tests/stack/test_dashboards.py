"""Dashboards: Grafana's own types, and every query on a real Prometheus that watched a real run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import ocpp.v16.call as to_charger
import pytest
from ocpp.v16.enums import ResetType
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from dashboards.__main__ import files
from stack.alerting import watching
from stack.process import LOOPBACK, eventually, free_ports, on_free_ports
from stack.servers import Prometheus, Target, answers
from stack.test_prometheus import QUERIES, STALE_HEARTBEAT
from stack.toolchain import tool
from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, status, stop
from support.feeds import Site, plain, says
from support.monitoring import Asked, dashboard_queries, metric_names, rule_queries, rules, variable_metrics
from support.proxies import Proxy
from wattspan.errors import CommandTimeout
from wattspan.ocppj.large import LARGE_BYTES
from wattspan.simulator import ArrivalPattern, FaultRates, Ledger, Simulation

CHARGE_POINTS = 6
FASTER = 600.0
RUN_S = 25.0
ARRIVALS = ArrivalPattern(
    sessions_per_day=60, busy_at_start=0.8, stay_s=(1200, 3600), meter_interval_s=300, quietest=1.0
)
"""As many at night as by day, whenever the test runs."""
SILENT: dict[str, str] = {
    "pg_": "no PostgreSQL runs here",
    "redis_": "no Redis runs here",
    "otelcol_": "no Collector runs here",
    "prometheus_": "nothing was dropped or failed, and Prometheus does not scrape itself here",
    "alertmanager_": "Alertmanager is not scraped here",
    "http_": "the API is not served by this run",
    "successful_": "the API is not served by this run",
    "failed_logins": "the API is not served by this run",
    "registration_": "the API is not served by this run",
    "account_": "the API is not served by this run",
    "user_": "the API is not served by this run",
    "database_health": "the API is not served by this run",
    "system_health": "the API is not served by this run",
    "site:power_limit_w": "the operator sets it",
    "day:fleet_signal:same_hour": "needs a day of history",
    "fleet:signal:usual": "needs a day of history",
    "fleet:signal:now": "compared with a day of history that is not there",
    "ocpp_central_certificate_expires_ts": "there is no TLS here",
    "ocpp_cp_certificate_expires_ts": "there is no TLS here",
    "ocpp_central_plugin_errors_total": "no plugin failed",
    "ocpp_central_maintenance_failures_total": "no periodic task failed",
}
"""By the beginning of a metric's name: why a query that reads it may have nothing to tell."""
EMPTY_BY_DESIGN = {
    "vector(0) > 0": "the site's limit, until the operator sets it",
    'changes(process_start_time_seconds{job="wattspan"}[1m]) > 0': "the server did not restart",
    "label_replace(avg_over_time(fleet:signal:now": "needs a day of history",
}


TYPES = """import type { AnnotationQuery, Dashboard } from '@grafana/schema';
type Plain<T> = T extends string ? `${T}`
  : T extends (infer E)[] ? Plain<E>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Words = "expr" | "step" | "titleFormat" | "textFormat";
type Mark = Plain<AnnotationQuery> & Record<Words, string> & { useValueForTime: boolean };
type Import = { __inputs?: object[]; __requires?: object[] };
type Checked = Omit<Plain<Dashboard>, 'annotations'> & { annotations: { list: Mark[] } } & Import;
"""
"""Grafana's type, with enumerations as JSON spells them, and with what Prometheus adds to an annotation."""


def test_grafanas_own_types_accept_every_dashboard_and_no_broken_one(tmp_path: Path) -> None:
    tsc = tool("grafana-schema")
    (tmp_path / "node_modules").symlink_to(tsc.parents[1])
    for path, text in files().items():
        (tmp_path / f"{path.parent.name}-{path.stem}.ts").write_text(
            f"{TYPES}export const d: Checked = {text};\n", encoding="utf-8"
        )
    assert typed(tsc, tmp_path) == []

    broken = json.loads(next(iter(files().values())))
    broken["panels"][1]["gridPos"]["x"] = "left"
    (tmp_path / "broken.ts").write_text(f"{TYPES}export const d: Checked = {json.dumps(broken)};\n", encoding="utf-8")
    assert any("broken.ts" in line for line in typed(tsc, tmp_path))


def typed(tsc: Path, folder: Path) -> list[str]:
    """What the compiler says of the .ts files of a folder."""
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler"]
    command = [str(tsc), *options, *(path.name for path in sorted(folder.glob("*.ts")))]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True).stdout.splitlines()


@asynccontextmanager
async def node_exporter(folder: Path) -> AsyncIterator[str]:
    """Debian's; its address."""

    def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
        return [tool("node-exporter"), f"--web.listen-address={LOOPBACK}:{ports[0]}"], {}

    async def healthy(ports: Sequence[int]) -> bool:
        return await answers(f"http://{LOOPBACK}:{ports[0]}/metrics")

    async with on_free_ports("node-exporter", launch, healthy, ports=1, folder=folder) as (_, ports):
        yield f"{LOOPBACK}:{ports[0]}"


@asynccontextmanager
async def chargy(folder: Path) -> AsyncIterator[str]:
    """`wattspan chargy` on a small network; its address."""
    async with Site.run(says(plain("AVAILABLE", "CHARGING", "OFFLINE"))) as site:

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            return [sys.executable, "-m", "wattspan", "chargy", "--port", str(ports[0]), "--kml-url", site.url], {}

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[0]}/readyz")

        async with on_free_ports("chargy", launch, healthy, ports=1, folder=folder) as (_, ports):
            yield f"{LOOPBACK}:{ports[0]}"


async def odd_charger(csms: Csms, prometheus: Prometheus) -> None:
    """What a well-behaved fleet never does: every kind of trouble that a panel shows."""
    async with httpx.AsyncClient() as client:
        await client.get(f"http://{LOOPBACK}:{csms.central.port}/ws/ODD")
    async with csms.raw_charger("/nowhere/at/all/ODD"):
        pass
    async with csms.charger("ODD") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("Heartbeat")
        # What increase() counts from: a charger's counters at 0, once seen.
        await eventually(partial(prometheus.query, 'ocpp_energy_jump_total{cp_id="ODD"}'))
        transaction = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("MeterValues", limited(transaction, 1500))
        await charger.call("MeterValues", limited(transaction, 25000))
        await charger.call("StatusNotification", {**status("Charging"), "vendorId": "x" * 300})
        await charger.call("Authorize", {"idTag": "TAG1"})
        reset = to_charger.Reset(type=ResetType.soft)
        asked = asyncio.create_task(csms.central.call("ODD", reset))
        await charger.reply(await charger.expect("Reset"), {"status": "Rejected"})
        await asked
        with pytest.raises(CommandTimeout):
            await csms.central.call("ODD", reset)
        charger.vanish()
    await csms.becomes(0, "ocpp_cp_connected", cp_id="ODD")
    async with csms.charger("ODD") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("StopTransaction", stop(transaction, 25000))


def limited(transaction: int, wh: float) -> dict[str, object]:
    current = {"value": "16", "measurand": "Current.Import", "unit": "A"}
    offered = {"value": "32", "measurand": "Current.Offered", "unit": "A"}
    return meter_values(transaction, energy(wh), current, offered)


async def faulty_charger(csms: Csms, prometheus: Prometheus) -> None:
    """A fault before and after Prometheus has seen its counter: what rose before that is no increase."""
    async with csms.charger("FAULTY") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
        await eventually(partial(prometheus.query, 'ocpp_cp_errors_total{cp_id="FAULTY"} == 1'))
        await charger.call("StatusNotification", status("Available"))
        await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))


async def simulated(csms: Csms) -> Ledger:
    """A fleet that charges, with faults; what it knows of itself."""
    simulation = Simulation(
        url=csms.url("/ws"),
        charge_points=CHARGE_POINTS,
        time_factor=FASTER,
        faults=FaultRates(error=0.3, drop=0.2, repeat=0.2),
        arrivals=ARRIVALS,
        duration_s=RUN_S,
    )
    return await simulation.run()


@asynccontextmanager
async def proxied(folder: Path, csms: Csms) -> AsyncIterator[Proxy]:
    """A proxy before the central system, with a mirror that answers otherwise or not at all."""

    async def differ(connection: ServerConnection) -> None:
        async for text in connection:
            _, message_id, action, _ = json.loads(text)
            if action == "Heartbeat":
                await connection.close()
            await connection.send(json.dumps([4, message_id, "NotSupported", "", {}]))

    async with serve(differ, LOOPBACK, 0, subprotocols=[Subprotocol("ocpp1.6")]) as mirror:
        mirrors = [f"ws://{LOOPBACK}:{mirror.sockets[0].getsockname()[1]}/{{cp_id}}"]
        async with Proxy(folder / "proxy.db", csms.url("/ws/{cp_id}"), mirrors=mirrors, compare=True) as proxy:
            yield proxy


PROXY_TROUBLES = {
    "ocpp_proxy_unobserved_total",
    "ocpp_proxy_redirections_total",
    "ocpp_proxy_mirror_messages_total",
    "ocpp_proxy_mirror_differences_total",
    'ocpp_central_handshakes_rejected_total{reason=~"upstream_.+"}',
}


async def trouble_at_the_proxy(csms: Csms, proxy: Proxy, prometheus: Prometheus) -> None:
    """What the panels and alerts of the proxy are for, again and again: increase() counts from the second time on."""
    seen = 0
    while seen < len(PROXY_TROUBLES):
        with pytest.raises(InvalidStatus):
            await proxy.charger("ws").__aenter__()  # no identity that our central system takes
        async with proxy.charger("BEHIND") as charger:
            await charger.call("BootNotification", BOOT)
            await charger.call("DataTransfer", {"vendorId": "Acme", "data": "x" * LARGE_BYTES})
            change = {"key": "BackendURL", "value": "ws://elsewhere.example"}
            asked = asyncio.create_task(csms.central.commands.send_payload("BEHIND", "ChangeConfiguration", change))
            await charger.reply(await charger.expect("ChangeConfiguration"), {"status": "Accepted"})
            await asked
            await charger.call("Heartbeat")
        await csms.becomes(0, "ocpp_cp_connected", cp_id="BEHIND")
        increased = [await prometheus.query(f"sum(increase({name}[1m])) > 0") for name in PROXY_TROUBLES]
        seen = sum(map(bool, increased))


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[tuple[Prometheus, Ledger, float, float]]:
    """Prometheus after the run, still scraping; the simulator's ledger; when the run began and ended."""
    async with AsyncExitStack() as stack:
        metrics_port, port = free_ports(2)
        csms = Csms(tmp_path / "fleet.db", port=port, metrics_port=metrics_port, command_timeout_s=1.0)
        await csms.start()
        stack.push_async_callback(csms.stop)
        targets = [
            Target(address=f"{LOOPBACK}:{metrics_port}"),
            Target(address=await stack.enter_async_context(node_exporter(tmp_path)), job="node"),
            Target(address=await stack.enter_async_context(chargy(tmp_path)), job="chargy"),
        ]
        proxy = await stack.enter_async_context(proxied(tmp_path, csms))
        targets.append(Target(address=f"{LOOPBACK}:{proxy.server.metrics_port}", job="wattspan-proxy"))
        began_s = time.time()
        prometheus, _, _ = await stack.enter_async_context(watching(tmp_path, *targets))
        await eventually(partial(prometheus.query, "ocpp_central_up offset 6s"))
        fleet = asyncio.create_task(simulated(csms))
        await odd_charger(csms, prometheus)
        await faulty_charger(csms, prometheus)
        await trouble_at_the_proxy(csms, proxy, prometheus)
        ledger = await fleet
        await csms.durable()
        # A scrape from before may have met a moment in which everybody was away for a while.
        sockets = 'ocpp_central_sockets{job="wattspan"}'
        scraped = f"{sockets} == 0 and timestamp({sockets}) > {time.time()}"
        await eventually(partial(prometheus.query, scraped))
        yield prometheus, ledger, began_s, time.time()


async def test_every_query_has_an_answer_and_key_figures_are_the_simulators(
    watched: tuple[Prometheus, Ledger, float, float],
) -> None:
    prometheus, ledger, began_s, ended_s = watched
    recorded = {rule.expr for rule in rules() if not rule.is_alert}
    wanted = [
        *dashboard_queries(),
        *(asked for asked in rule_queries() if asked.expr in recorded),
        *(Asked(where="variable", expr=metric) for metric, _ in variable_metrics()),
        *(Asked(where="section 3", expr=query) for query in QUERIES if "> 0.9" not in query),
    ]
    silent = [asked for asked in wanted if not await prometheus.ever(asked.expr, since_s=began_s)]
    assert [(each.where, each.expr) for each in silent if reason(each.expr) is None] == []

    for asked in rule_queries():
        await prometheus.query(asked.expr)
    assert await prometheus.query(STALE_HEARTBEAT, at_s=ended_s) == []  # by now some are silent for minutes

    figures = {
        'count(ocpp_cp_connected{cp_id=~"SIM.+"})': CHARGE_POINTS,
        'sum(ocpp_tx_total{cp_id=~"SIM.+"})': ledger.total.starts,
        'sum(ocpp_cp_energy_total_wh{cp_id=~"SIM.+"})': pytest.approx(ledger.total.energy_wh, abs=1),
        'sum(ocpp_tx_active{cp_id=~"SIM.+"})': 0,
        'sum(ocpp_cp_energy_total_wh{cp_id="ODD"})': 24000,
        "count(chargy_connector_state)": 9,
    }

    async def told() -> dict[str, float]:
        """All of them: where a scrape has just failed, none is there."""
        found = {query: await prometheus.query(query) for query in figures}
        return {query: series[0][1] for query, series in found.items()} if all(found.values()) else {}

    assert await eventually(told) == figures


def reason(expression: str) -> str | None:
    """Why a query may have nothing to tell; None when it must."""
    for begin, why in EMPTY_BY_DESIGN.items():
        if expression.startswith(begin):
            return why
    named = metric_names(expression)
    return next((why for begin, why in SILENT.items() if any(name.startswith(begin) for name in named)), None)
