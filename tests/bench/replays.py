"""How fast `wattspan replay` reads a gigabyte, and in how much memory. The log is written here or by our server."""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Figure, Results
from bench.servers import LOAD_CORE, SERVER_CORE
from bench.simulated import differences, enlarged, simulated_log

CHARGE_POINTS = 200
READINGS = 60
"""MeterValues of a session."""
REGISTER_STEP_WH = 183
TARGET_FRAMES_S = 50_000
TARGET_MIB = 1_024
FULL_BYTES, QUICK_BYTES = 1 << 30, 64 << 20
CORES = {"one core": {SERVER_CORE}, "two cores": {SERVER_CORE, LOAD_CORE}}


def replays(folder: Path, size: int, results: Results) -> None:
    """Replay one log of `size` bytes on one core and on two."""
    log = folder / "central-system.log"
    frames, energy_wh = write_log(log, size)
    for name, affinity in CORES.items():
        run = _replay(log, affinity)
        kwh = sum(float(line.split("\t")[-2].split()[0]) for line in run.output.splitlines() if "\tocpp1.6\t" in line)
        if round(kwh * 1000) != energy_wh:
            raise AssertionError(f"the report has {kwh} kWh, the log {energy_wh} Wh")
        _add(f"replay of {size >> 20} MiB, {name}", frames, run, results)
    log.unlink()


async def simulated_replays(folder: Path, seconds: float, size: int, results: Results) -> None:
    """Let a simulated fleet charge at our server for `seconds`; replay what the audit plugin wrote, made `size` bytes.

    The report has the sessions and the energy of each charge point's ledger, or it is an error.
    """
    log, ledger = await simulated_log(folder, seconds)
    written = log.stat().st_size
    ledger = enlarged(log, ledger, size)
    print(f"{written >> 20} MiB written by the server, {log.stat().st_size >> 20} MiB replayed")
    for name, affinity in CORES.items():
        run = _replay(log, affinity, "--json")
        report = json.loads(run.output)
        wrong = list(differences(report, ledger))
        if wrong:
            raise AssertionError("\n".join(wrong[:20]))
        _add(f"replay of a simulated log, {name}", report["files"]["messages"], run, results)
    log.unlink()


def _add(name: str, frames: int, run: "_Run", results: Results) -> None:
    results.add(
        Figure(
            name=name,
            value=frames / run.seconds,
            target=TARGET_FRAMES_S,
            unit="/s",
            detail=f"{frames / run.cpu_s:,.0f} frames a CPU second",
        )
    )
    results.add(
        Figure(
            name=f"its memory, {name.rpartition(', ')[2]}",
            value=run.mib,
            target=TARGET_MIB,
            unit="MiB",
            below=True,
            detail="all processes",
        )
    )


def write_log(path: Path, size: int) -> tuple[int, int]:
    """Write a log as the ocpp package does, of about `size` bytes. Return its frames and the energy of its sessions."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    step = timedelta(seconds=60 / CHARGE_POINTS)
    registers, readings = [0] * CHARGE_POINTS, [-1] * CHARGE_POINTS
    frames = transaction_id = written = energy_wh = 0
    transactions = [0] * CHARGE_POINTS
    with path.open("w", encoding="utf-8") as file:
        while written < size or any(reading >= 0 for reading in readings):
            for number in range(CHARGE_POINTS):
                now += step
                if written >= size and readings[number] < 0:
                    continue
                at = now.isoformat(timespec="milliseconds")
                if readings[number] < 0:
                    transaction_id += 1
                    transactions[number], readings[number] = transaction_id, 0
                    action, payload = (
                        "StartTransaction",
                        {"connectorId": 1, "idTag": "T", "meterStart": registers[number]},
                    )
                    payload |= {"timestamp": at}
                    answer = {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}}
                elif readings[number] == READINGS:
                    readings[number] = -1
                    energy_wh += READINGS * REGISTER_STEP_WH
                    action = "StopTransaction"
                    payload = {"transactionId": transactions[number], "meterStop": registers[number], "timestamp": at}
                    answer = {}
                else:
                    readings[number] += 1
                    registers[number] += REGISTER_STEP_WH
                    action, answer = "MeterValues", {}
                    payload = _values(transactions[number], registers[number], at)
                begin = f"{at[:23].replace('T', ' ')} INFO ocpp CP{number}"
                call = json.dumps([2, str(frames), action, payload], separators=(",", ":"))
                result = json.dumps([3, str(frames), answer], separators=(",", ":"))
                written += file.write(f"{begin}: receive message {call}\n{begin}: send {result}\n")
                frames += 2
    return frames, energy_wh


def _values(transaction_id: int, register_wh: int, at: str) -> dict[str, object]:
    samples = [
        {"value": str(register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "16.0", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
        {"value": "11000", "measurand": "Power.Active.Import", "unit": "W"},
        {"value": "230.1", "measurand": "Voltage", "unit": "V", "phase": "L1-N"},
    ]
    return {
        "connectorId": 1,
        "transactionId": transaction_id,
        "meterValue": [{"timestamp": at, "sampledValue": samples}],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A replay that has ended. `mib` is the memory of all its processes at most."""

    seconds: float
    cpu_s: float
    mib: float
    output: str


def _replay(log: Path, affinity: set[int], *options: str) -> _Run:
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "wattspan", "replay", str(log), *options],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, affinity),
    )
    seconds, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Run(seconds=seconds, cpu_s=cpu_s, mib=after.ru_maxrss / 1024 * len(affinity), output=done.stdout)
