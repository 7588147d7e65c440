"""How fast `wattspan replay` reads a log, and in how much memory: a log of a gigabyte, written by this program."""

import json
import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Figure, Results
from bench.servers import LOAD_CORE, SERVER_CORE

CHARGE_POINTS = 200
READINGS = 60
"""MeterValues of a session."""
REGISTER_STEP_WH = 183
TARGET_FRAMES_S = 50_000
TARGET_MIB = 1_024
FULL_BYTES, QUICK_BYTES = 1 << 30, 64 << 20


def replays(folder: Path, size: int, results: Results) -> None:
    """Replay one log of `size` bytes on one core and on two."""
    log = folder / "central-system.log"
    frames, energy_wh = write_log(log, size)
    cores = {"one core": {SERVER_CORE}, "two cores": {SERVER_CORE, LOAD_CORE}}
    for name, affinity in cores.items():
        seconds, cpu_s, mib, found_wh = _replay(log, affinity)
        if found_wh != energy_wh:
            raise AssertionError(f"the report has {found_wh} Wh, the log {energy_wh}")
        results.add(
            Figure(
                name=f"replay of {size >> 20} MiB, {name}",
                value=frames / seconds,
                target=TARGET_FRAMES_S,
                unit="/s",
                detail=f"{frames / cpu_s:,.0f} frames a CPU second",
            )
        )
        results.add(
            Figure(
                name=f"its memory, {name}", value=mib, target=TARGET_MIB, unit="MiB", below=True, detail="all processes"
            )
        )
    log.unlink()


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


def _replay(log: Path, affinity: set[int]) -> tuple[float, float, float, int]:
    """Return seconds, CPU seconds, the memory of all processes at most in MiB, and the energy of the report in Wh."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "wattspan", "replay", str(log)],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, affinity),
    )
    seconds, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    kwh = sum(float(line.split("\t")[-2].split()[0]) for line in done.stdout.splitlines() if "\tocpp1.6\t" in line)
    return seconds, cpu_s, after.ru_maxrss / 1024 * len(affinity), round(kwh * 1000)
