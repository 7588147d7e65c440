"""The alerts on logs, and how each is written as a rule of Loki's ruler and as one of vmalert.

It owns names, conditions and texts; which records a condition counts is a `LogFilter`. Where the files lie it must not
know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alerts.runbooks import runbook
from dashboards.log_query import LogFilter

Json = dict[str, Any]

GROUP = "logs"
INTERVAL = "1m"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAlert:
    """An alert on the number of log records within `window`.

    It fires for each service with more than `above` records; with `above` None when there is no record at all.
    `pending` is how long the condition must hold, if not at once.
    """

    name: str
    which: LogFilter
    window: str
    above: int | None
    pending: str = ""
    severity: str = "warning"
    summary: str
    description: str

    def logql(self) -> str:
        """Return the condition for Loki's ruler."""
        if self.above is None:
            return f"absent_over_time({self.which.logql()}[{self.window}])"
        counted = f"count_over_time({self.which.logql()} [{self.window}])"
        return f"sum by (service_name) ({counted}) > {self.above}"

    def logsql(self) -> str:
        """Return the condition for vmalert; an alert's label may have no dot in its name, as `service.name` has."""
        chosen = f"_time:{self.window} {self.which.logsql()}"
        if self.above is None:
            return f"{chosen} | stats count() as records | filter records:=0"
        counted = "rename service.name as service_name | stats by (service_name) count() as records"
        return f"{chosen} | {counted} | filter records:>{self.above}"

    def rule(self, condition: str) -> Json:
        """Return the rule with one of the two conditions, as both programs read it."""
        written: Json = {"alert": self.name, "expr": condition}
        if self.pending:
            written["for"] = self.pending
        written["labels"] = {"severity": self.severity, "component": "logs"}
        written["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": runbook(self.name),
        }
        return written


ALERTS = (
    LogAlert(
        name="UnexpectedErrorsLogged",
        which=LogFilter(service=None, matches={"severity_text": "ERROR|CRITICAL|FATAL"}),
        window="5m",
        above=5,
        pending="1m",
        summary="{{ $labels.service_name }} logs errors",
        description="{{ $labels.service_name }} logged {{ $value }} errors in five minutes.",
    ),
    LogAlert(
        name="TracebackLogged",
        which=LogFilter(service="wattspan", has=("exception.type",)),
        window="5m",
        above=0,
        summary="An unexpected exception in the central system",
        description=(
            "{{ $value }} log records of {{ $labels.service_name }} carry an exception: "
            "a fault in Wattspan or in a plugin."
        ),
    ),
    LogAlert(
        name="LogsStopped",
        which=LogFilter(service="wattspan"),
        window="1h",
        above=None,
        pending="5m",
        summary="No log record of the central system for an hour",
        description="The log store received nothing from the central system within an hour: logs do not get through.",
    ),
)


def conditions() -> dict[str, str]:
    """Return the condition of every alert in Loki's language, by name."""
    return {each.name: each.logql() for each in ALERTS}


def for_loki() -> Json:
    """Return the file of Loki's ruler."""
    return {"groups": [{"name": GROUP, "interval": INTERVAL, "rules": [each.rule(each.logql()) for each in ALERTS]}]}


def for_vmalert() -> Json:
    """Return the file of vmalert."""
    rules = [each.rule(each.logsql()) for each in ALERTS]
    return {"groups": [{"name": GROUP, "type": "vlogs", "interval": INTERVAL, "rules": rules}]}
