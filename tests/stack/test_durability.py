"""Durable before answered (ADR 12, decision 3), as the kernel sees it: the log is on disk before an answer leaves."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
from sqlalchemy import Connection

from stack.process import free_ports, running
from stack.toolchain import tool
from support.raw import RawCharger
from wattspan.store.store import Store

START = {"connectorId": 1, "idTag": "TAG1", "meterStart": 1000, "timestamp": "2026-11-21T10:00:00Z"}
SAMPLED = [{"value": "1500", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
METERED = {
    "connectorId": 1,
    "transactionId": 1,
    "meterValue": [{"timestamp": "2026-11-21T10:10:00Z", "sampledValue": SAMPLED}],
}
STOP = {"transactionId": 1, "meterStop": 2000, "timestamp": "2026-11-21T11:00:00Z"}
FACTS = [("StartTransaction", START), ("MeterValues", METERED), ("StopTransaction", STOP)]

CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync"


async def test_the_connection_that_writes_syncs_each_commit(tmp_path: Path) -> None:
    store = await Store.open(str(tmp_path / "fleet.db"))
    try:
        for name, expected in {"synchronous": 2, "journal_mode": "wal"}.items():
            found = await store._writer.do(partial(pragma, name))
            assert found == expected, name
    finally:
        await store.close()


def pragma(name: str, connection: Connection) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


async def test_the_log_is_synced_between_a_message_and_its_answer(tmp_path: Path) -> None:
    port, metrics_port = free_ports(2)
    trace, database = tmp_path / "trace", tmp_path / "fleet.db"
    watch = [str(tool("strace")), "-D", "-f", "-y", "-s", "400", "-e", f"trace={CALLS}", "-o", str(trace)]
    serve = [sys.executable, "-m", "wattspan", "serve"]
    options = ["--port", str(port), "--metrics-port", str(metrics_port), "--api-port", "0", "--database", str(database)]
    async with running("wattspan", [*watch, *serve, *options], folder=tmp_path) as program:
        await program.until(lambda: is_ready(metrics_port), "ready")
        async with RawCharger(port, "/ws/CP1", {}) as charger:
            for number, (action, payload) in enumerate(FACTS):
                # The mask is zero, so the trace shows the message as it is.
                charger.write(json.dumps([2, f"fact-{number}", action, payload]).encode())
                answer = json.loads((await charger.read()).data)
                assert answer[:2] == [3, f"fact-{number}"]
    lines = trace.read_text(errors="replace").splitlines()
    for number in range(len(FACTS)):
        between = lines[arrival(lines, number) : departure(lines, number)]
        assert synced_after_write(between, f"{database}-wal"), "\n".join(between)


async def is_ready(metrics_port: int) -> bool:
    with suppress(httpx.TransportError):
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{metrics_port}/readyz")).status_code == 200
    return False


def arrival(lines: Sequence[str], number: int) -> int:
    """Where the server has read the message."""
    return only(index for index, line in enumerate(lines) if re.search(rf'\[2, \\"fact-{number}\\"', line))


def departure(lines: Sequence[str], number: int) -> int:
    """Where it begins to send the answer."""
    return only(index for index, line in enumerate(lines) if re.search(rf'\[3, ?\\"fact-{number}\\"', line))


def only(found: Iterable[int]) -> int:
    (one,) = found
    return one


def synced_after_write(lines: Sequence[str], path: str) -> bool:
    """Whether something was written to the file at `path`, and a sync of it has returned after that.

    A call that another thread interrupts takes two lines: `fdatasync(9<path> <unfinished ...>`, `<... resumed>) = 0`.
    """
    syncing: set[str] = set()
    written = False
    for line in lines:
        thread = line.split(maxsplit=1)[0]
        if f"<{path}>" in line:
            written = written or "pwrite64(" in line
            if written and re.search(r"\bf(data)?sync\(", line):
                syncing.add(thread)
        if thread in syncing and re.search(r"sync(\(| resumed>).*\) += 0$", line):
            return True
    return False
