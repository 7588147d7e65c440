"""A program without a line of telemetry, run by `opentelemetry-instrument`, in a real Collector and a real Jaeger."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.typing import Subprotocol

from stack.process import LOOPBACK, eventually, free_ports, running
from stack.servers import Collector, Jaeger, attributes
from stack.wattspan_server import to_collector
from support.chargers import BOOT, START, Charger, stop

PROGRAM = Path(__file__).parents[2] / "examples" / "central_system_zero_code.py"
SERVICE = "my-csms"


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
            await eventually(lambda: _on_page(collector, "ocpp_cp_energy_total_wh{"))
            page = await collector.page()
    root = _named(found, "charging session")
    assert attributes(root)["ocpp.transaction_id"] == str(transaction_id)
    starts = await jaeger.traces(SERVICE, operation="StartTransaction")
    (start,) = (_named(each, "StartTransaction") for each in starts)
    assert attributes(start)["span.kind"] == "server"
    links = [reference["traceID"] for reference in start["references"]]
    assert links == [root["traceID"]]
    for name in ("ocpp_cp_energy_total_wh", "ocpp_tx_total", "ocpp_msg_handling_seconds_count"):
        assert any(line.startswith(name + "{") for line in page.splitlines()), json.dumps(page[:2000])


async def _connects(port: int) -> bool:
    try:
        async with Charger(f"ws://{LOOPBACK}:{port}/probe", subprotocols=[Subprotocol("ocpp1.6")]):
            return True
    except OSError:
        return False


async def _session(jaeger: Jaeger) -> Any:
    found = await jaeger.traces(SERVICE, operation="charging session")
    return found[0] if found else None


async def _on_page(collector: Collector, text: str) -> bool:
    return text in await collector.page()


def _named(trace: Any, name: str) -> Any:
    (found,) = (span for span in trace["spans"] if span["operationName"] == name)
    return found
