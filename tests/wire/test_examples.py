"""Every file in examples/ runs, and what it does is seen."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.ports import free_port

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tests" / "support" / "run_example.py"
BOOT_16 = {"chargePointVendor": "Acme", "chargePointModel": "One"}
BOOT_201 = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "Two"}}
SUBPROTOCOLS = {"central_system_201": ("ocpp2.0.1", BOOT_201)}


def run(name: str, *command: str, **environment: str) -> str:
    subprotocol, boot = SUBPROTOCOLS.get(name, ("ocpp1.6", BOOT_16))
    program = [
        *command,
        sys.executable,
        RUN,
        ROOT / "examples" / f"{name}.py",
        str(free_port()),
        subprotocol,
        json.dumps(boot),
    ]
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=55, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested():
    found = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert found == {*INSTRUMENTED, "central_system_zero_code"}


INSTRUMENTED = ("central_system_16", "central_system_201", "central_system_fastapi")


@pytest.mark.parametrize("name", INSTRUMENTED)
def test_an_instrumented_central_system_records_spans_and_metrics(name):
    seen: dict[str, Any] = json.loads(run(name).splitlines()[-1])
    assert ["BootNotification", "SERVER"] in [span[:2] for span in seen["spans"]]
    assert {"ocpp_cp_connected", "ocpp_cp_boots_total", "ocpp_msg_handling_seconds"} <= set(seen["metrics"])
    added = [line for line in (ROOT / "examples" / f"{name}.py").read_text().splitlines() if "OcppInstrumentor" in line]
    assert len(added) == 2


def test_a_central_system_without_a_line_of_telemetry_is_instrumented_by_the_command():
    text = (ROOT / "examples" / "central_system_zero_code.py").read_text()
    assert "wattspan" not in text.split('"""', 2)[2]
    command = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    exporters = {f"OTEL_{signal}_EXPORTER": "console" for signal in ("TRACES", "METRICS")}
    printed = run("central_system_zero_code", command, **exporters, OTEL_LOGS_EXPORTER="none")
    assert '"name": "BootNotification"' in printed
    assert '"name": "ocpp_cp_boots_total"' in printed
