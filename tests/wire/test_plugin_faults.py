"""A plugin that fails in any way ends by itself alone: counted and logged, and the server goes on."""

import asyncio
import re
import sys
import threading
import time
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.typing import Subprotocol

from support.certificates import certificate_request
from support.chargers import BOOT, START, status
from support.waiting import eventually
from wattspan import CentralSystem
from wattspan.csms.plugins import host
from wattspan.csms.plugins.base import Plugin
from wattspan.domain.events import ChargePointBooted, Event, HeartbeatReceived
from wattspan.errors import SettingsError

LONGEST_STOP_S = 8.0
DATA = {"vendorId": "mine", "data": "d"}


class Recording(Plugin):
    """Records its events, and accepts DataTransfers."""

    name = "recording"
    events = (ChargePointBooted, HeartbeatReceived)

    def __init__(self) -> None:
        self.received: list[Event] = []

    async def on_event(self, event):
        self.received.append(event)

    def data_transfer(self, cp_id, vendor_id, message_id, data):
        return {"status": "Accepted", "data": str(data)}


class Raising(Plugin):
    """Raises the same in every method."""

    wants_frames = True
    events = (ChargePointBooted, HeartbeatReceived)

    def __init__(self, name: str, exception: type[BaseException]) -> None:
        self.name = name
        self.exception = exception

    async def on_event(self, event):
        raise self.exception

    async def on_frame(self, frame):
        raise self.exception

    def data_transfer(self, cp_id, vendor_id, message_id, data):
        raise self.exception

    async def sign_certificate(self, cp_id, csr, kind):
        raise self.exception

    async def stop(self):
        raise self.exception


async def failures(csms: Any, plugin: str, kind: str) -> float:
    return await csms.metric("ocpp_central_plugin_errors_total", plugin=plugin, kind=kind) or 0


async def becomes(csms: Any, plugin: str, kind: str, count: float) -> None:
    async def reached() -> bool:
        return await failures(csms, plugin, kind) >= count

    await eventually(reached)


def impatient(monkeypatch: pytest.MonkeyPatch, *, call_timeout_s: float = 10.0, block_limit_s: float = 0.2) -> None:
    limits = {"call_timeout_s": call_timeout_s, "block_limit_s": block_limit_s}
    monkeypatch.setattr("wattspan.app.central_system.PluginHost", partial(host.PluginHost, **limits))
    monkeypatch.setattr("wattspan.csms.plugins.runner.CANCEL_TIMEOUT_S", 0.05)


@pytest.mark.parametrize(
    "exception",
    [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, BaseException, TimeoutError, MemoryError],
)
@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
async def test_whatever_a_plugin_raises_costs_that_call_alone(make_csms, caplog, tmp_path, exception, protocol):
    kind = "timeout" if exception is TimeoutError else "raised"
    name, recording = f"{exception.__name__} {protocol}", Recording()  # lines with the same name are limited
    csms = await make_csms(plugins=[Raising(name, exception), recording, "orphans"], ca_dir=str(tmp_path / "ca"))
    async with csms.charger("CP1", subprotocols=[Subprotocol(protocol)]) as charger:
        for _ in range(3):
            await charger.call("Heartbeat")
            assert (await charger.call("DataTransfer", DATA))["status"] == "Accepted"
        csr = certificate_request("CP1", ec.generate_private_key(ec.SECP256R1()))
        assert (await charger.call("SignCertificate", {"csr": csr}))["status"] == "Accepted"
        command = await charger.expect("CertificateSigned")
        await charger.reply(command, {"status": "Accepted"})
        assert "BEGIN CERTIFICATE" in command[3]["certificateChain"]  # signed by the server's own authority
        await becomes(csms, name, kind, 3 + 3 + 6 + 1)
        await eventually(lambda: len(recording.received) == 3)
    assert await failures(csms, "recording", "raised") == 0
    assert any(f"plugin {name} " in each.getMessage() for each in caplog.records)
    await csms.restart()
    async with csms.charger("CP1", subprotocols=[Subprotocol(protocol)]) as charger:
        await charger.call("Heartbeat")


class Exiting(Plugin):
    """Can't start."""

    name = "exiting"

    async def start(self, context):
        raise SystemExit(3)


async def test_a_plugin_that_exits_at_its_start_is_left_out(make_csms):
    csms = await make_csms(plugins=[Exiting()])
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
    assert await failures(csms, "exiting", "raised") == 1


