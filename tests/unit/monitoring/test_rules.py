"""Every alert says what it must, has its section in the runbooks, and is proven to fire and to stay quiet."""

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from alerts.__main__ import ABSOLUTE, GRAFANA, LOKI, VMALERT, files, stale
from alerts.grafana_rules import NAMES
from alerts.runbooks import PAGE, default_base, runbook
from alerts.runbooks import RUNBOOKS as RUNBOOK_BASE
from support.monitoring import ALERTS, ROOT, Rule, alerts, parsed, promtool_tests, read_yaml, rules
from wattspan.settings import Settings
from wattspan.versions import VERSIONS

ALWAYS_ON = {"Watchdog"}
COMPONENT_OF_ANOTHER = {"CriticalAlertUnresolved": "that of the alert it escalates"}
SEVERITIES = {"critical", "warning", "info", "none"}
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = set(re.findall(r"^### (\w+)$", RUNBOOKS, re.MULTILINE))
PROMISED = {
    "ChargePointDisconnected",
    "ChargePointStaleHeartbeat",
    "HighErrorRate",
    "SlowMessageHandling",
    "NearCurrentLimit",
    "ChargePointMultipleReboots",
    "ChargePointMultipleDisconnects",
    "ChargePointErrorDetected",
    "ChargePointHeartbeatOverADay",
    "ChargePointStaleTransaction",
    "ChargePointRebootDuringTransaction",
    "CommandTimedOut",
    "CommandRejected",
    "CentralSystemDown",
    "ServiceDown",
    "DiskNearlyFull",
    "DatabaseUnreachable",
    "DatabaseSlow",
    "HttpErrorRateHigh",
    "HttpSlow",
    "CpuHigh",
    "MemoryHigh",
    "FailedLoginBurst",
    "AccountLockedOut",
    "StoreBacklog",
    "StoreFailing",
    "Watchdog",
}
LONGEST_LOOK_BACK_H = 7 * 24
HOURS = {"s": 1 / 3600, "m": 1 / 60, "h": 1, "d": 24, "w": 7 * 24}


def on_logs(path: Path) -> list[Rule]:
    groups = read_yaml(path)["groups"]
    return [
        Rule(
            file=path.parent.name,
            name=rule["alert"],
            is_alert=True,
            expr=rule["expr"],
            labels=rule["labels"],
            annotations=rule["annotations"],
        )
        for group in groups
        for rule in group["rules"]
    ]


EVERY = [*alerts(), *on_logs(LOKI)]
PROVABLE = [rule for rule in alerts() if rule.name not in ALWAYS_ON]
PROMTOOL_TESTS = promtool_tests()


def test_the_committed_rules_on_logs_are_what_their_source_writes() -> None:
    assert stale() == [], "run: python -m alerts"


def test_both_log_stores_have_the_same_alerts() -> None:
    ours, others = ({rule.name: (rule.labels, rule.annotations) for rule in on_logs(path)} for path in (LOKI, VMALERT))
    assert ours == others


def test_grafana_has_the_same_alerts_as_prometheus() -> None:
    """Written by another hand than the one that writes the file: what Grafana would evaluate, beside the rule."""
    group = json.loads(GRAFANA.read_text(encoding="utf-8"))
    assert [rule["title"] for rule in group["rules"]] == list(NAMES)
    recorded = {rule.name: rule.expr for rule in rules() if not rule.is_alert}
    ours = {rule.name: rule for rule in alerts()}
    pending = {
        rule["alert"]: rule.get("for", "0s")
        for each in read_yaml(ALERTS / "rules" / "charge_points.yml")["groups"]
        for rule in each["rules"]
        if "alert" in rule
    }
    for rule in group["rules"]:
        same = ours[rule["title"]]
        query, threshold = rule["data"]
        expected = same.expr
        for name, expr in recorded.items():
            expected = expected.replace(name, f"({expr})")
        assert str(parsed(query["model"]["expr"])) == str(parsed(expected))
        assert rule["for"] == pending[same.name]
        assert (rule["labels"], rule["condition"]) == (same.labels, threshold["refId"])
        assert threshold["model"]["expression"] == query["refId"]
        assert rule["annotations"].keys() == same.annotations.keys()
        assert "$value " not in " ".join(rule["annotations"].values())
        assert len(rule["uid"]) <= 40


