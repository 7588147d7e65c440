"""What each dashboard and panel must have, and that the committed files are what the generator writes."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import DASHBOARDS, FOLDER, IMPORT_FOLDER, VICTORIALOGS_FOLDER, files, stale
from dashboards.log_query import LOKI, VICTORIALOGS, LogFilter, LogStore
from dashboards.model import FULL_WIDTH, JAEGER, PROMETHEUS, Dashboard, Panel

TITLES = """
Central Service Running
Central Service Resident Memory
Connected Charge Points
Active Transactions
Connected Charge Points Over Time (by CP)
Active Transactions Over Time (by CP)
Number of Boots Over Time (by CP)
Number of Disconnects Over Time (by CP)
Number of Errors Over Time (by CP)
Sum of Measured Current Delivered (by CP)
Time Since Last Heartbeat (by CP)
Time Since Last Transaction (by CP)
Total Reconnects During Transaction (by CP)
Sum of Measured Current Delivered (Total System)
Command Errors
Command Rejections
Energy Jumps
""".strip().splitlines()
BARS = {title for title in TITLES if title.startswith("Number of")}
CENTRAL = next(each for each in DASHBOARDS if each.title == "OCPP Central System")
EVERY_PANEL = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels()]
ON_A_PHONE = 4
"""Narrowest width that still shows a figure; Grafana stacks panels on narrow screens, tablets keep the grid."""


def named(pair: Any) -> str:
    return f"{pair[0].title} / {pair[1].title}"


def test_the_committed_files_are_what_the_generator_writes() -> None:
    assert stale() == [], "run: python -m dashboards"


def test_there_are_the_promised_dashboards_and_those_of_proxy_and_control_room() -> None:
    assert {each.title for each in DASHBOARDS} == {
        "OCPP Central System", "Charge point", "Sessions", "Services overview", "Authentication", "System resources",
        "Station view", "Business", "Proxy", "Fleet (NOC)",
    }  # fmt: skip


def test_the_central_dashboard_has_the_promised_panels_rows_range_and_refresh() -> None:
    titles = [panel.title for panel in CENTRAL.panels()]
    assert [title for title in TITLES if titles.count(title) != 1] == []
    assert [row.title.lower() for row in CENTRAL.rows] == [
        "overview", "connection health", "transactions", "performance", "power and current",
    ]  # fmt: skip
    assert (CENTRAL.json()["time"], CENTRAL.json()["refresh"]) == ({"from": "now-6h", "to": "now"}, "30s")
    for panel in CENTRAL.panels():
        if panel.title in BARS:
            assert panel.defaults["custom"]["drawStyle"] == "bars"


@pytest.mark.parametrize("pair", EVERY_PANEL, ids=named)
def test_every_panel_says_what_it_shows_in_which_unit_from_where(pair: tuple[Dashboard, Panel]) -> None:
    _, panel = pair
    assert panel.description.endswith(".")
    assert panel.unit
    assert panel.queries
    assert all(query.datasource in (PROMETHEUS, JAEGER) for query in panel.queries)
    assert len(panel.queries) == 1 or all(query.legend for query in panel.queries)
    assert panel.width >= ON_A_PHONE


@pytest.mark.parametrize("pair", EVERY_PANEL, ids=named)
def test_rates_take_their_window_from_grafana_or_are_an_hour_or_more(pair: tuple[Dashboard, Panel]) -> None:
    """A fixed window shorter than the distance of two points leaves gaps; five minutes is the one a rule shares."""
    for query in pair[1].queries:
        assert "$__interval" not in query.expr.replace("offset $__interval", "")
        assert "[1m]" not in query.expr


def test_bars_count_each_event_once() -> None:
    """A window longer than the distance of two bars counts an event twice, a shorter one counts some never."""
    for dashboard, panel in EVERY_PANEL:
        if panel.defaults.get("custom", {}).get("drawStyle") == "bars":
            assert panel.interval, f"{dashboard.title} / {panel.title}"
            for query in panel.queries:
                assert "offset $__interval" in query.expr, f"{dashboard.title} / {panel.title}"
                assert "[" not in re.sub(r"topk\(.*", "", query.expr), f"{dashboard.title} / {panel.title}"


def test_no_graph_has_a_line_for_each_charge_point_of_a_large_fleet() -> None:
    for dashboard, panel in EVERY_PANEL:
        alone = dashboard.title == "Charge point"
        for query in panel.queries:
            if "{{cp_id}}" in query.legend and not alone:
                assert re.search(r"\b(topk|bottomk)\(", query.expr), f"{dashboard.title} / {panel.title}"


def test_sums_take_each_charge_point_once() -> None:
    """Two pages may have the same charge point: those of two nodes when it moves, the Collector's after a restart."""
    for dashboard, panel in EVERY_PANEL:
        for query in panel.queries:
            summed = re.findall(r"\b(?:sum|count|avg)(?: by \([^)]*\))? ?\((ocpp_(?:cp|tx|connector)_\w+)", query.expr)
            totals = [name for name in summed if not name.endswith(("_count", "_sum", "_bucket"))]
            only_compared_with_0 = panel.title.startswith(("Fully Booked", "Without a Free"))
            assert totals == [] or only_compared_with_0, f"{dashboard.title} / {panel.title}"


