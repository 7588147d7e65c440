"""The shipped rules and dashboards as tests read them: every alert, every recorded name, every query.

PromQL is taken apart by promql-parser, so a name in a comment or a string does not count. Knows files and syntax; what
a query should give it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from dashboards.__main__ import DASHBOARDS

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "alerts"
RULES = ALERTS / "rules"
RULE_TESTS = ALERTS / "tests"
VARIABLES = {
    "$__rate_interval": "1m",
    "$__interval": "5s",
    "$__range": "1h",
    "$site": ".*",
    "$cp_id": ".*",
    "${cp_id:regex}": ".*",
    "$station": ".*",
    "$instance": ".*",
}
"""What Grafana would put in; the longest name first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a file. `name` is the alert's or the recorded one's."""

    file: str
    name: str
    is_alert: bool
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """An alert and, where several rules share its name, the window that sets them apart."""
        return self.name, self.labels.get("window", "")


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, read by libyaml: ten times as fast as the parser in Python."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


def rules(folder: Path = RULES) -> list[Rule]:
    """Every rule, file by file."""
    return [
        Rule(
            file=path.name,
            name=rule.get("alert") or rule["record"],
            is_alert="alert" in rule,
            expr=rule["expr"],
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
        )
        for path in sorted(folder.glob("*.yml"))
        for group in read_yaml(path)["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[Rule]:
    """The alerts among Prometheus's rules."""
    return [rule for rule in rules() if rule.is_alert]


def promtool_tests() -> list[dict[str, Any]]:
    """The tests of all files in alerts/tests."""
    return [test for path in sorted(RULE_TESTS.glob("*.yml")) for test in read_yaml(path)["tests"]]


def filled_in(expression: str, variables: Mapping[str, str] = VARIABLES) -> str:
    """A dashboard's query with its variables replaced."""
    for name, value in variables.items():
        expression = expression.replace(name, value)
    return expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One PromQL expression and where it stands."""

    where: str
    expr: str


def dashboard_queries() -> Iterator[Asked]:
    """Every PromQL expression of every dashboard: panels, annotations; variables filled in."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels():
            for query in panel.queries:
                if query.logs is None:
                    yield Asked(where=f"{dashboard.title} / {panel.title}", expr=filled_in(query.expr))
        for mark in dashboard.annotations:
            yield Asked(where=f"{dashboard.title} / marks: {mark['name']}", expr=filled_in(mark["expr"]))


def variable_metrics() -> Iterator[tuple[str, str]]:
    """Metric and label of every `label_values(metric, label)` variable."""
    for dashboard in DASHBOARDS:
        for variable in dashboard.variables:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
                yield metric, label


def rule_queries() -> Iterator[Asked]:
    """The expression of every rule."""
    for rule in rules():
        yield Asked(where=f"{rule.file} / {rule.name}", expr=rule.expr)


def walk(node: Any) -> Iterator[Any]:
    """A syntax tree's nodes, from the top."""
    yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if (child := getattr(node, name, None)) is not None:
            yield from walk(child)
    for child in getattr(node, "args", None) or ():
        yield from walk(child)


def parsed(expression: str) -> Any:
    """The syntax tree; ValueError when it is no PromQL."""
    return promql.parse(expression)


def selectors(tree: Any) -> list[promql.VectorSelector]:
    """Every selector of a tree."""
    return [node for node in walk(tree) if isinstance(node, promql.VectorSelector)]


def metric_names(expression: str) -> set[str]:
    """The metrics an expression reads."""
    return {str(selector.name) for selector in selectors(parsed(expression))}


def base_name(series: str, histograms: set[str]) -> str:
    """A histogram's name for its _bucket, _sum and _count series; else the name itself."""
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    return base if base in histograms else series


def carriers(node: Any) -> Iterator[promql.VectorSelector]:
    """The selectors whose labels the result has: what stands right of `and` or `unless` only chooses."""
    if isinstance(node, promql.VectorSelector):
        yield node
    elif isinstance(node, promql.BinaryExpr):
        yield from carriers(node.lhs)
        if str(node.op) not in ("and", "unless"):
            yield from carriers(node.rhs)
    elif isinstance(node, promql.Call):
        for each in node.args:
            yield from carriers(each)
    elif (inner := getattr(node, "expr", None) or getattr(node, "vector_selector", None)) is not None:
        yield from carriers(inner)
