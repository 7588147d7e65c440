"""`python -m dashboards` writes every dashboard; `--check` only reports whether a file is out of date.

json/ holds all of them, log panels asking Loki; victorialogs/ those with log panels once more, asking VictoriaLogs.
import/ holds all of them for import by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dashboards import (
    authentication,
    business,
    central_system,
    charge_point,
    fleet,
    proxy,
    services,
    sessions,
    station,
    system,
)
from dashboards.by_hand import for_import
from dashboards.log_query import LOKI, VICTORIALOGS
from dashboards.model import Dashboard

FOLDER = Path(__file__).parent / "json"
VICTORIALOGS_FOLDER = Path(__file__).parent / "victorialogs"
IMPORT_FOLDER = Path(__file__).parent / "import"
FOLDERS = (FOLDER, VICTORIALOGS_FOLDER, IMPORT_FOLDER)
DASHBOARDS: tuple[Dashboard, ...] = tuple(
    page.DASHBOARD
    for page in (
        fleet,
        central_system,
        charge_point,
        sessions,
        services,
        authentication,
        system,
        station,
        business,
        proxy,
    )
)


def files() -> dict[Path, str]:
    """Every file and what belongs in it."""
    written = {FOLDER / f"{each.uid}.json": each.json(LOKI) for each in DASHBOARDS}
    written |= {
        VICTORIALOGS_FOLDER / f"{each.uid}.json": each.json(VICTORIALOGS) for each in DASHBOARDS if each.has_logs
    }
    written |= {IMPORT_FOLDER / f"{each.uid}.json": for_import(each) for each in DASHBOARDS}
    return {path: json.dumps(each, indent=2, ensure_ascii=False) + "\n" for path, each in written.items()}


def stale() -> list[Path]:
    """Files that are not what the generator would write now, those it does not know included."""
    wanted = files()
    there = {path for folder in FOLDERS for path in folder.glob("*.json")}
    changed = [path for path, text in wanted.items() if path not in there or path.read_text(encoding="utf-8") != text]
    return sorted([*changed, *there.difference(wanted)])


def main() -> int:
    """0, or with `--check` 1 when a file is out of date."""
    if "--check" in sys.argv[1:]:
        for path in stale():
            sys.stderr.write(f"{path.name} is out of date: run python -m dashboards\n")
        return int(bool(stale()))
    for folder in FOLDERS:
        folder.mkdir(exist_ok=True)
    for path in stale():
        path.unlink(missing_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
