"""Follows a runbook from a notification: the steps a person on call would take, and what each found.

It knows the page's form (`stack.runbook`), Prometheus, a database and log files. It must not know what went wrong.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stack.alerting import hurried
from stack.night import FASTER, Night
from stack.process import eventually
from support.runbooks import LogLine, Section, grep, section

MAX_STEPS = 3
FOUND_S = 30.0
"""How long a step may take until what it looks for is there: Prometheus looks every second."""
FIELDS = {
    "action": ("ocpp.action",),
    "error_type": ("ocpp.error_code", "error.type"),
    "reason": ("error.type",),
    "status": ("ocpp.status",),
}
"""Labels of alerts whose field in the log has another name; docs/runbooks.md has the same list."""
MINUTE_S = 60.0


@dataclass(slots=True)
class Trail:
    """Where an alert led. `labels` and `value` are those of the series that the query found."""

    labels: Mapping[str, str]
    value: float = float("nan")
    steps: list[str] = field(default_factory=list)
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The log lines of each event that a step looked for and that belong to the alert."""
    rows: list[str] = field(default_factory=list)
    """What the database answered."""


async def follow(night: Night, notification: Mapping[str, Any]) -> Trail:
    """Take the steps of the section that a notification leads to, MAX_STEPS at most."""
    labels = notification["labels"]
    place = section(notification["annotations"]["runbook_url"])
    trail = Trail(labels=labels)
    await _query(night, place, trail)
    for statement in place.statements[: MAX_STEPS - 1]:
        trail.steps.append(statement)
        rows = await asyncio.to_thread(night.postgres.query, statement)
        trail.rows += [str(row) for row in rows]
    for wanted in place.log_lines[: MAX_STEPS - len(trail.steps)]:
        trail.steps.append(f'grep "event.name":"{wanted.event}"')
        trail.lines[wanted.event] = _belonging(night, wanted, trail.labels)
    return trail


async def _query(night: Night, place: Section, trail: Trail) -> None:
    """Step one: paste the query. It must show the series that the alert is about."""
    query = hurried(place.queries[0], FASTER)
    trail.steps.append(query)
    shared = {name: value for name, value in trail.labels.items() if name not in ("alertname", "severity", "component")}

    async def found() -> list[tuple[dict[str, str], float]]:
        now_s = time.time()
        series = await night.prometheus.over(query, begin_s=now_s - MINUTE_S, end_s=now_s, step_s=1)
        return [(labels, points[-1][1]) for labels, points in series if shared.items() >= _known(labels).items()]

    labels, trail.value = (await eventually(found, within_s=FOUND_S))[0]
    trail.labels = {**trail.labels, **_known(labels)}


def _known(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if not re.match("__|job$", name)}


def _belonging(night: Night, wanted: LogLine, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the log lines that have all fields which the section names, and nothing that contradicts the alert.

    If there is any line of the event, at least one must have the fields: else the runbook promises too much.
    """
    lines = [line for log in night.logs_of(labels.get("instance", "")) for line in grep(log, wanted.event)]
    own = [line for line in lines if all(_agrees(line, name, value) for name, value in labels.items())]
    complete = [line for line in own if all(name in line for name in wanted.fields)]
    assert complete or not own, f"{wanted} has not these fields: {own[:3]}"
    return complete


def _agrees(line: Mapping[str, Any], label: str, value: str) -> bool:
    """Return whether a log line does not contradict a label of the alert; most labels are no field of most lines."""
    found = [line[name] for name in FIELDS.get(label, (label,)) if name in line]
    return value in found or not found
