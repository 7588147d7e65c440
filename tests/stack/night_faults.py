"""The faults of the scripted night: each an async context manager in which it goes on until its cause was found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus

from stack.night import DEAD_COLLECTOR as DEAD_COLLECTOR  # noqa: PLC0414  the tests name it, too
from stack.night import Night
from support.chargers import BOOT, START, Charger, energy, meter_values, status

Happens = Callable[[Night], AbstractAsyncContextManager[None]]
EACH_S = 1.2
"""Between two events that Prometheus is to count apart: it looks every second."""
WRONG_PASSWORDS = 10
"""Of one charge point: after more it is throttled, which is another reason."""
JUNK = "x" * 1_000_000


@asynccontextmanager
async def _meanwhile(work: Awaitable[None]) -> AsyncIterator[None]:
    """Do something until the end of the block; what it raises before is raised here."""
    async with asyncio.TaskGroup() as group:

        async def run() -> None:
            await work

        task = group.create_task(run())
        yield
        task.cancel()


@asynccontextmanager
async def flaps(night: Night) -> AsyncIterator[None]:
    """Its TCP connection breaks, again and again."""
    for number in range(4):
        async with night.charger("FLAPS") as charger:
            await charger.call("Heartbeat")
            if not number:
                await night.seen('ocpp_cp_disconnects_total{cp_id="FLAPS"}')
            charger.vanish()
        await asyncio.sleep(EACH_S)
    yield


@asynccontextmanager
async def wrong_password(night: Night) -> AsyncIterator[None]:
    """Four chargers of a site have an old password."""
    names = [f"LOCKED-{number}" for number in range(1, 5)]
    for name in names:
        await night.operator.ask("POST", "/charge-points", 201, json={"cp_id": name, "credentials": True})
    for _ in range(WRONG_PASSWORDS):
        for name in names:
            with suppress(InvalidStatus):
                async with _with_password(night, name, "old"):
                    pass
    yield


def _with_password(night: Night, cp_id: str, password: str) -> Charger:
    """A charge point that comes from an address of its own, so that no other is throttled with it."""
    charger = f"{night.url}/{cp_id}".replace("ws://", f"ws://{cp_id}:{password}@")
    return Charger(charger, local_addr=("127.0.0.2", 0))


@asynccontextmanager
async def collector_dead(night: Night) -> AsyncIterator[None]:
    """Nobody listens at its address, while a charger sends messages."""

    async def load() -> None:
        async with night.charger("BUSY") as charger:
            await charger.call("BootNotification", BOOT)
            while True:
                await charger.call("Heartbeat")
                await asyncio.sleep(0.02)

    async with _meanwhile(load()):
        yield


@asynccontextmanager
async def database_slow(night: Night) -> AsyncIterator[None]:
    """Another program locks a table in a transaction that does not end."""
    client = await asyncio.to_thread(night.client, "monthly report")
    try:
        await asyncio.to_thread(client.execute, "LOCK TABLE charge_points IN SHARE ROW EXCLUSIVE MODE")
        yield
    finally:
        await asyncio.to_thread(client.close)


@asynccontextmanager
async def fault_code(night: Night) -> AsyncIterator[None]:
    """A charger reports a fault once."""
    async with night.charger("FAULTY") as charger:
        await charger.call("BootNotification", BOOT)
        fault = status("Faulted", error_code="GroundFailure") | {"vendorErrorCode": "E42", "info": "RCD tripped"}
        await charger.call("StatusNotification", fault)
        yield


@asynccontextmanager
async def stuck_session(night: Night) -> AsyncIterator[None]:
    """A charger loses its connection in a session, and with it the StopTransaction."""
    async with night.charger("STUCK") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("StartTransaction", START | {"timestamp": _wire_time()})
        charger.vanish()
    async with night.charger("STUCK") as charger:
        await charger.call("StatusNotification", status("Available"))
        yield


@asynccontextmanager
async def firmware_loop(night: Night) -> AsyncIterator[None]:
    """An update fails and is begun anew, with a boot each time."""
    new = {"location": "https://firmware.example/2.0-beta.bin", "retrieveDate": "2026-01-01T00:00:00Z"}
    for number in range(3):
        async with night.charger("LOOPS") as charger:
            if not number:
                await night.seen('ocpp_cp_boots_total{cp_id="LOOPS"}')
            await charger.call("BootNotification", BOOT | {"firmwareVersion": "2.0-beta"})
            asked = asyncio.create_task(night.operator.command("LOOPS", "UpdateFirmware", new))
            await charger.reply(await charger.expect("UpdateFirmware"), {})
            await asked
            for word in ("Downloading", "Installing", "InstallationFailed"):
                await charger.call("FirmwareStatusNotification", {"status": word})
        await asyncio.sleep(EACH_S)
    yield


@asynccontextmanager
async def clock_off(night: Night) -> AsyncIterator[None]:
    """A charger sends its local time as if it were UTC."""

    async def statuses() -> None:
        async with night.charger("BEHIND") as charger:
            await charger.call("BootNotification", BOOT)
            while True:
                at = _wire_time(timedelta(hours=-1))
                await charger.call("StatusNotification", status("Available") | {"timestamp": at})
                await asyncio.sleep(1)

    async with _meanwhile(statuses()):
        yield


@asynccontextmanager
async def certificate_ends(night: Night) -> AsyncIterator[None]:
    """A charger's client certificate ends tomorrow."""
    async with night.secure_charger("SECURE") as charger:
        await charger.call("BootNotification", BOOT)
        yield


