"""Where the runbooks are, and the query of each alert on their page.

It owns the address and the line with the query. A section has the name of its alert; its text is written by hand.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PLACEHOLDER = "https://wattspan.example"
"""Stands for the repository until pyproject.toml states its address."""
VARIABLE = "WATTSPAN_RUNBOOK_BASE"
"""The environment variable with the address of another page; the argument `--runbook-base` wins over it."""
PAGE = ROOT / "docs" / "runbooks.md"
RULES = Path(__file__).parent / "rules"
_SECTION = re.compile(r"^### (\w+)\n(?:Query: `[^`]*`\n\n)?", re.MULTILINE)


def default_base(environ: Mapping[str, str] = os.environ) -> str:
    """Return the address of the runbooks' page: VARIABLE's, or that in the repository that pyproject.toml names."""
    if given := environ.get(VARIABLE, "").strip():
        return given
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project.get("urls", {}).get("Repository", "")
    return f"{repository.rstrip('/')}/blob/main/docs/runbooks.md" if repository else f"{PLACEHOLDER}/docs/runbooks.md"


RUNBOOKS = default_base()
"""The page in the rules, unless `python -m alerts --runbook-base URL` writes another one."""


def runbook(alert: str) -> str:
    """Return the address of an alert's section."""
    return f"{RUNBOOKS}#{alert.lower()}"


def conditions() -> dict[str, str]:
    """Return the condition of every alert of Prometheus on one line, by name; of several rules that of the first."""
    found: dict[str, str] = {}
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], " ".join(rule["expr"].split()))
    return found


def with_queries(page: str, queries: Mapping[str, str]) -> str:
    """Return the page with the query of each alert below its heading, ready to be pasted."""

    def section(match: re.Match[str]) -> str:
        query = queries.get(match[1])
        return f"### {match[1]}\n" + (f"Query: `{query}`\n\n" if query else "")

    return _SECTION.sub(section, page)
