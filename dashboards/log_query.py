"""Log queries written once, in LogQL for Loki and in LogsQL for VictoriaLogs.

It owns both spellings of a filter: which records of which service. What is asked of those records (a panel's lines, an
alert's count) it must not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which log records: those of a service (None: of any) for which everything else holds, too.

    `matches`: attributes by their name in OpenTelemetry, with a regular expression for the whole value. A variable of
    Grafana's in it is written `$name`, and one regular expression in either language. `has`: attributes that are there.
    `message`: a regular expression for some part of the message. Expressions are RE2; none may hold a quotation mark.
    """

    service: str | None
    matches: dict[str, str] = field(default_factory=dict)
    has: tuple[str, ...] = ()
    message: str = ""

    def logql(self) -> str:
        """Return it in Loki's language; Loki writes the dots of an attribute's name as `_`."""
        parts = [f'{{service_name="{self.service}"}}' if self.service else '{service_name=~".+"}']
        parts += [f'| {_loki(name)}=~"{pattern}"' for name, pattern in self.matches.items()]
        parts += [f'| {_loki(name)}!=""' for name in self.has]
        parts += [f'|~ "{self.message}"'] if self.message else []
        return " ".join(parts)

    def logsql(self) -> str:
        """Return it in VictoriaLogs' language, whose regular expressions match any part unless anchored."""
        parts = [f'{{service.name="{self.service}"}}'] if self.service else []
        parts += [f'{name}:~"^(?:{_explicit(pattern)})$"' for name, pattern in self.matches.items()]
        parts += [f"{name}:*" for name in self.has]
        parts += [f'~"{self.message}"'] if self.message else []
        return " ".join(parts) or "*"


def _loki(attribute: str) -> str:
    return attribute.replace(".", "_")


def _explicit(pattern: str) -> str:
    """Return the pattern with `$name` as `${name:regex}`, which Loki's data source alone takes it for."""
    return f"${{{pattern[1:]}:regex}}" if pattern.startswith("$") else pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStore:
    """Where logs are kept, as Grafana knows it: its name, the type of its data source, its language."""

    title: str
    type: str
    spell: Callable[[LogFilter], str]
    target: Json = field(default_factory=dict)
    """What a query of this data source holds beside the expression."""

    @property
    def datasource(self) -> Json:
        """Return the data source that is chosen at the top of a dashboard."""
        return {"type": self.type, "uid": "${logs}"}


LOKI = LogStore(title="Loki", type="loki", spell=LogFilter.logql)
VICTORIALOGS = LogStore(
    title="VictoriaLogs",
    type="victoriametrics-logs-datasource",
    spell=LogFilter.logsql,
    target={"queryType": "instant"},
)
