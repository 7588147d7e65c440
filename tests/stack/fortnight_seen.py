"""What should be seen of a fleet over two weeks of history: answers of queries, figures, exemplars, log lines.

Each check returns what is wrong, in words. Alerts are in `fortnight_alerts.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from dashboards import central_system
from dashboards.__main__ import DASHBOARDS
from dashboards.log_query import VICTORIALOGS
from dashboards.model import Dashboard
from stack.fortnight import DAYS, Fortnight, Stopwatch
from stack.fortnight_company import FLEET, errors_told
from stack.process import eventually
from stack.servers import Prometheus, attributes
from stack.test_prometheus import QUERIES, STALE_HEARTBEAT
from support.monitoring import (
    VARIABLES,
    Asked,
    dashboard_queries,
    filled_in,
    metric_names,
    rule_queries,
    rules,
    variable_metrics,
)
from wattspan.simulator import Ledger, Simulation

BUILTIN = 'cp_id=~"SIM.+"'
SCRAPE_S = 10.0
"""Of the job wattspan, in the shipped file."""
POINTS = 800
"""A graph as wide as a screen."""
STEP_S = DAYS * 86400 / POINTS
LONG = VARIABLES | {
    "$__rate_interval": f"{STEP_S + SCRAPE_S:.0f}s",
    "$__interval": f"{STEP_S:.0f}s",
    "$__range": f"{DAYS}d",
}
SILENT = {
    "pg_": "no PostgreSQL runs here",
    "redis_": "no Redis runs here",
    "ocpp_proxy_": "no proxy runs here",
    "site:power_limit_w": "the operator sets it",
    "ocpp_central_certificate_expires_ts": "there is no TLS here",
    "ocpp_cp_certificate_expires_ts": "there is no TLS here",
    "ocpp_central_plugin_errors_total": "no plugin failed",
    "ocpp_central_maintenance_failures_total": "no periodic task failed",
    "registration_": "nobody may register here",
    "successful_registrations": "nobody may register here",
    "user_registration": "nobody may register here",
}
"""By the beginning of a metric's name: why a query that reads it may have nothing to tell."""
RARE = ("day:fleet_signal:same_hour", "fleet:signal:usual")
"""Recorded once in five minutes: a run shorter than `LONG_RUN_S` may see none."""
LONG_RUN_S = 480
EMPTY_BY_DESIGN = {
    'round(sum(increase(ocpp_central_handshakes_rejected_total{reason=~"upstream_': "no proxy runs here",
    'sum by (reason) (ocpp_central_handshakes_rejected_total{reason=~"upstream_': "no proxy runs here",
    "sum (successful_logins_total - ": "a bar counts its own 5 s, in which nobody logged in",
    "vector(0) > 0": "the site's limit, until the operator sets it",
    'changes(process_start_time_seconds{job="wattspan"}[1m]) > 0': "the server does not restart",
}


def shown(title: str) -> str:
    """What a panel of the main dashboard asks, for our fleet alone."""
    (panel,) = (each for each in central_system.DASHBOARD.panels() if each.title == title)
    return filled_in(panel.queries[0].expr, VARIABLES | {"$cp_id": "SIM.+"})


def now_of(simulation: Simulation) -> Mapping[str, float]:
    progress = simulation.progress()
    return {
        shown("Connected Charge Points"): progress.connected,
        shown("Active Transactions"): progress.charging,
        shown("Known Charge Points"): len(FLEET),
    }


async def differs(prometheus: Prometheus, expected: Callable[[], Mapping[str, float]]) -> list[str]:
    """What a page tells otherwise than expected, for as long as a scrape and an export may take."""
    found: dict[str, tuple[float, float]] = {}

    async def same() -> bool:
        found.clear()
        for query, value in expected().items():
            told = sum(each for _, each in await prometheus.query(query))
            # Meters tell fractions of a Wh.
            if abs(told - value) > (1 if "energy" in query else 0):
                found[query] = told, value
        return not found

    try:
        await eventually(same, within_s=60)
    except AssertionError:
        return [f"{query}: {told}, not {value}" for query, (told, value) in found.items()]
    return []


async def other_figures(prometheus: Prometheus, ledger: Ledger) -> list[str]:
    """Where the page and the simulator's books differ, now that the fleet has gone."""
    total = ledger.total
    figures = {
        shown("Connected Charge Points"): 0,
        shown("Active Transactions"): 0,
        shown("Total Transactions"): total.starts,
        f"sum(ocpp_cp_energy_total_wh{{{BUILTIN}}})": total.energy_wh,
        f"sum(ocpp_cp_boots_total{{{BUILTIN}}})": total.boots,
        f"sum(ocpp_cp_disconnects_total{{{BUILTIN}}})": total.disconnects,
        f'sum(ocpp_msg_handling_seconds_bucket{{{BUILTIN}, message_type="BootNotification", le="+Inf"}})': total.boots,
        'sum(ocpp_cp_energy_total_wh{cp_id="ODD"})': 24000,
        "count(chargy_connector_state)": 9,
    }
    for (cp_id, error), many in errors_told(ledger).items():
        figures[f'sum(ocpp_cp_errors_total{{cp_id="{cp_id}", error_type="{error}"}})'] = many
    return await differs(prometheus, lambda: figures)