def test_one_charge_point_is_chosen_where_one_is_shown_in_depth() -> None:
    alone = next(each for each in DASHBOARDS if each.title == "Charge point")
    (chosen,) = [each for each in alone.variables if each["name"] == "cp_id"]
    assert (chosen["multi"], chosen["includeAll"]) == (False, False)


def test_the_fleet_is_on_one_screen() -> None:
    """1080 pixels have room for 26 units of 38 pixels under Grafana's own head."""
    fleet = next(each for each in DASHBOARDS if each.title == "Fleet (NOC)")
    panels = fleet.json()["panels"]
    assert {panel["type"] for panel in panels} >= {"stat", "bargauge", "table", "state-timeline", "heatmap"}
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) <= 26


def test_the_rows_of_the_central_dashboard_are_collapsed_but_for_the_overview() -> None:
    assert [row.collapsed for row in CENTRAL.rows] == [False, True, True, True, True]
    rows = [panel for panel in CENTRAL.json()["panels"] if panel["type"] == "row"]
    assert [bool(row["panels"]) for row in rows] == [row.collapsed for row in CENTRAL.rows]
    assert [row["gridPos"]["y"] for row in rows[1:]] == list(
        range(rows[1]["gridPos"]["y"], rows[1]["gridPos"]["y"] + 4)
    )


def test_every_latency_panel_asks_for_exemplars() -> None:
    for dashboard, panel in EVERY_PANEL:
        for query in panel.queries:
            if "histogram_quantile" in query.expr and "_health_check_" not in query.expr:
                assert query.exemplar, f"{dashboard.title} / {panel.title}"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.title)
def test_panels_fill_the_grid_without_a_hole(dashboard: Dashboard) -> None:
    written = flat(dashboard.json()["panels"])
    assert [panel["id"] for panel in written] == list(range(1, len(written) + 1))
    for group in groups(dashboard.json()["panels"]):
        cells = Counter(
            (x, y)
            for place in (panel["gridPos"] for panel in group)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
        top, bottom = min(y for _, y in cells), max(y for _, y in cells)
        assert cells == Counter((x, y) for x in range(FULL_WIDTH) for y in range(top, bottom + 1))


def flat(panels: list[Any]) -> list[Any]:
    """All panels, those in collapsed rows after their row."""
    return [each for panel in panels for each in (panel, *panel.get("panels", ()))]


def groups(panels: list[Any]) -> list[list[Any]]:
    """What lies on one grid: the panels at the top level, and those of each collapsed row."""
    return [panels, *(panel["panels"] for panel in panels if panel.get("panels"))]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.title)
