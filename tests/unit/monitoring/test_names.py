"""Names in rules, dashboards, documents and the catalogue are one set."""

import re
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from support.exporters import AWAITED, EXPORTERS
from support.monitoring import (
    ROOT,
    Asked,
    base_name,
    carriers,
    dashboard_queries,
    metric_names,
    parsed,
    rule_queries,
    rules,
    selectors,
    variable_metrics,
    walk,
)
from wattspan.chargy import catalogue as chargy_catalogue
from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import Kind, Metric

BUILTIN: dict[str, Metric] = {**catalogue.METRICS, **chargy_catalogue.METRICS}
HISTOGRAMS = {name for name, metric in BUILTIN.items() if metric.kind is Kind.HISTOGRAM} | {
    name for name in AWAITED if name.endswith("_duration_seconds")
}
RECORDED = {rule.name for rule in rules() if not rule.is_alert}
ASKED = [*rule_queries(), *dashboard_queries()]
OF_THE_SCRAPE = {"job", "instance", "le"}
FLEET = re.compile(r"(?<!:)\b(?:ocpp|chargy)_[a-z0-9_]+[a-z0-9]\b")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NO_METRICS = {"ocpp_go", "ocpp_rpc", "ocpp_ws_io", "ocpp_client"}
"""Words in documents that look like metrics and are not."""
OF_STOCK_READER = {"ocpp_cp_energy_total_wh_total"}
"""What the stock Prometheus reader makes of a name of ours; the documents warn of it."""


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.where)
def test_every_query_reads_only_metrics_that_somebody_emits(asked: Asked) -> None:
    names = {base_name(name, HISTOGRAMS) for name in metric_names(asked.expr)}
    assert names - BUILTIN.keys() - EXPORTERS - AWAITED - RECORDED == set()


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.where)
def test_every_query_selects_and_groups_by_labels_that_the_metric_has(asked: Asked) -> None:
    tree = parsed(asked.expr)
    for selector in selectors(tree):
        wanted = {matcher.name for matcher in selector.matchers.matchers}
        assert wanted - labels_of(selector, wanted) == set(), selector
    for node in walk(tree):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None and "by" in str(node.modifier):
            for selector in carriers(node.expr):
                grouped = set(node.modifier.labels)
                assert grouped - labels_of(selector, grouped) == set(), f"{selector} in {node}"


def labels_of(selector: Any, unknown: set[str]) -> set[str]:
    """What a series of ours is told apart by; of other people's metrics, whatever is asked."""
    name = base_name(str(selector.name), HISTOGRAMS)
    if name in BUILTIN:
        return {*BUILTIN[name].labels, *OF_THE_SCRAPE}
    return unknown


def test_the_variables_of_dashboards_list_labels_that_exist() -> None:
    for metric, label in variable_metrics():
        assert metric in EXPORTERS or label in BUILTIN[metric].labels


def test_exporters_metrics_are_listed_only_while_they_are_used() -> None:
    used = {name for asked in ASKED for name in metric_names(asked.expr)} | {name for name, _ in variable_metrics()}
    assert EXPORTERS - used == set()


def test_every_recorded_name_is_used_by_a_rule_or_a_dashboard() -> None:
    used = {name for asked in ASKED for name in metric_names(asked.expr)}
    assert RECORDED - used == FOR_THE_OPERATOR


FOR_THE_OPERATOR = {
    "fleet:ocpp_cp_connected:sum",
    "fleet:ocpp_cp_energy_wh:increase1d",
}
"""Recorded for federation (docs/dashboards.md), read by nothing of ours."""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_metrics_that_exist(path: Path) -> None:
    named = {base_name(name, HISTOGRAMS) for name in FLEET.findall(path.read_text(encoding="utf-8"))}
    assert named - BUILTIN.keys() - NO_METRICS - OF_STOCK_READER == set()


def test_every_metric_of_ours_is_documented() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)", text, re.MULTILINE))
    assert BUILTIN.keys() - documented == set()


def test_a_name_nobody_emits_is_found() -> None:
    assert metric_names('sum by (cp_id) (rate(ocpp_nothing_total{a="b"}[5m] offset 1h)) / up') == {
        "ocpp_nothing_total",
        "up",
    }
