"""The runbooks' page as a person on call follows it: from an alert's address to its section, queries and log lines.

Knows the form of docs/runbooks.md and of a JSON log. Knows nothing of Wattspan's code, nor what causes an alert.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.monitoring import ROOT

PAGE = ROOT / "docs" / "runbooks.md"
QUERY = re.compile(r"Query: `([^`]+)`")
STATEMENT = re.compile(r"SQL: `([^`]+)`")
LOG_LINE = re.compile(r'[Ll]og line `event\.name="([^"]+)"` with ((?:`[\w.]+`(?: \([^)]*\))?,?\s*)+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A log line that a section names, and the fields that it promises."""

    event: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the section of one alert tells a person to do, in its order."""

    title: str
    queries: Sequence[str]
    statements: Sequence[str]
    """To be given to the database."""
    log_lines: Sequence[LogLine]


def log_lines(text: str) -> list[LogLine]:
    """Return the log lines that a text names, in its order."""
    return [LogLine(event=event, fields=re.findall(r"`([\w.]+)`", fields)) for event, fields in LOG_LINE.findall(text)]


def section(runbook_url: str) -> Section:
    """Return the section that an alert's `runbook_url` leads to. AssertionError if the page has no such anchor."""
    anchor = runbook_url.rpartition("#")[2]
    for text in PAGE.read_text(encoding="utf-8").split("\n### ")[1:]:
        title = text.split("\n", 1)[0]
        if title.lower() == anchor:
            body = text.split("\n## ", 1)[0]
            return Section(
                title=title, queries=QUERY.findall(body), statements=STATEMENT.findall(body), log_lines=log_lines(body)
            )
    raise AssertionError(f"no section for {runbook_url}")


def grep(log: Path, event: str) -> list[dict[str, Any]]:
    """Return the fields of the lines that `grep '"event.name":"…"'` finds in a JSON log, oldest first."""
    wanted = f'"event.name":"{event}"'
    with log.open(encoding="utf-8", errors="replace") as lines:
        found = [json.loads(line) for line in lines if wanted in line]
    return [{**line, **line.get("extra", {})} for line in found]
