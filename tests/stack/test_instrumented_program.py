"""A program without a line of telemetry, run by `opentelemetry-instrument`, in a real Collector and a real Jaeger."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.typing import Subprotocol

from stack.process import LOOPBACK, eventually, free_ports, running
from stack.servers import Collector, Jaeger, attributes
from stack.wattspan_server import to_collector
from support.chargers import BOOT, START, Charger, stop
from wattspan.instrumentation.state_file import StateFile

PROGRAM = Path(__file__).parents[2] / "examples" / "central_system_zero_code.py"
SERVICE = "my-csms"
METRICS = ("ocpp_cp_energy_total_wh", "ocpp_tx_total", "ocpp_msg_handling_seconds_count")


async def test_a_program_without_a_line_of_telemetry_has_session_traces_and_metrics(
    tmp_path: Path, collector: Collector, jaeger: Jaeger
) -> None:
    assert "telemetry" not in PROGRAM.read_text().split('"""', 2)[2]
    (port,) = free_ports(1)
    environment = to_collector(collector) | {
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_PYTHON_OCPP_STATE": str(tmp_path / "state.db"),
        "OTEL_PYTHON_OCPP_ROLE": "central_system",
    }
    command: list[str | Path] = [
        Path(sys.executable).with_name("opentelemetry-instrument"),
        sys.executable,
        PROGRAM,
        str(port),
    ]
    async with running("program", command, folder=tmp_path, environment=environment) as program:
        await program.until(lambda: _connects(port), "listening")
        charger = Charger(f"ws://{LOOPBACK}:{port}/CP1", subprotocols=[Subprotocol("ocpp1.6")])
        async with charger:
            await charger.call("BootNotification", BOOT)
            now = {"timestamp": datetime.now(UTC).isoformat()}
            transaction_id = (await charger.call("StartTransaction", START | now))["transactionId"]
            await charger.call("StopTransaction", stop(transaction_id) | now)
            found = await eventually(lambda: _session(jaeger))
            starts = await eventually(lambda: jaeger.traces(SERVICE, operation="StartTransaction"))
            await eventually(lambda: _on_page(collector, *METRICS))
            await eventually(lambda: asyncio.to_thread(_is_saved, tmp_path / "state.db"))
    file = StateFile.open(tmp_path / "state.db")  # named by the environment, saved each second
    fleet, _ = file.restore()
    file.close()
    assert fleet.charge_points["CP1"].tx_total == 1
    root = _named(found, "charging session")
    assert attributes(root)["ocpp.transaction_id"] == str(transaction_id)
    (start,) = (_named(each, "StartTransaction") for each in starts)
    assert attributes(start)["span.kind"] == "server"
    links = [reference["traceID"] for reference in start["references"]]
    assert links == [root["traceID"]]


def _is_saved(state: Path) -> bool:
    """Whether the session is in the state file for good: it is saved each second, and nobody else may open it."""
    copy, journal = state.with_name("copy.db"), state.with_name(f"{state.name}-journal")
    copy.write_bytes(state.read_bytes())
    try:
        with closing(sqlite3.connect(copy)) as database:
            rows = database.execute("SELECT data FROM charge_points WHERE cp_id = 'CP1'").fetchall()
    except sqlite3.DatabaseError:  # copied while it was written
        return False
    is_written = any(json.loads(data)["charge_point"]["tx_total"] == 1 for (data,) in rows)
    return is_written and not any(journal.read_bytes()[:8])  # a journal with a header would undo it


async def _connects(port: int) -> bool:
    try:
        async with Charger(f"ws://{LOOPBACK}:{port}/probe", subprotocols=[Subprotocol("ocpp1.6")]):
            return True
    except OSError:
        return False


async def _session(jaeger: Jaeger) -> Any:
    found = await jaeger.traces(SERVICE, operation="charging session")
    return found[0] if found else None


async def _on_page(collector: Collector, *names: str) -> bool:
    lines = (await collector.page()).splitlines()
    return all(any(line.startswith(f"{name}{{") for line in lines) for name in names)


def _named(trace: Any, name: str) -> Any:
    (found,) = (span for span in trace["spans"] if span["operationName"] == name)
    return found
