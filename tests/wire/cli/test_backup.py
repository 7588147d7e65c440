"""`wattspan backup` while chargers charge, and a server that continues from the copy."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from click.testing import Result

from support.central import Csms
from support.chargers import START, Charger, energy
from support.waiting import eventually

Run = Callable[..., Awaitable[Result]]


@asynccontextmanager
async def metering(charger: Charger, transaction_id: int) -> AsyncIterator[list[float]]:
    """Send readings, each 1 Wh higher, until the block ends. Yield those that were answered."""
    acknowledged: list[float] = []

    async def send() -> None:
        while True:
            wh = float(len(acknowledged) + 1)
            values = [{"timestamp": "2026-11-21T12:00:00Z", "sampledValue": [energy(START["meterStart"] + wh)]}]
            payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": values}
            await charger.call("MeterValues", payload)
            acknowledged.append(wh)

    sending = asyncio.create_task(send())
    try:
        yield acknowledged
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def more(acknowledged: list[float]) -> None:
    """Wait for ten more answers."""
    wanted = len(acknowledged) + 10

    async def came() -> bool:
        return len(acknowledged) >= wanted

    await eventually(came)


async def test_a_backup_during_charging_has_everything_that_was_answered_and_a_server_continues_from_it(
    csms: Csms, run: Run, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    async with csms.charger("CP1") as charger:
        transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
        async with metering(charger, transaction_id) as acknowledged:
            await more(acknowledged)
            before = len(acknowledged)
            await run("backup", copy, "--database", tmp_path / "fleet.db")
            after = len(acknowledged) + 1
            await more(acknowledged)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as database:
        ((readings,),) = database.execute("SELECT count(*) FROM meter_readings").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert before <= readings <= after
    restored = Csms(copy)
    await restored.start()
    try:
        assert await restored.metric("ocpp_tx_active", cp_id="CP1", connector_id="1") == 1
        assert before <= (await restored.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="1") or 0) <= after
        async with restored.charger("CP1") as charger:
            stop = {
                "transactionId": transaction_id,
                "meterStop": START["meterStart"] + 5000,
                "timestamp": "2026-11-21T13:00:00Z",
            }
            await charger.call("StopTransaction", stop)
        assert await restored.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 5000
    finally:
        await restored.stop()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_backup_never_overwrites_a_file_and_leaves_none_when_it_fails(run: Run, tmp_path: Path) -> None:
    database, copy = tmp_path / "fleet.db", tmp_path / "copy.db"
    assert "there is no database" in (await run("backup", copy, "--database", database, code=1)).stderr
    database.write_bytes(b"no database at all" * 1000)
    assert "corrupt" in (await run("backup", copy, "--database", database, code=1)).stderr
    database.unlink()
    await run("cp", "add", "CP1", "--database", database)
    copy.write_text("mine")
    assert "exists" in (await run("backup", copy, "--database", database, code=1)).stderr
    assert copy.read_text() == "mine"
    assert names(tmp_path) == {"copy.db", "fleet.db"}
    refused = await run("backup", "more.db", "--database", "postgresql://user:secret@127.0.0.1/fleet", code=1)
    assert "pg_dump" in refused.stderr
    assert "secret" not in refused.stderr