def test_compose_does_not_provision_grafanas_alerts() -> None:
    """They would fire beside Prometheus's."""
    for path in (ROOT / "compose.yaml", *(ROOT / "deploy").rglob("*.y*ml")):
        assert "alerts/grafana" not in path.read_text(encoding="utf-8")


def test_another_page_of_runbooks_replaces_the_addresses_of_all_rules() -> None:
    written = files("https://wiki.example/runbooks")
    del written[PAGE]
    for path, text in written.items():
        assert "runbook_url" in text or path.name == "site.yml"
        assert text.count("runbook_url") == text.count("https://wiki.example/runbooks#")


def test_the_address_of_the_page_comes_from_one_setting() -> None:
    assert default_base({"WATTSPAN_RUNBOOK_BASE": "https://wiki.example/runbooks"}) == "https://wiki.example/runbooks"
    assert default_base({}) == RUNBOOK_BASE
    assert ABSOLUTE.fullmatch(RUNBOOK_BASE)
    assert not ABSOLUTE.fullmatch("docs/runbooks.md")


def test_every_promised_alert_is_there() -> None:
    assert PROMISED - {rule.name for rule in alerts()} == set()


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: "-".join(rule.key))
def test_every_alert_has_labels_texts_and_a_runbook(rule: Rule) -> None:
    assert rule.labels["severity"] in SEVERITIES
    assert rule.labels.get("component", COMPONENT_OF_ANOTHER.get(rule.name))
    assert rule.annotations.keys() == {"summary", "description", "runbook_url"}
    assert rule.annotations["runbook_url"] == runbook(rule.name)
    assert rule.name in SECTIONS


def test_every_section_has_the_query_of_its_alert() -> None:
    """`stale()` holds them equal to the rules; here that none is missing, and that Prometheus's can be pasted."""
    queries = dict(re.findall(r"^### (\w+)\nQuery: `([^`]+)`$", RUNBOOKS, re.MULTILINE))
    assert queries.keys() == SECTIONS
    for rule in alerts():
        parsed(queries[rule.name])


BODIES = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("title", sorted(SECTIONS))
def test_every_section_has_a_log_line_the_causes_in_order_and_a_fix(title: str) -> None:
    body = BODIES[title]
    assert re.search(r"^- (Log line `event\.name=|Log: |SQL: `)", body, re.MULTILINE)
    assert re.search(r"^- Likeliest causes, in order: .+;?.+\.?", body, re.MULTILINE)
    fix = re.search(r"^- Fix: (.+)$", body, re.MULTILINE)
    assert fix
    assert "`" in fix[1]


@pytest.mark.parametrize(("action", "payload"), re.findall(r"`wattspan cp command CP1 (\w+) '(\{.*?\})'`", RUNBOOKS))
def test_every_command_that_a_runbook_sends_is_one_of_ocpp_16(action: str, payload: str) -> None:
    version = VERSIONS["ocpp1.6"]
    assert action in version.commands
    assert list(version.schemas.call_faults(action, json.loads(payload))) == []


def test_every_setting_and_command_line_that_a_runbook_names_exists() -> None:
    named = set(re.findall(r"WATTSPAN_([A-Z_]+)", RUNBOOKS)) - {"RUNBOOK_BASE"}
    assert named <= {name.upper() for name in Settings.model_fields}
    for group, command in re.findall(r"`wattspan (ca|config|cp|tag|tx|user) (\w+)", RUNBOOKS):
        assert f"### wattspan {group} {command}\n" in COMMANDS, (group, command)


def receivers_of(alert: dict[str, str]) -> set[str]:
    """The receivers that Alertmanager's routes lead to: the first that matches, and those after `continue`."""
    root = read_yaml(ALERTS / "alertmanager.yml")["route"]
    found: set[str] = set()
    for route in root["routes"]:
        if all(matches(matcher, alert) for matcher in route["matchers"]):
            found.add(route["receiver"])
            if not route.get("continue"):
                break
    return found or {root["receiver"]}


