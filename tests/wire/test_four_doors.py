"""Every transcript through the server, the proxy, an instrumented program and a replay: one and the same telemetry.

What differs is listed in `support.views` with its reason, and in docs/architecture.md.
"""

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ocpp.charge_point import camel_to_snake_case
from ocpp.v16 import call as call16
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.typing import Subprotocol

from support.central import Csms
from support.chargers import Charger
from support.clock import Clock
from support.logs import write_recorded_log
from support.observing import ObserverHarness, Recording, tracing
from support.ocpp_programs import SCRIPTED, Instrumented, Program, central_program, instrumented
from support.plain_central import PlainChargePoint
from support.proxies import Proxy
from support.recorded import RecordedStep, observe, record_steps
from support.transcripts import CP, Listener, Step, Transcript, playback, transcripts
from support.views import NOT_PUBLISHED, OBSERVER, PROGRAM, PROXY, REPLAY, Exclusions, View
from support.waiting import WITHIN_S, eventually
from wattspan.domain import events as ev
from wattspan.replay.player import Player
from wattspan.replay.reader import LogReader
from wattspan.telemetry.families import State

BOOT_16 = {"chargePointVendor": "Acme", "chargePointModel": "One"}
BOOT_2X = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "Two"}}
STATUS_16 = {"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure"}
STREAM = {"id": 1, "pending": 0, "basetime": "2026-03-02T08:00:00Z", "data": [{"t": 0, "v": "1"}]}
TRIGGER = {"requestedMessage": "StatusNotification", "connectorId": 1}


def odd_messages(boot: dict[str, Any], *more: Step) -> tuple[Step, ...]:
    """Return what charge points send against the rules of OCPP-J, then `more`."""
    return (
        {"at": 0, "is": "connected"},
        {"at": 1, "text": f'[2,"1","BootNotification",{json.dumps(boot)}][2,"2","Heartbeat",{{}}]'},
        {"at": 1, "csms": [3, "1", {}]},
        {"at": 1, "csms": [3, "2", {}]},
        {"at": 2, "cp": [2, "3", "Heartbeat", []]},
        {"at": 2, "csms": [3, "3", {}]},
        {"at": 3, "cp": [2, "4", "Heartbeat"]},
        {"at": 3, "csms": [3, "4", {}]},
        {"at": 4, "cp": [2, "5", "StatusNotification", []]},
        {"at": 4, "csms": [4, "5"]},
        {"at": 5, "text": "nonsense"},
        {"at": 5, "csms": [4, "-1"]},
        {"at": 6, "cp": [2, "6", "Unknown", {}]},
        {"at": 6, "csms": [4, "6", "NotImplemented"]},
        {"at": 7, "cp": [3, "nobody", {}]},
        {"at": 7, "cp": [2, 7, "Heartbeat", {}]},
        {"at": 7, "csms": [3, 7, {}]},
        {"at": 8, "text": '[2,"8","Heartbeat",{}],[2,"9"]'},
        {"at": 8, "csms": [3, "8", {}]},
        {"at": 8, "csms": [4, "9"]},
        {"at": 9, "cp": [2, "10", "StatusNotification", {**STATUS_16, "timestamp": "2026-03-02T08:00:09Z"}]},
        {"at": 9, "csms": [3, "10", {}]},
        *more,
    )