@pytest.mark.parametrize("load", [lambda: 1 / 0, sys.exit, lambda: object])
def test_a_plugin_that_cannot_be_loaded_is_a_wrong_setting(tmp_path, monkeypatch, load):
    entry = EntryPoint("mine", "some_module:Mine", host.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _self: load())
    monkeypatch.setattr(host, "entry_points", lambda group: [entry])
    with pytest.raises(SettingsError, match="plugins: 'mine'"):
        CentralSystem(database=str(tmp_path / "x.db"), plugins=["mine"])


class Clinging(Plugin):
    """Ignores its cancellation."""

    name = "clinging"
    wants_frames = False
    events = (HeartbeatReceived,)

    def __init__(self, where: str) -> None:
        self.where = where
        self.calls = 0

    async def cling(self, where: str) -> None:
        self.calls += where == "event"
        while where == self.where:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    async def start(self, context):
        await self.cling("start")

    async def on_event(self, event):
        await self.cling("event")

    async def sign_certificate(self, cp_id, csr, kind):
        await self.cling("sign")

    async def stop(self):
        await self.cling("stop")


@pytest.mark.parametrize("where", ["start", "event", "sign", "stop"])
async def test_a_plugin_that_ignores_its_cancellation_is_disabled_and_shutdown_is_bounded(
    make_csms, monkeypatch, tmp_path, caplog, where
):
    impatient(monkeypatch, call_timeout_s=0.1, block_limit_s=5)
    clinging, recording = Clinging(where), Recording()
    csms = await make_csms(plugins=[clinging, recording], ca_dir=str(tmp_path / "ca"))
    async with csms.charger("CP1") as charger:
        for _ in range(3):
            await charger.call("Heartbeat")
        csr = certificate_request("CP1", ec.generate_private_key(ec.SECP256R1()))
        assert (await charger.call("SignCertificate", {"csr": csr}))["status"] == "Accepted"
        await charger.reply(await charger.expect("CertificateSigned"), {"status": "Accepted"})
        if where != "stop":
            await becomes(csms, "clinging", "timeout", 1)
        await charger.call("Heartbeat")
        await eventually(lambda: len(recording.received) == 4)
    before = time.monotonic()
    await csms.restart()
    assert time.monotonic() - before < LONGEST_STOP_S
    assert clinging.calls <= 4
    assert any("clinging ignores its cancellation and is disabled" in each.getMessage() for each in caplog.records)


class Immortal(Plugin):
    """Ignores whatever is thrown into it."""

    name = "immortal"
    events = (HeartbeatReceived,)
    living = True

    async def on_event(self, event):
        while Immortal.living:
            try:
                await asyncio.sleep(3600)
            except BaseException:  # noqa: BLE001, S112
                continue


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a coroutine that can't be closed
def test_the_event_loop_ends_though_a_plugin_ignores_everything(tmp_path, monkeypatch):
    impatient(monkeypatch, call_timeout_s=0.1, block_limit_s=5)

    async def serve() -> None:
        keywords: Any = {"port": 0, "metrics_port": 0, "api_port": 0, "database": str(tmp_path / "x.db")}
        async with CentralSystem(plugins=[Immortal()], **keywords) as central:
            central._core.plugins.publish(HeartbeatReceived(cp_id="CP1", received_ts=1.0))
            await eventually(lambda: central.counters.plugin_errors.get(("immortal", "timeout")) == 1)

    before = time.monotonic()
    asyncio.run(serve())
    assert time.monotonic() - before < LONGEST_STOP_S
    Immortal.living = False


class Blocking(Plugin):
    """Blocks the event loop."""

    name = "blocking"
    events = (HeartbeatReceived,)

    def __init__(self, how: str, where: str) -> None:
        self.how, self.where = how, where
        self.calls = 0
        self.ends_s = time.monotonic() + 25

    def block(self, where: str) -> None:
        if where != self.where:
            return
        self.calls += 1
        if self.how == "sleep":
            time.sleep(25)
        while time.monotonic() < self.ends_s:
            pass

    async def start(self, context):
        self.block("start")

    async def on_event(self, event):
        self.block("event")

    def data_transfer(self, cp_id, vendor_id, message_id, data):
        self.block("data")
        return {"status": "Rejected"}

    async def stop(self):
        self.block("stop")


