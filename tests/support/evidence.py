"""Causes the events whose log records runbooks name, each by what causes it in service as far as a test can."""

import asyncio
import base64
import json
import sqlite3
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.central import Csms
from support.chargers import BOOT, START, Charger, status, stop
from support.operators import admin
from support.proxies import Proxy
from support.redis_servers import RedisServer
from support.waiting import eventually
from wattspan import Plugin
from wattspan.chargy.network import Network
from wattspan.cluster.bus import Bus, BusMeasures
from wattspan.cluster.redis import RedisAddress
from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import CertificateHeld, ChargePointBooted, Event
from wattspan.errors import CommandRefused, FeedError, SettingsError, StoreUnavailable
from wattspan.gateway.ports import Ports
from wattspan.telemetry.otlp.drops import DropCounter

LIMIT = {
    "connectorId": 1,
    "csChargingProfiles": {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}]},
    },
}
TOMORROW_S = 86_400.0
NOBODY = "127.0.0.1:1"


class Raises(Plugin):
    """Raises when its charge point boots."""

    name = "raises"
    events = (ChargePointBooted,)

    async def on_event(self, event: Event) -> None:
        if event.cp_id == "EV1":
            raise RuntimeError("a fault of a plugin")


async def events_of_a_charge_point(csms: Csms) -> None:
    """Boot, report, charge, and answer commands in every way; each message may be a slow one."""
    async with csms.charger("EV1") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("Heartbeat", {"unexpected": 1})
        await charger.call("FirmwareStatusNotification", {"status": "Downloading"})
        await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
        ahead = {"timestamp": "2099-01-01T00:00:00Z"}
        await charger.call("StatusNotification", status("Available") | ahead)
        await charger.call("Authorize", {"idTag": "NOBODY"})
        started = await charger.call("StartTransaction", START)
        await charger.call("StopTransaction", stop(started["transactionId"]))
        await _command(csms, charger, "SetChargingProfile", LIMIT, {"status": "Accepted"})
        await _command(csms, charger, "Reset", {"type": "Soft"}, {"status": "Rejected"})
        asked = asyncio.ensure_future(csms.central.commands.send_payload("EV1", "ClearCache", {}))
        frame = await charger.expect("ClearCache")
        await charger.send_raw(json.dumps([4, frame[1], "NotSupported", "", {}]))
        with pytest.raises(CommandRefused):
            await asked
    now_ts = time.time()
    held = CertificateHeld(cp_id="EV1", received_ts=now_ts, expires_ts=now_ts + TOMORROW_S)
    csms.central._core.record([held])


async def _command(csms: Csms, charger: Charger, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
    asked = asyncio.ensure_future(csms.central.commands.send_payload("EV1", action, payload))
    await charger.reply(await charger.expect(action), answer)
    await asked


async def a_locked_database(csms: Csms) -> None:
    """Another process locks the database, so that a batch and a request fail."""
    async with admin(csms) as boss, csms.charger("EV2") as charger:
        await charger.call("Heartbeat")
        other = sqlite3.connect(csms.store.name, isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            waiting = await charger.send("StartTransaction", START)

            async def refused() -> bool:
                return not csms.central._core.journal.available

            await eventually(refused)
            assert (await boss.send("POST", "/charge-points", json={"cp_id": "CP5"})).status_code == 503
        finally:
            other.close()
        await charger.answer_to(waiting)


async def a_failing_task(csms: Csms) -> None:
    """A periodic task meets a database that is locked, until the failure is counted."""

    async def unavailable(*_: object) -> None:
        raise StoreUnavailable("the database is locked")

    async def failed() -> bool:
        return await csms.metric("ocpp_central_maintenance_failures_total", task="registry") is not None

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr("wattspan.csms.registry.RunningFleet.add_registered", unavailable)
        await eventually(failed)


async def a_proxy(csms: Csms, folder: Path) -> None:
    """A proxy has a mirror that nobody runs, and the central system sends a command that leads past the proxy."""
    mirrors: dict[str, Any] = {"mirrors": [f"ws://{NOBODY}/{{cp_id}}"]}
    async with (
        Proxy(folder / "proxy.db", csms.url("/ws/{cp_id}"), **mirrors) as proxy,
        proxy.charger("EV3") as charger,
    ):
        await charger.call("BootNotification", BOOT)
        payload = {"key": "ServerUrl", "value": "wss://elsewhere.example"}
        asked = asyncio.ensure_future(csms.central.commands.send_payload("EV3", "ChangeConfiguration", payload))
        await charger.reply(await charger.expect("ChangeConfiguration"), {"status": "Accepted"})
        await asked
        await proxy.becomes(1, "ocpp_proxy_redirections_total", action="ChangeConfiguration")


async def a_lost_redis() -> None:
    """Redis goes away from a node that was connected."""
    with RedisServer.run() as redis:
        async with asyncio.TaskGroup() as tasks:
            measures = BusMeasures(round_trip=lambda _s: None, health_check=lambda _s: None)
            bus = Bus(RedisAddress.parse(redis.url), "a", measures, tasks.create_task)
            running = tasks.create_task(bus.run())
            await eventually(lambda: bus.available)
            redis.kill()
            await eventually(lambda: not bus.available)
            await asyncio.sleep(0)
            running.cancel()


async def a_feed_that_fails() -> None:
    """The feed of another network can't be read."""
    tried = asyncio.Event()

    class Source:
        async def fetch(self, *_: object) -> None:
            tried.set()
            raise FeedError("status", "HTTP status 503")

    source: Any = Source()
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501  asks nobody
        await _until(Network(source, interval_s=60).watch(client), tried)


async def a_certificate_that_is_broken(csms: Csms) -> None:
    """Files of certificate and key are replaced by others that don't fit each other."""
    tried = asyncio.Event()

    class Tls:
        def renew(self) -> bool:
            tried.set()
            raise SettingsError(["tls_cert: no certificate in it"])

    tls: Any = Tls()
    with pytest.MonkeyPatch.context() as soon:
        soon.setattr("wattspan.gateway.ports.TLS_LOOK_S", 0.0)
        await _until(Ports(csms.central.settings, tls).watch_tls(lambda _tls: None), tried)


async def _until(work: Awaitable[None], happened: asyncio.Event) -> None:
    """Run something without an end until an event has happened, and what it does about it."""
    task = asyncio.ensure_future(work)
    await happened.wait()
    await asyncio.wait([task], timeout=0.05)
    task.cancel()
    await asyncio.wait([task])


def lost_telemetry() -> None:
    """A span is lost on its way to the Collector."""
    DropCounter(ServerCounters(started_ts=0.0), {"traces": NOBODY}).of("traces")(1)


def basic(cp_id: str, password: str) -> str:
    """Return the header with which a charge point gives its password."""
    return "Basic " + base64.b64encode(f"{cp_id}:{password}".encode()).decode()
