"""The ledger as a file."""

import json
from pathlib import Path

from wattspan.simulator import Ledger


def test_counts_by_name_are_written_as_they_are(tmp_path: Path) -> None:
    ledger = Ledger()
    for cp_id in ("CP1", "CP2"):
        ledger.figures(cp_id).commands["Reset"] += 2
        ledger.figures(cp_id).starts += 1
    ledger.dump(tmp_path / "ledger.json")
    written = json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8"))
    assert written["total"]["commands"] == {"Reset": 4}
    assert written["charge_points"]["CP1"]["commands"] == {"Reset": 2}
    assert written["total"]["starts"] == 2