@pytest.mark.parametrize("how", ["sleep", "cpu"])
@pytest.mark.parametrize("where", ["start", "event", "data", "stop"])
async def test_a_plugin_that_blocks_the_event_loop_is_interrupted_and_disabled(
    make_csms, monkeypatch, caplog, how, where
):
    impatient(monkeypatch)
    blocking, recording = Blocking(how, where), Recording()
    csms = await make_csms(plugins=[blocking, recording])
    async with csms.charger("CP1") as charger:
        for _ in range(3):
            await charger.call("Heartbeat")
        answer = await charger.call("DataTransfer", DATA)
        if where in {"start", "data"}:
            assert answer["status"] == "Accepted"  # the next plugin's
        if where != "stop":
            await becomes(csms, "blocking", "blocked", 1)
        assert (await charger.call("DataTransfer", DATA))["status"] == ("Rejected" if where == "stop" else "Accepted")
        await eventually(lambda: len(recording.received) == 3)
    before = time.monotonic()
    counters = csms.central.counters
    await csms.stop()
    assert time.monotonic() - before < LONGEST_STOP_S
    assert counters.plugin_errors["blocking", "blocked"] == 1
    assert blocking.calls == 1
    assert any("plugin blocking blocks the event loop" in each.getMessage() for each in caplog.records)
    blocking.where = ""
    await csms.start()


def test_outside_the_main_thread_a_blocking_plugin_is_disabled_once_it_returns(tmp_path, monkeypatch):
    impatient(monkeypatch)

    class Slow(Recording):
        name = "slow"

        async def on_event(self, event):
            self.received.append(event)
            time.sleep(0.8)  # noqa: ASYNC251

    slow = Slow()

    async def serve() -> None:
        keywords: Any = {"port": 0, "metrics_port": 0, "api_port": 0, "database": str(tmp_path / "x.db")}
        async with CentralSystem(plugins=[slow], **keywords) as central:
            for _ in range(3):
                central._core.plugins.publish(HeartbeatReceived(cp_id="CP1", received_ts=1.0))
            await eventually(lambda: central.counters.plugin_errors.get(("slow", "blocked")) == 1)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert len(slow.received) == 1


async def test_a_plugin_in_c_code_that_holds_the_interpreters_lock_is_disabled_once_it_returns(make_csms, monkeypatch):
    impatient(monkeypatch)

    class Matching(Plugin):
        name = "matching"
        events = (HeartbeatReceived,)
        calls = 0

        async def on_event(self, event):
            self.calls += 1
            re.match(r"(a+)+$", "a" * 23 + "b")  # takes about a second

    matching = Matching()
    csms = await make_csms(plugins=[matching])
    async with csms.charger("CP1") as charger:
        for _ in range(3):  # the watchdog may miss a call that ends before it gets its turn
            await charger.call("Heartbeat")
        await becomes(csms, "matching", "blocked", 1)
        calls = matching.calls
        for _ in range(3):
            await charger.call("Heartbeat")
    assert matching.calls == calls


async def test_the_core_is_not_interrupted_in_the_middle_of_what_a_plugin_called(make_csms, monkeypatch):
    """The plugin's own code is interrupted only where the state can't be left half changed."""
    impatient(monkeypatch)
    finished = []

    def slow_events():
        ends_s = time.monotonic() + 0.6
        while time.monotonic() < ends_s:
            pass
        finished.append(True)
        yield HeartbeatReceived(cp_id="CP1", received_ts=1.0)

    class Calling(Plugin):
        name = "calling"
        events = (ChargePointBooted,)

        async def start(self, context):
            self.context = context

        async def on_event(self, event):
            self.context.record(slow_events())

    csms = await make_csms(plugins=[Calling()])
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await becomes(csms, "calling", "blocked", 1)
        await charger.call("Heartbeat")
    assert finished


NONSENSE: dict[str, Any] = {
    "a text": "Accepted",
    "a list": [("status", "Accepted")],
    "a number": 7,
    "true": True,
    "no status": {},
    "another status": {"status": "Fine"},
    "a status of another type": {"status": ["Accepted"]},
    "what is no JSON": {"status": "Accepted", "data": object()},
    "keys that are no texts": {"status": "Accepted", 5: "x"},
    "bytes": {"status": "Accepted", "data": b"x"},
    "a huge answer": {"status": "Accepted", "data": "x" * 1_000_000},
    "a lone surrogate": {"status": "Accepted", "data": "\ud800"},
}
_circle: dict[str, Any] = {"status": "Accepted"}
_circle["data"] = _circle
NONSENSE["a circle"] = _circle


