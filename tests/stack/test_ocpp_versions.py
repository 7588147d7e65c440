"""The instrumentor on the oldest and the newest `ocpp` package that it declares, installed for the test by pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from wattspan.instrumentation.instrumentor import OCPP_VERSIONS

PROGRAM = Path(__file__).with_name("instrumented_versions.py")
DECLARED = Requirement(OCPP_VERSIONS)
OLDEST = next(str(each.version) for each in DECLARED.specifier if each.operator == ">=")
SERVER_SPAN = ["BootNotification", "SERVER", "UNSET", None, None]
AFTER_SPAN = ["after StartTransaction", "INTERNAL", "ERROR", "SecurityError", "StartTransaction"]


def run(folder: Path | None = None) -> dict[str, Any]:
    """Run the program, with the packages of a folder before those that are installed; return what it printed."""
    path = {} if folder is None else {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-W", "ignore", str(PROGRAM)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **path})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("release", [f"ocpp=={OLDEST}.*", "ocpp==1.*", "ocpp==2.0.*", OCPP_VERSIONS])
def test_every_release_of_the_package_is_instrumented_alike(release: str, tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), release]
    subprocess.run(install, check=True)
    here, there = run(), run(tmp_path)
    assert there["ocpp"] in Requirement(release).specifier
    assert there["recorded"] == here["recorded"]
    assert SERVER_SPAN in there["recorded"]["spans"]
    assert AFTER_SPAN in there["recorded"]["spans"]
    assert there["recorded"]["metrics"]['ocpp_cp_energy_total_wh{"cp_id": "CP-Central16"}'] == 7500