@asynccontextmanager
async def flood(night: Night) -> AsyncIterator[None]:
    """A charger sends junk as fast as it can."""
    with suppress(ConnectionClosed):
        async with night.charger("FLOODS", max_size=None) as charger:
            await charger.call("BootNotification", BOOT)
            while True:
                await charger.send_raw(JUNK)
    yield


@asynccontextmanager
async def server_restarted(night: Night) -> AsyncIterator[None]:
    """A server is killed three times within half a (hurried) hour."""
    series = f'process_start_time_seconds{{instance="{night.restarting.metrics}"}}'
    for _ in range(3):
        ((_, began_s),) = await night.seen(series)
        await night.restarting.kill()
        await night.restarting.start()
        await night.seen(f"{series} != {began_s!r}")
    yield


@asynccontextmanager
async def plugin_hangs(night: Night) -> AsyncIterator[None]:
    """A plugin waits forever for something that an event of one charger needs."""
    async with night.charger("HANGS") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("StatusNotification", status("Available"))
        yield


@asynccontextmanager
async def current_above_limit(night: Night) -> AsyncIterator[None]:
    """A charger accepts a limit of 10 A and goes on with 16 A."""
    async with night.charger("GREEDY") as charger:
        await charger.call("BootNotification", BOOT)
        started = await charger.call("StartTransaction", START | {"timestamp": _wire_time()})
        asked = asyncio.create_task(night.operator.command("GREEDY", "SetChargingProfile", _limit(10)))
        await charger.reply(await charger.expect("SetChargingProfile"), {"status": "Accepted"})
        await asked
        current = {"value": "16", "measurand": "Current.Import", "unit": "A"}
        await charger.call("MeterValues", meter_values(started["transactionId"], energy(2000), current))
        yield


def _limit(ampere: float) -> dict[str, Any]:
    periods = [{"startPeriod": 0, "limit": ampere}]
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods},
    }
    return {"connectorId": 1, "csChargingProfiles": profile}


@asynccontextmanager
async def never_boots(night: Night) -> AsyncIterator[None]:
    """A charger is there and sends everything but a BootNotification."""
    async with night.charger("BOOTLESS") as charger:
        await charger.call("Heartbeat")
        yield


@asynccontextmanager
async def passwords_guessed(night: Night) -> AsyncIterator[None]:
    """Somebody tries passwords at the API."""

    async def guess() -> None:
        while True:
            await night.operator.http.post("/api/v1/session", json={"name": "mallory", "password": "guess"})
            await asyncio.sleep(0.2)

    async with _meanwhile(guess()):
        yield


def _wire_time(offset: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) + offset).isoformat()
