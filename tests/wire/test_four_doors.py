"""Every transcript through the server, the proxy, an instrumented program and a replay: one and the same telemetry.

What differs is listed in `support.views` with its reason, and in docs/architecture.md.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.typing import Subprotocol

from support.central import Csms
from support.chargers import Charger
from support.clock import Clock
from support.logs import write_recorded_log
from support.observing import ObserverHarness, Recording, tracing
from support.ocpp_programs import SCRIPTED, Program, central_program, instrumented
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
    """What the server showed of a transcript, and what passed it."""

    view: View
    steps: list[RecordedStep]
    listener: Listener


@pytest.fixture
async def play(make_csms):
    """Return a function that plays a transcript to the server, perhaps through a proxy in front of it."""

    async def play(transcript: Transcript, proxy_database: Path | None = None) -> tuple[Played, View | None]:
        provider, spans = tracing()

        async def make(**settings: Any) -> Csms:
            return await make_csms(tracer_provider=provider, **settings)

        async with playback(transcript, make) as played:
            steps, seen = record_steps(played.csms, played.clock), None
            if proxy_database is None:
                await played.run()
            else:
                theirs, proxy_spans = tracing()
                upstream = played.csms.url("/ws/{cp_id}")
                async with Proxy(proxy_database, upstream, tracer_provider=theirs, clock_ns=played.clock) as proxy:
                    played.csms.charger = proxy.charger  # type: ignore[method-assign]
                    await played.run()
                    await disconnected(proxy)
                    seen = View.of(state_of_proxy(proxy), proxy_spans.get_finished_spans())
            await played._heard()
            view = View.of(played.csms.central.telemetry.reader._state, spans.get_finished_spans())
            return Played(view=view, steps=steps, listener=played.listener), seen

    return play


def state_of_proxy(proxy: Proxy) -> State:
    return proxy.server.telemetry.reader._state


async def disconnected(proxy: Proxy) -> None:
    """Wait until the proxy has observed the end of the connection, and so all that was before it."""
    await eventually(lambda: not proxy.server.fleet.charge_points[CP].connected)


@ALL
async def test_an_observer_and_a_replay_show_what_the_server_does(play, transcript: Transcript, tmp_path: Path):
    server, _ = await play(transcript)
    clock = Clock(transcript.began_ts)
    harness = ObserverHarness.make(clock)
    observe(harness.observer, server.steps, CP)
    published = [part for event in harness.events if not isinstance(event, NOT_PUBLISHED) for part in parts(event)]
    assert [comparable(event) for event in published] == [comparable(each) for each in server.listener.received]
    OBSERVER.check(View.of(harness.state, harness.spans.get_finished_spans()), server.view)
    assert {span.name for span in server.view.spans} > {"BootNotification"}

    recording = Recording.make(clock)
    player = Player(recording.state.fleet, recording.state.counters, recording.recorder)
    player.play(LogReader().read(str(write_recorded_log(tmp_path / "log.jsonl", server.steps))))
    player.finish()
    now = replace(recording.state, clock=lambda: player.now_ts)
    REPLAY.check(View.of(now, recording.spans.get_finished_spans()), server.view)


@ALL
async def test_the_proxy_before_our_server_shows_what_the_server_does(play, transcript: Transcript, tmp_path: Path):
    server, seen = await play(transcript, tmp_path / "proxy.db")
    PROXY.check(seen, server.view)


@ALL
async def test_an_instrumented_program_and_the_proxy_before_it_show_what_the_server_does(
    play, transcript: Transcript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    server, _ = await play(transcript)
    clock, (provider, spans) = Clock(transcript.began_ts), tracing()
    with instrumented() as telemetry:
        monkeypatch.setattr("wattspan.instrumentation.connections.time", SimpleNamespace(time_ns=clock))
        async with central_program(SCRIPTED[transcript.version]) as program:
            upstream = f"ws://127.0.0.1:{program.port}/{{cp_id}}"
            async with Proxy(tmp_path / "proxy.db", upstream, tracer_provider=provider, clock_ns=clock) as proxy:
                await play_again(server.steps, clock, proxy, program)
                PROXY.check(View.of(state_of_proxy(proxy), spans.get_finished_spans()), server.view)
        runtime = telemetry.instrumentor.runtime
        assert runtime is not None
        seen = View(
            samples=telemetry.samples(),
            spans=telemetry.spans.get_finished_spans(),
            fleet=runtime.observer.fleet,
        )
    PROGRAM.check(seen, server.view)


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
    """Return the event without the duration of a command, which the server takes from a clock that no test moves."""
    return replace(event, duration_s=0.0) if isinstance(event, ev.CommandAnswered | ev.CommandFailed) else event


@pytest.mark.parametrize("exclusions", [OBSERVER, PROXY, PROGRAM, REPLAY])
def test_what_is_not_compared_is_documented(exclusions: Exclusions):
    page = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
    assert [name for name in exclusions.metrics if f"`{name}…`" not in page] == []
    assert [name for name in exclusions.attributes if f"`{name}`" not in page] == []