async def silent_queries(prometheus: Prometheus, began_s: float) -> list[str]:
    """Queries of dashboards, rules and requirements that told nothing during the run, and should have."""
    recorded = {rule.expr for rule in rules() if not rule.is_alert}
    wanted = [
        *dashboard_queries(),
        *(asked for asked in rule_queries() if asked.expr in recorded),
        *(Asked(where="variable", expr=metric) for metric, _ in variable_metrics()),
        *(Asked(where="section 3", expr=query) for query in QUERIES),
    ]
    for asked in rule_queries():
        await prometheus.query(asked.expr)
    await prometheus.query(STALE_HEARTBEAT)
    silent = [each for each in wanted if not await prometheus.ever(each.expr, since_s=began_s, step_s=5)]
    short = time.time() - began_s < LONG_RUN_S
    return [f"{each.where}: {each.expr}" for each in silent if not excused(each.expr, short=short)]


def excused(expression: str, *, short: bool) -> bool:
    """Whether a query may have nothing to tell in a run that was `short` or not."""
    named = metric_names(expression)
    return (
        (short and not named.isdisjoint(RARE))
        or any(expression.startswith(begin) for begin in EMPTY_BY_DESIGN)
        or any(name.startswith(begin) for name in named for begin in SILENT)
    )


async def lost_exemplars(fortnight: Fortnight, prometheus: Prometheus) -> list[str]:
    """Of the latest exemplars of a page, those that lead to no trace."""
    series = await prometheus.exemplars(
        "ocpp_msg_handling_seconds_bucket", start_s=fortnight.began_s, end_s=time.time()
    )
    exemplars = sorted((each for found in series for each in found["exemplars"]), key=lambda each: each["timestamp"])
    latest = [each["labels"]["trace_id"] for each in exemplars[-10:]]
    lost = []
    for trace_id in latest:
        try:
            await eventually(partial(fortnight.stack.jaeger.trace, trace_id))  # traces are kept back for a while
        except AssertionError:
            lost.append(trace_id)
    return lost if latest else ["there is none"]


async def slow_dashboards(fortnight: Fortnight, watch: Stopwatch) -> list[str]:
    """Dashboards that take longer over two weeks than Prometheus takes to its next scrape, or do not reach back.

    Others work on this machine, too: of three tries the best counts.
    """
    wrong = []
    for dashboard in DASHBOARDS:
        part = f"for two weeks of {dashboard.title}"
        for _ in range(3):
            with watch.on(part):
                await asyncio.gather(*(asked_over_weeks(fortnight, query) for query in panel_queries(dashboard)))
            if watch.took[part] <= SCRAPE_S:
                break
        else:
            wrong.append(f"{dashboard.title}: {watch.took[part]} s")
    begin_s, end_s = fortnight.history_begin_s, fortnight.history_end_s
    for expr in (
        "sum(ocpp_cp_connected)",
        "sum(message_type:ocpp_msg_handling_seconds_bucket:rate5m)",
        "fleet:ocpp_cp_power_w:sum",
    ):
        found = await fortnight.stack.prometheus.over(expr, begin_s=begin_s, end_s=end_s, step_s=STEP_S)
        if not found or len(found[0][1]) < POINTS * 0.97:
            wrong.append(f"{expr} has no past")
    return wrong


def panel_queries(dashboard: Dashboard) -> Iterator[tuple[str, bool]]:
    """Expression, and whether it is asked for now alone."""
    for panel in dashboard.panels():
        for query in panel.queries:
            if query.logs is None:
                yield filled_in(query.expr, LONG), query.instant or query.table


async def asked_over_weeks(fortnight: Fortnight, query: tuple[str, bool]) -> None:
    prometheus = fortnight.stack.prometheus
    expr, instant = query
    if instant:
        await prometheus.query(expr)
    else:
        now_s = time.time()
        await prometheus.over(expr, begin_s=now_s - DAYS * 86400, end_s=now_s, step_s=STEP_S)


async def lost_lines(fortnight: Fortnight, ledger: Ledger) -> list[str]:
    """Chargers whose ended sessions are not in the log, sessions without trace or lines, panels without a line."""
    wrong = [
        f"{dashboard.title} / {panel.title} has no line"
        for dashboard in DASHBOARDS
        for panel in dashboard.panels()
        for query in panel.queries
        if query.logs and not await fortnight.stack.logs.lines(filled_in(VICTORIALOGS.spell(query.logs)))
    ]
    for cp_id, figures in ledger.charge_points.items():
        lines = await fortnight.stack.logs.lines(f'{{service.name="wattspan"}} cp_id:="{cp_id}" "session ended"')
        if len(lines) != figures.stops:
            wrong.append(f"{cp_id}: {len(lines)} lines of {figures.stops} sessions")
        for line in lines[-1:]:
            trace_id = line.fields["trace_id"]
            if not await fortnight.stack.logs.lines(f'{{service.name="wattspan"}} trace_id:="{trace_id}"'):
                wrong.append(f"{cp_id}: no line by trace {trace_id}")
            trace = await eventually(partial(fortnight.stack.jaeger.trace, trace_id))
            assert trace is not None
            if not any(attributes(span).get("cp_id") == cp_id for span in trace["spans"]):
                wrong.append(f"{cp_id}: its trace {trace_id} is another's")
    return wrong