def matches(matcher: str, labels: dict[str, str]) -> bool:
    name, operator, value = re.fullmatch(r'(\w+) (=~?) "([^"]*)"', matcher).groups()  # type: ignore[union-attr]
    mine = labels.get(name, "")
    return bool(re.fullmatch(value, mine)) if operator == "=~" else mine == value


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: "-".join(rule.key))
def test_only_critical_alerts_mail(rule: Rule) -> None:
    """Whoever is informed or warned is not woken."""
    config = read_yaml(ALERTS / "alertmanager.yml")
    mailing = {each["name"] for each in config["receivers"] if "email_configs" in each}
    reached = receivers_of({**rule.labels, "alertname": rule.name})
    assert bool(reached & mailing) == (rule.labels["severity"] == "critical")
    assert reached - mailing


def test_the_runbooks_have_no_section_for_an_alert_that_is_gone() -> None:
    assert SECTIONS - {rule.name for rule in EVERY} == set()


def proven(rule: Rule, claim: str) -> list[list[dict[str, Any]]]:
    """The checks of the promtool tests that make this claim about an alert, one list a test."""
    window = f'window="{rule.labels["window"]}"' if "window" in rule.labels else ""
    named = [test["promql_expr_test"] for test in PROMTOOL_TESTS if test["name"].startswith(f"{rule.name} {claim} ")]
    return [checks for checks in named if all(window in check["expr"] for check in checks)]


@pytest.mark.parametrize("rule", PROVABLE, ids=lambda rule: "-".join(rule.key))
def test_every_alert_is_proven_to_fire_no_sooner_and_to_stay_quiet_on_a_near_miss(rule: Rule) -> None:
    firing, quiet = proven(rule, "fires"), proven(rule, "stays quiet")
    assert firing
    assert quiet
    for before, at in firing:
        assert (before["exp_samples"], at["exp_samples"]) == ([], [{"labels": "{}", "value": 1}])
        assert minutes(before["eval_time"]) < minutes(at["eval_time"])
    for check in chain(*firing, *quiet):
        assert f'alertname="{rule.name}"' in check["expr"]
        assert 'alertstate="firing"' in check["expr"]
    assert all(check["exp_samples"] == [] for check in chain(*quiet))


@pytest.mark.parametrize("rule", PROVABLE, ids=lambda rule: "-".join(rule.key))
def test_a_quiet_test_looks_when_the_alert_would_have_fired(rule: Rule) -> None:
    soonest = min(minutes(at["eval_time"]) for _, at in proven(rule, "fires"))
    for checks in proven(rule, "stays quiet"):
        assert max(minutes(check["eval_time"]) for check in checks) >= soonest


def minutes(duration: str) -> float:
    return hours(duration) * 60


def hours(duration: str) -> float:
    return sum(float(number) * HOURS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", duration))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule.name}-{rule.labels.get('signal', '')}")
def test_no_rule_looks_back_further_than_a_week(rule: Rule) -> None:
    windows = [hours(each) for each in re.findall(r"\[(\w+)", rule.expr)]
    offsets = [hours(each) for each in re.findall(r"offset (\w+)", rule.expr)]
    assert max(windows, default=0) + max(offsets, default=0) <= LONGEST_LOOK_BACK_H


def test_texts_use_only_labels_that_the_alert_can_have() -> None:
    """A label the expression sums away would be an empty place in the text."""
    for rule in alerts():
        grouped = re.search(r"by \(([^)]*)\)", rule.expr)
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values())))
        if grouped and "without" not in rule.expr and "label_replace" not in rule.expr:
            assert used <= {label.strip() for label in grouped[1].split(",")} | rule.labels.keys(), rule.name


def test_every_inhibition_names_alerts_and_components_that_exist() -> None:
    config = read_yaml(ALERTS / "alertmanager.yml")
    known = {
        "alertname": {rule.name for rule in EVERY},
        "severity": SEVERITIES,
        "component": {rule.labels.get("component", "") for rule in EVERY},
        "job": {"wattspan", ""},
    }
    for rule in config["inhibit_rules"]:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            label, _, value = re.fullmatch(r'(\w+) (=~?) "([^"]*)"', matcher).groups()  # type: ignore[union-attr]
            for each in value.split("|"):
                assert any(re.fullmatch(each, word) for word in known[label]), matcher
