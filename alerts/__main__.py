"""`python -m alerts` writes the rules on logs; `--check` only reports whether a file is out of date."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from alerts.log_rules import for_loki, for_vmalert

HERE = Path(__file__).parent
LOKI = HERE / "loki" / "wattspan.yml"
VMALERT = HERE / "vmalert" / "wattspan.yml"
HEAD = "# Written by `python -m alerts`; change alerts/log_rules.py. {reader}; Prometheus must not read it.\n"


def files() -> dict[Path, str]:
    """Every file and what belongs in it."""
    written = (
        (LOKI, "For Loki's ruler (LogQL)", for_loki()),
        (VMALERT, "For vmalert on VictoriaLogs (LogsQL)", for_vmalert()),
    )
    return {
        path: HEAD.format(reader=reader) + yaml.safe_dump(rules, sort_keys=False, width=1000)
        for path, reader, rules in written
    }


def stale() -> list[Path]:
    """Files that are not what would be written now."""
    return [path for path, text in files().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def main() -> int:
    """0, or with `--check` 1 when a file is out of date."""
    if "--check" in sys.argv[1:]:
        for path in stale():
            sys.stderr.write(f"{path.relative_to(HERE)} is out of date: run python -m alerts\n")
        return int(bool(stale()))
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