ODD = {
    "ocpp1.6": odd_messages(
        BOOT_16,
        {"at": 20, "csms": [2, "*", "TriggerMessage", TRIGGER]},
        {"at": 20, "cp": [3, "*", {"status": "Accepted"}]},
        {"at": 21, "cp": [2, "11", "StatusNotification", {**STATUS_16, "timestamp": "2026-03-02T08:00:21Z"}]},
        {"at": 21, "csms": [3, "11", {}]},
    ),
    "ocpp2.0.1": odd_messages(BOOT_2X),
    "ocpp2.1": odd_messages(
        BOOT_2X,
        {"at": 20, "cp": [5, "10", "InternalError", "", {}]},
        {"at": 20, "cp": [6, "11", "NotifyPeriodicEventStream", STREAM]},
        {"at": 20, "cp": [6, "12", "Heartbeat", {}]},
        {"at": 20, "cp": [2, "13", "Heartbeat", {}]},
        {"at": 20, "csms": [3, "13", {}]},
    ),
}
BEGAN_TS = 1_772_438_400.0
ODD_TRANSCRIPTS = [
    Transcript(path=Path(f"{version}-odd-messages"), version=version, began_ts=BEGAN_TS, settings={}, steps=steps)
    for version, steps in ODD.items()
]
ALL = pytest.mark.parametrize(
    "transcript", [pytest.param(each, id=each.path.name) for each in (*transcripts(), *ODD_TRANSCRIPTS)]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What the server and the proxy in front of it showed of a transcript, and what passed them."""

    server: View
    proxy: View
    steps: list[RecordedStep]
    listener: Listener


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Callable[[str], Path]:
    """Return a function that makes an empty database, which takes less time than a proxy needs to create one."""
    return lambda name: Path(shutil.copy(empty_database, tmp_path / name))


@ALL
async def test_all_four_doors_show_the_same(
    make_csms: Any,
    transcript: Transcript,
    database: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """One test, so that the server, which all others are compared with, is started once for a transcript."""
    played = await play(transcript, make_csms, database("proxy.db"))
    PROXY.check(played.proxy, played.server)
    events, seen = observed(played.steps, Clock(transcript.began_ts))
    assert [comparable(event) for event in events] == [comparable(each) for each in played.listener.received]
    OBSERVER.check(seen, played.server)
    assert {span.name for span in played.server.spans} > {"BootNotification"}
    REPLAY.check(replayed(played.steps, Clock(transcript.began_ts), tmp_path / "log.jsonl"), played.server)

    clock = Clock(transcript.began_ts)
    async with program_behind_proxy(SCRIPTED[transcript.version], clock, database("second.db"), monkeypatch) as doors:
        await play_again(played.steps, clock, doors.proxy, doors.program)
        PROXY.check(doors.seen_by_proxy(), played.server)
        PROGRAM.check(doors.seen_by_program(), played.server)


async def play(transcript: Transcript, make_csms: Any, database: Path) -> Played:
    """Play a transcript to the server through a proxy in front of it."""
    (provider, spans), (theirs, proxy_spans) = tracing(), tracing()

    async def make(**settings: Any) -> Csms:
        csms: Csms = await make_csms(tracer_provider=provider, **settings)
        return csms

    async with playback(transcript, make) as played:
        steps, upstream = record_steps(played.csms, played.clock), played.csms.url("/ws/{cp_id}")
        async with Proxy(database, upstream, tracer_provider=theirs, clock_ns=played.clock) as proxy:
            played.csms.charger = proxy.charger  # type: ignore[method-assign]
            await played.run()
            await disconnected(proxy)
            seen = View.of(state_of_proxy(proxy), proxy_spans.get_finished_spans())
        await played._heard()
        server = View.of(played.csms.central.telemetry.reader._state, spans.get_finished_spans())
        return Played(server=server, proxy=seen, steps=steps, listener=played.listener)


def observed(steps: list[RecordedStep], clock: Clock) -> tuple[list[ev.Event], View]:
    """Return the events that an observer publishes of the messages, and what it shows."""
    harness = ObserverHarness.make(clock)
    observe(harness.observer, steps, CP)
    events = [part for event in harness.events if not isinstance(event, NOT_PUBLISHED) for part in parts(event)]
    return events, View.of(harness.state, harness.spans.get_finished_spans())


def replayed(steps: list[RecordedStep], clock: Clock, log: Path) -> View:
    """Return what a replay shows of the messages, written to a log."""
    recording = Recording.make(clock)
    player = Player(recording.state.fleet, recording.state.counters, recording.recorder)
    player.play(LogReader().read(str(write_recorded_log(log, steps))))
    player.finish()
    now = replace(recording.state, clock=lambda: player.now_ts)
    return View.of(now, recording.spans.get_finished_spans())


def state_of_proxy(proxy: Proxy) -> State:
    return proxy.server.telemetry.reader._state


async def disconnected(proxy: Proxy) -> None:
    """Wait until the proxy has observed the end of the connection, and so all that was before it."""
    await eventually(lambda: not proxy.server.fleet.charge_points[CP].connected)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramBehindProxy:
    """A program built on the `ocpp` package, instrumented, and a proxy in front of it."""

    program: Program
    proxy: Proxy
    proxy_spans: InMemorySpanExporter
    telemetry: Instrumented

    def seen_by_proxy(self) -> View:
        return View.of(state_of_proxy(self.proxy), self.proxy_spans.get_finished_spans())

    def seen_by_program(self) -> View:
        runtime = self.telemetry.instrumentor.runtime
        assert runtime is not None
        self.telemetry.flush()
        return View(
            samples=self.telemetry.samples(),
            spans=self.telemetry.spans.get_finished_spans(),
            fleet=runtime.observer.fleet,
        )


@asynccontextmanager
async def program_behind_proxy(
    kind: type[Any], clock: Clock, database: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ProgramBehindProxy]:
    """Run a central system of this class."""
    provider, spans = tracing()
    with instrumented() as telemetry:
        monkeypatch.setattr("wattspan.instrumentation.connections.time", SimpleNamespace(time_ns=clock))
        async with central_program(kind) as program:
            upstream = f"ws://127.0.0.1:{program.port}/{{cp_id}}"
            async with Proxy(database, upstream, tracer_provider=provider, clock_ns=clock) as proxy:
                yield ProgramBehindProxy(program=program, proxy=proxy, proxy_spans=spans, telemetry=telemetry)


class PlainPlayback:
    """The charge point's side of a transcript, played to a plain central system, which answers as it likes."""

    def __init__(self, doors: ProgramBehindProxy, transcript: Transcript, clock: Clock) -> None:
        self.doors, self.transcript, self.clock = doors, transcript, clock
        self.steps: list[RecordedStep] = []
        self.charger: Charger | None = None
        self.command: tuple[str, asyncio.Task[Any]] | None = None

    async def run(self) -> None:
        for step in self.transcript.steps:
            if "at" in step:
                self.clock.be_at(step["at"])
            if "is" in step:
                await self.leave()
                if step["is"] == "connected":
                    await self.enter()
            elif "cp" in step:
                await self.send(step["cp"])
            elif "csms" in step and step["csms"][0] == 2:
                await self.order(*step["csms"][2:])
        await self.leave()

    async def enter(self) -> None:
        charger = self.doors.proxy.charger(CP, subprotocols=[Subprotocol(self.transcript.version)])
        self.charger = await charger.__aenter__()
        self.steps.append(RecordedStep(charger, self.clock(), subprotocol=self.transcript.version))
        await eventually(lambda: self.doors.program.open and self.fleet[CP].connected)

    async def leave(self) -> None:
        if self.charger is None:
            return
        await self.charger.socket.close()
        self.steps.append(RecordedStep(self.charger, self.clock(), code=1000))
        self.charger = None
        await eventually(lambda: not self.doors.program.open)
        await disconnected(self.doors.proxy)

    @property
    def fleet(self) -> dict[str, Any]:
        return self.doors.proxy.server.fleet.charge_points

    async def send(self, frame: list[Any]) -> None:
        """Send a CALL and await its answer, or answer the command."""
        assert self.charger is not None
        if frame[0] == 2:
            await self.pass_on(frame, from_charge_point=True)
            await self.pass_on(await self.charger.expect(), from_charge_point=False)
        elif self.command is not None:
            (message_id, task), self.command = self.command, None
            await self.pass_on([frame[0], message_id, *frame[2:]], from_charge_point=True)
            await task

    async def order(self, action: str, payload: dict[str, Any]) -> None:
        """Have the central system send a command."""
        assert self.charger is not None
        command = getattr(call16, action)(**camel_to_snake_case(payload))
        task = asyncio.create_task(self.doors.program.charge_points[CP].call(command, skip_schema_validation=True))
        frame = await self.charger.expect(action)
        await self.pass_on(frame, from_charge_point=False)
        self.command = (frame[1], task)

    async def pass_on(self, frame: list[Any], *, from_charge_point: bool) -> None:
        """Record a message, after sending it if it is the charge point's."""
        assert self.charger is not None
        data = json.dumps(frame)
        self.steps.append(RecordedStep(self.charger, self.clock(), data.encode(), from_charge_point))
        if from_charge_point:
            await self.charger.send_raw(data)


@pytest.mark.parametrize("transcript", [pytest.param(each, id=each.path.name) for each in transcripts()
                                        if each.version == "ocpp1.6"])  # fmt: skip
async def test_the_proxy_before_a_plain_central_system_shows_what_its_instrumentor_and_a_replay_do(
    transcript: Transcript, database: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It gives other answers than our server, so that these three are compared with each other."""
    clock = Clock(transcript.began_ts)
    kind = type("Plain", (PlainChargePoint,), {"transaction_ids": itertools.count(1)})
    async with program_behind_proxy(kind, clock, database("proxy.db"), monkeypatch) as doors:
        plain = PlainPlayback(doors, transcript, clock)
        await plain.run()
        _, expected = observed(plain.steps, clock)
        replace(PROXY, attributes=OBSERVER.attributes).check(doors.seen_by_proxy(), expected)
        PROGRAM.check(doors.seen_by_program(), expected)
    REPLAY.check(replayed(plain.steps, clock, tmp_path / "log.jsonl"), expected)
    assert {span.name for span in expected.spans} > {"BootNotification"}


async def test_only_who_sends_a_command_knows_the_span_it_was_sent_for(
    make_csms: Any, database: Callable[[str], Path], tmp_path: Path
):
    """Frames do not name it, so a command has a parent at its senders, and none at the proxy and in a replay."""
    (provider, spans), (theirs, proxy_spans), clock = tracing(), tracing(), Clock(BEGAN_TS)
    csms = await make_csms(tracer_provider=provider, clock_ns=clock)
    steps, tracer = record_steps(csms, clock), provider.get_tracer("theirs")
    async with (
        Proxy(database("proxy.db"), csms.url("/ws/{cp_id}"), tracer_provider=theirs, clock_ns=clock) as proxy,
        proxy.charger(CP) as charger,
    ):
        await charger.call("BootNotification", BOOT_16)
        with tracer.start_as_current_span("an operator's request") as request:
            command = asyncio.create_task(csms.central.commands.send(CP, call16.ClearCache()))
            await charger.reply(await charger.expect("ClearCache"), {"status": "Accepted"})
            await command
        await eventually(lambda: parents(proxy_spans, "ClearCache"))
    recording = Recording.make(clock)
    player = Player(recording.state.fleet, recording.state.counters, recording.recorder)
    player.play(LogReader().read(str(write_recorded_log(tmp_path / "log.jsonl", steps))))
    assert parents(spans, "ClearCache") == [request.get_span_context().span_id]
    relayed = proxy_spans.get_finished_spans()
    (whole,) = [each for each in relayed if each.name == "ClearCache" and each.parent is None]
    assert set(parents(proxy_spans, "ClearCache")) <= {None, whole.context.span_id}
    assert parents(recording.spans, "ClearCache") == [None]


def parents(spans: InMemorySpanExporter, name: str) -> list[int | None]:
    """Return the parents of the spans of that name."""
    found = [each for each in spans.get_finished_spans() if each.name == name]
    return [None if each.parent is None else each.parent.span_id for each in found]


async def play_again(steps: list[RecordedStep], clock: Clock, proxy: Proxy, program: Program) -> None:
    """Have a charge point and a program exchange the same messages through the proxy, at the same times."""
    chargers: dict[Any, Charger] = {}
    for step in steps:
        clock.now_ns = step.at_ns
        if step.subprotocol is not None:
            charger = proxy.charger(CP, subprotocols=[Subprotocol(step.subprotocol)])
            chargers[step.connection] = await charger.__aenter__()
            await eventually(lambda: program.open and proxy.server.fleet.charge_points[CP].connected)
        elif step.code is not None:
            charger = chargers.pop(step.connection)
            if step.code == 1006:
                charger.vanish()
            else:
                await charger.socket.close(step.code)
            await eventually(lambda: not program.open)
            await disconnected(proxy)
        elif step.from_charge_point:
            await chargers[step.connection].send_raw(step.data.decode())
            async with asyncio.timeout(WITHIN_S):
                assert await program.charge_points[CP].received.get() == step.data.decode()
        else:
            await program.charge_points[CP]._send(step.data.decode())
            assert await chargers[step.connection].expect() == json.loads(step.data)


def parts(event: ev.Event) -> list[ev.Event]:
    """Return the events that plugins receive for an event."""
    return event.parts() if isinstance(event, ev.TransactionEventReceived) else [event]


def comparable(event: ev.Event) -> ev.Event:
    """Return the event without a command's random ids and its duration, which a clock measures that no test moves."""
    if isinstance(event, ev.CommandAnswered | ev.CommandFailed):
        return replace(event, duration_s=0.0, trace_id="", span_id="")
    return event


@pytest.mark.parametrize("exclusions", [OBSERVER, PROXY, PROGRAM, REPLAY])
def test_what_is_not_compared_is_documented(exclusions: Exclusions):
    page = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
    assert [name for name in exclusions.metrics if f"`{name}…`" not in page] == []
    assert [name for name in exclusions.attributes if f"`{name}`" not in page] == []
