"""Every alert says what it must, has its section in the runbooks, and is proven to fire and to stay quiet."""

import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from alerts.__main__ import LOKI, VMALERT, stale
from support.monitoring import ALERTS, ROOT, Rule, alerts, promtool_tests, read_yaml, rules

ALWAYS_ON = {"Watchdog"}
COMPONENT_OF_ANOTHER = {"CriticalAlertUnresolved": "that of the alert it escalates"}
SEVERITIES = {"critical", "warning", "info", "none"}
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
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


def test_every_promised_alert_is_there() -> None:
    assert PROMISED - {rule.name for rule in alerts()} == set()


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: "-".join(rule.key))
def test_every_alert_has_labels_texts_and_a_runbook(rule: Rule) -> None:
    assert rule.labels["severity"] in SEVERITIES
    assert rule.labels.get("component", COMPONENT_OF_ANOTHER.get(rule.name))
    assert rule.annotations.keys() == {"summary", "description", "runbook_url"}
    assert rule.annotations["runbook_url"] == f"docs/runbooks.md#{rule.name.lower()}"
    assert rule.name in SECTIONS


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
