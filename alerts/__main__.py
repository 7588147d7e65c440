"""`python -m alerts` writes the rules on logs, Grafana's and Helm's, and what rules and runbooks know of each other.

That is the address of its runbook in each of Prometheus's rules, and the query of each alert on the runbooks' page.

`--runbook-base URL` writes another address of the runbooks' page into every rule, for an installation that has a page
of its own; `--check` only reports whether a file is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

from alerts.grafana_rules import group
from alerts.log_rules import conditions as log_conditions
from alerts.log_rules import for_loki, for_vmalert
from alerts.runbooks import PAGE, RUNBOOKS, VARIABLE, conditions, with_queries

HERE = Path(__file__).parent
RULES = HERE / "rules"
LOKI = HERE / "loki" / "wattspan.yml"
VMALERT = HERE / "vmalert" / "wattspan.yml"
GRAFANA = HERE / "grafana" / "ocpp-alerts.json"
CHART = HERE.parent / "deploy" / "helm" / "wattspan" / "files" / "rules"
"""The same rules as RULES: Helm reads no file outside its chart."""
HEAD = "# Written by `python -m alerts`; change alerts/log_rules.py. {reader}; Prometheus must not read it.\n"
ABSOLUTE = re.compile(r"https?://[^\s#\"]+")
RUNBOOK_URL = re.compile(r"(runbook_url\"?: \"?)[^\s\"#]*#")


def files(runbooks: str = RUNBOOKS) -> dict[Path, str]:
    """Every file and what belongs in it; of Prometheus's rules only the addresses of the runbooks are written."""
    logs = (
        (LOKI, "For Loki's ruler (LogQL)", for_loki()),
        (VMALERT, "For vmalert on VictoriaLogs (LogsQL)", for_vmalert()),
    )
    written = {
        path: HEAD.format(reader=reader) + yaml.safe_dump(rules, sort_keys=False, width=1000)
        for path, reader, rules in logs
    }
    written[GRAFANA] = json.dumps(group(), indent=2, ensure_ascii=False) + "\n"
    for path in sorted(RULES.glob("*.yml")):
        written[path] = written[CHART / path.name] = path.read_text(encoding="utf-8")
    addressed = {path: RUNBOOK_URL.sub(rf"\g<1>{runbooks}#", text) for path, text in written.items()}
    return addressed | {PAGE: with_queries(PAGE.read_text(encoding="utf-8"), conditions() | log_conditions())}


def stale(runbooks: str = RUNBOOKS) -> list[Path]:
    """Files that are not what would be written now."""
    return [
        path for path, text in files(runbooks).items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """0, or with `--check` 1 when a file is out of date."""
    parser = argparse.ArgumentParser(prog="python -m alerts", description=__doc__)
    parser.add_argument(
        "--runbook-base",
        "--runbooks",
        default=RUNBOOKS,
        metavar="URL",
        help=f"the runbooks' page, absolute (default: the variable {VARIABLE}, or {RUNBOOKS})",
    )
    parser.add_argument("--check", action="store_true", help="only report files that are out of date")
    given = parser.parse_args()
    if not ABSOLUTE.fullmatch(given.runbook_base):
        parser.error(f"--runbook-base must be an absolute URL without a fragment, not {given.runbook_base!r}")
    if given.check:
        outdated = stale(given.runbook_base)
        for path in outdated:
            sys.stderr.write(f"{path.name} is out of date: run python -m alerts\n")
        return int(bool(outdated))
    for path, text in files(given.runbook_base).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
