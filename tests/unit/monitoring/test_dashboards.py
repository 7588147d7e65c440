"""What each dashboard and panel must have, and that the committed files are what the generator writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import DASHBOARDS, FOLDER, VICTORIALOGS_FOLDER, files, stale
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


def test_there_are_the_eight_promised_dashboards() -> None:
    assert {each.title for each in DASHBOARDS} == {
        "OCPP Central System", "Charge point", "Sessions", "Services overview", "Authentication", "System resources",
        "Station view", "Business",
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
        assert "$__interval" not in query.expr
        assert "[1m]" not in query.expr


def test_every_latency_panel_asks_for_exemplars() -> None:
    for dashboard, panel in EVERY_PANEL:
        for query in panel.queries:
            if "histogram_quantile" in query.expr and "_health_check_" not in query.expr:
                assert query.exemplar, f"{dashboard.title} / {panel.title}"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.title)
def test_panels_lie_beside_each_other_within_the_grid(dashboard: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    written = dashboard.json()["panels"]
    assert [panel["id"] for panel in written] == list(range(1, len(written) + 1))
    for panel in written:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= FULL_WIDTH
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.title)
def test_files_hold_nothing_that_only_an_import_would_fill_in(dashboard: Dashboard) -> None:
    text = files()[FOLDER / f"{dashboard.uid}.json"]
    assert "${DS_" not in text
    assert "__inputs" not in text
    assert json.loads(text)["schemaVersion"] == 42
    variables = {each["name"] for each in json.loads(text)["templating"]["list"]}
    assert "datasource" in variables
    for name in ("console", "jaeger", "cp_id", "station", "instance"):
        used = f"${name}/" in text or f'"${name}' in text or f'\\"${name}\\"' in text or f"-{name}=${name}" in text
        assert name in variables or not used


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
        panels = [panel for panel in written["panels"] if panel["type"] == "logs"]
        assert [panel["datasource"] for panel in panels] == [{"type": store.type, "uid": "${logs}"}]
