"""Alerts on charge points as Grafana's own rules, for an installation without Alertmanager.

They are made from Prometheus's rules (`rules/charge_points.yml`), so that both have the same conditions, delays, labels
and texts. It owns the format of Grafana's provisioning API; compose.yaml must not load the file, or each alert would
fire twice.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]

RULES = Path(__file__).parent / "rules" / "charge_points.yml"
NAMES = (
    "ChargePointMultipleReboots",
    "ChargePointMultipleDisconnects",
    "ChargePointErrorDetected",
    "ChargePointHeartbeatOverADay",
    "ChargePointStaleTransaction",
    "ChargePointRebootDuringTransaction",
    "ChargePointStuckTransaction",
    "ChargePointClockOff",
    "ChargePointNotBooted",
)
FOLDER = "ocpp"
GROUP = "ocpp-alerts"
INTERVAL_S = 60
DATASOURCE = "prometheus"
"""The uid that provisioning gives the data source; with another one, replace it in the file."""
LOOK_BACK_S = 600


def group() -> Json:
    """Return the rule group, the body of `PUT /api/v1/provisioning/folder/ocpp/rule-groups/ocpp-alerts`."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules = [rule for each in groups for rule in each["rules"]]
    recorded = {rule["record"]: rule["expr"].strip() for rule in rules if "record" in rule}
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    return {
        "title": GROUP,
        "folderUid": FOLDER,
        "interval": INTERVAL_S,
        "rules": [_rule(alerts[name], recorded) for name in NAMES],
    }


def _rule(alert: Json, recorded: dict[str, str]) -> Json:
    return {
        "uid": f"ocpp-{alert['alert'].lower()}",
        "title": alert["alert"],
        "orgID": 1,
        "folderUID": FOLDER,
        "ruleGroup": GROUP,
        "condition": "fires",
        "data": [_query(_expanded(alert["expr"].strip(), recorded)), _threshold()],
        "for": alert.get("for", "0s"),
        "noDataState": "OK",
        "execErrState": "Error",
        "isPaused": False,
        "labels": alert["labels"],
        "annotations": {name: _text(text) for name, text in alert["annotations"].items()},
    }


def _expanded(expr: str, recorded: dict[str, str]) -> str:
    """Return the condition without recorded series: who has only Grafana's rules may not have Prometheus's."""
    for name, made_from in recorded.items():
        expr = expr.replace(name, f"({made_from})")
    return expr


def _text(text: str) -> str:
    """Return a text of Prometheus's in Grafana's template language, where `$value` is a string of all values."""
    return re.sub(r"\$value\b", "$values.condition.Value", text)


def _query(expr: str) -> Json:
    """The condition as it stands: a series of it is a charge point for which it holds."""
    model = {
        "refId": "condition",
        "expr": expr,
        "instant": True,
        "range": False,
        "intervalMs": 1000,
        "maxDataPoints": 100,
    }
    return {
        "refId": "condition",
        "queryType": "",
        "relativeTimeRange": {"from": LOOK_BACK_S, "to": 0},
        "datasourceUid": DATASOURCE,
        "model": model,
    }


def _threshold() -> Json:
    """Fires for each series: a condition of Prometheus's has left out all others, and its values are above 0."""
    evaluator = {"type": "gt", "params": [0]}
    model = {
        "refId": "fires",
        "type": "threshold",
        "expression": "condition",
        "conditions": [{"type": "query", "evaluator": evaluator}],
    }
    return {
        "refId": "fires",
        "queryType": "",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": model,
    }
