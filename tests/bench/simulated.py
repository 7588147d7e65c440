"""A log that our own server wrote: a simulated fleet with faults charges at it, and the audit plugin logs.

The simulator's ledger says what the report of a replay must find.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stack.wattspan_server import WattspanServer
from wattspan.simulator import ArrivalPattern, FaultRates, Figures, Simulation

CHARGE_POINTS = 250
TIME_FACTOR = 120.0
"""Makes about 400 messages a second, so that the audit plugin keeps up on a busy machine, too."""
QUIET_S = 3.0
"""The log is complete when it has not grown for so long."""
DROPPED = 'ocpp_central_plugin_errors_total{plugin="audit",kind="dropped"}'
ARRIVALS = ArrivalPattern(sessions_per_day=40.0, busy_at_start=0.7, stay_s=(1_200.0, 7_200.0), meter_interval_s=60.0)
FAULTS = FaultRates(drop=0.2, offline=0.1, error=0.1, repeat=0.1, late_answer=0.1, late_answer_s=1.0, clock_off=0.05)
CP_ID = b'"cp_id":"SIM'
MAX_COPIES = 1_000


async def simulated_log(folder: Path, seconds: float) -> tuple[Path, dict[str, Figures]]:
    """Let a fleet charge for `seconds`. Return the audit log, and the ledger's figures by charge point."""
    log = folder / "audit.log"
    environment = {"WATTSPAN_PLUGINS": "orphans,audit", "WATTSPAN_AUDIT_LOG": str(log), "OTEL_SDK_DISABLED": "true"}
    async with WattspanServer.run(folder, environment) as server:
        simulation = Simulation(
            url=f"{server.url}/ws",
            charge_points=CHARGE_POINTS,
            connectors=1,
            time_factor=TIME_FACTOR,
            faults=FAULTS,
            arrivals=ARRIVALS,
            duration_s=seconds,
        )
        ledger = await simulation.run()
        await _written(log)
        if dropped := await server.value(DROPPED):
            raise AssertionError(f"the audit plugin was too slow for {dropped:.0f} messages")
    return log, ledger.charge_points


async def _written(log: Path) -> None:
    """Wait until the audit plugin has written all of its queue."""
    size = -1
    while size != (size := log.stat().st_size):  # noqa: ASYNC110, ASYNC240  another process writes it; nothing waits
        await asyncio.sleep(QUIET_S)


def enlarged(log: Path, ledger: dict[str, Figures], size: int) -> dict[str, Figures]:
    """Repeat each line of `log` for further charge points until it has `size` bytes. Return the ledger of all of them.

    A copy differs from its line in the charge point only, so all times stay in order.
    """
    copies = min(MAX_COPIES, -(-size // log.stat().st_size))
    if copies == 1:
        return ledger
    marks = [b'"cp_id":"%03dSIM' % number for number in range(copies)]
    target = log.with_suffix(".large")
    with log.open("rb") as source, target.open("wb", 1 << 20) as file:
        for line in source:
            file.writelines(line.replace(CP_ID, mark, 1) for mark in marks)
    target.replace(log)
    return {f"{number:03}{cp_id}": found for number in range(copies) for cp_id, found in ledger.items()}


def differences(report: Mapping[str, Any], ledger: dict[str, Figures]) -> Iterator[str]:
    """Yield where sessions or energy of a charge point in the report are not those of the ledger."""
    found = {row["cp_id"]: row for row in report["charge_points"]}
    for cp_id, figures in ledger.items():
        row = found.get(cp_id, {"sessions": 0, "energy_wh": 0})
        if (row["sessions"], row["energy_wh"]) != (figures.starts, figures.energy_wh):
            expected = f"{figures.starts} sessions with {figures.energy_wh} Wh"
            yield f"{cp_id}: {row['sessions']} sessions with {row['energy_wh']} Wh, in the ledger {expected}"