class Nonsense(Plugin):
    """Answers what it must not."""

    name = "nonsense"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def data_transfer(self, cp_id, vendor_id, message_id, data):
        return self.answer

    async def sign_certificate(self, cp_id, csr, kind):
        return self.answer


@pytest.mark.parametrize("what", NONSENSE)
async def test_an_answer_that_makes_no_sense_counts_as_none(make_csms, what):
    csms = await make_csms(plugins=[Nonsense(NONSENSE[what])])
    async with csms.charger("CP1") as charger:
        assert await charger.call("DataTransfer", DATA) == {"status": "UnknownVendorId"}
    assert await failures(csms, "nonsense", "invalid") == 1


async def test_a_data_transfer_that_is_a_coroutine_counts_as_no_answer(make_csms):
    class Async(Plugin):
        name = "async"

        async def data_transfer(self, cp_id, vendor_id, message_id, data):
            return {"status": "Accepted"}

    csms = await make_csms(plugins=[Async()])
    async with csms.charger("CP1") as charger:
        assert await charger.call("DataTransfer", DATA) == {"status": "UnknownVendorId"}
    assert await failures(csms, "async", "invalid") == 1


@pytest.mark.parametrize("what", ["a list", "a number", "a circle"])
async def test_a_chain_of_another_type_counts_as_none(make_csms, tmp_path, what):
    csms = await make_csms(plugins=[Nonsense(NONSENSE[what])], ca_dir=str(tmp_path / "ca"))
    async with csms.charger("CP1") as charger:
        csr = certificate_request("CP1", ec.generate_private_key(ec.SECP256R1()))
        assert (await charger.call("SignCertificate", {"csr": csr}))["status"] == "Accepted"
        command = await charger.expect("CertificateSigned")
        await charger.reply(command, {"status": "Accepted"})
        assert "BEGIN CERTIFICATE" in command[3]["certificateChain"]
    assert await failures(csms, "nonsense", "invalid") == 1


class Changing(Plugin):
    """Changes whatever it is given, and what it answered."""

    name = "changing"
    events = (ChargePointBooted, HeartbeatReceived)

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"status": "Accepted", "data": {"n": 1}}

    async def start(self, context):
        context.settings.clear()

    async def on_event(self, event):
        event.cp_id = "OTHER"
        if isinstance(event, ChargePointBooted):
            event.details.clear()
        self.events = "nonsense"

    def data_transfer(self, cp_id, vendor_id, message_id, data):
        if isinstance(data, dict):
            data.clear()
        asyncio.get_running_loop().call_soon(self.answer.clear)
        return self.answer


async def test_what_a_plugin_changes_changes_for_itself_alone(make_csms):
    recording = Recording()
    csms = await make_csms(plugins=[Changing(), recording])
    async with csms.charger("CP1", subprotocols=[Subprotocol("ocpp2.0.1")]) as station:
        boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
        await station.call("BootNotification", boot)
        answer = await station.call("DataTransfer", {"vendorId": "mine", "data": {"a": 1}})
        assert answer == {"status": "Accepted", "data": {"n": 1}}
        await station.call("Heartbeat")
        await eventually(lambda: len(recording.received) == 2)
    booted = recording.received[0]
    assert isinstance(booted, ChargePointBooted)
    assert (booted.cp_id, bool(booted.details)) == ("CP1", True)
    assert list(csms.central.fleet.charge_points) == ["CP1"]


async def test_a_plugin_that_is_busy_with_each_event_leaves_time_for_messages(make_csms, monkeypatch):
    """Its calls never wait for anything, so nothing but the pauses between them lets other work run."""
    impatient(monkeypatch, block_limit_s=5)

    class Busy(Plugin):
        name = "busy"
        events = (HeartbeatReceived,)
        handled = 0

        async def on_event(self, event):
            self.handled += 1
            time.sleep(0.01)  # noqa: ASYNC251

    busy = Busy()
    csms = await make_csms(plugins=[busy])
    for _ in range(1000):
        csms.central._core.plugins.publish(HeartbeatReceived(cp_id="CP1", received_ts=1.0))
    async with csms.charger("CP1") as charger:
        await charger.call("StatusNotification", status("Available"))
        await charger.call("StartTransaction", START)
        assert busy.handled < 900
    assert await failures(csms, "busy", "blocked") == 0