def test_files_hold_nothing_that_only_an_import_would_fill_in(dashboard: Dashboard) -> None:
    text = files()[FOLDER / f"{dashboard.uid}.json"]
    assert "${DS_" not in text
    assert "__inputs" not in text
    assert json.loads(text)["schemaVersion"] == 42
    variables = {each["name"] for each in json.loads(text)["templating"]["list"]}
    assert "datasource" in variables
    for name in ("console", "jaeger", "cp_id", "site", "station", "instance"):
        used = f"${name}/" in text or f'"${name}' in text or f'\\"${name}\\"' in text or f"-{name}=${name}" in text
        assert name in variables or not used


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.title)
def test_a_file_for_import_by_hand_differs_by_its_data_sources_alone(dashboard: Dashboard) -> None:
    imported = json.loads(files()[IMPORT_FOLDER / f"{dashboard.uid}.json"])
    asked = {each["name"] for each in imported.pop("__inputs")}
    assert asked == {"DS_PROMETHEUS", *(["DS_LOKI"] if dashboard.has_logs else [])}
    assert {each["type"] for each in imported.pop("__requires")} == {"grafana", "datasource"}
    text = json.dumps(imported)
    assert set(re.findall(r"\$\{(DS_\w+)\}", text)) == asked
    back = json.loads(text.replace("${DS_PROMETHEUS}", "${datasource}").replace("${DS_LOKI}", "${logs}"))
    provisioned = dashboard.json()
    variables = [each for each in provisioned["templating"]["list"] if each["type"] != "datasource"]
    assert back == provisioned | {"templating": {"list": variables}}


def test_links_between_dashboards_lead_somewhere() -> None:
    known = {each.uid for each in DASHBOARDS}
    for text in files().values():
        for link in json.dumps(json.loads(text)).split('"/d/')[1:]:
            assert link.split("?")[0] in known


def test_uids_are_short_enough_for_grafana_and_each_its_own() -> None:
    uids = [each.uid for each in DASHBOARDS]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40


@pytest.mark.parametrize(
    ("which", "logql", "logsql"),
    [
        (LogFilter(service=None), '{service_name=~".+"}', "*"),
        (LogFilter(service="wattspan"), '{service_name="wattspan"}', '{service.name="wattspan"}'),
        (
            LogFilter(service=None, matches={"severity_text": "ERROR|FATAL"}),
            '{service_name=~".+"} | severity_text=~"ERROR|FATAL"',
            'severity_text:~"^(?:ERROR|FATAL)$"',
        ),
        (
            LogFilter(service="wattspan", matches={"cp_id": "$cp_id"}, has=("exception.type",), message="(?i)token"),
            '{service_name="wattspan"} | cp_id=~"$cp_id" | exception_type!="" |~ "(?i)token"',
            '{service.name="wattspan"} cp_id:~"^(?:${cp_id:regex})$" exception.type:* ~"(?i)token"',
        ),
    ],
)
def test_a_log_filter_is_the_same_in_both_languages(which: LogFilter, logql: str, logsql: str) -> None:
    assert (LOKI.spell(which), VICTORIALOGS.spell(which)) == (logql, logsql)


@pytest.mark.parametrize(("folder", "store"), [(FOLDER, LOKI), (VICTORIALOGS_FOLDER, VICTORIALOGS)])
def test_the_store_of_log_panels_is_chosen_by_a_variable(folder: Path, store: LogStore) -> None:
    with_logs = [dashboard for dashboard in DASHBOARDS if dashboard.has_logs]
    assert {dashboard.title for dashboard in with_logs} == {"Authentication", "Charge point"}
    for dashboard in with_logs:
        written = json.loads((folder / f"{dashboard.uid}.json").read_text(encoding="utf-8"))
        (variable,) = [each for each in written["templating"]["list"] if each["name"] == "logs"]
        assert (variable["type"], variable["query"]) == ("datasource", store.type)
        panels = [panel for panel in flat(written["panels"]) if panel["type"] == "logs"]
        assert [panel["datasource"] for panel in panels] == [{"type": store.type, "uid": "${logs}"}]
