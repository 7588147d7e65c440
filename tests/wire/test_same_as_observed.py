"""The transcripts, seen by the server that answers them, by an observer of the frames, and by an instrumented program.

State, metrics, events and spans must be equal, but for what is named here with its reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import pytest
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v21 import ChargePoint as ChargePoint21
from ocpp.v201 import ChargePoint as ChargePoint201

from support.central import Csms
from support.observing import ObserverHarness, described, samples, tracing
from support.ocpp_programs import instrumented
from support.transcripts import CP, Transcript, playback, transcripts
from wattspan.domain import events as ev
from wattspan.domain.model import ChargePoint, Connector, Transaction
from wattspan.instrumentation import OcppInstrumentor
from wattspan.observe import Conversation, Observer
from wattspan.telemetry.families import FAMILIES
from wattspan.versions.base import Version

SERVER_ONLY = {
    "ocpp_store_commit_seconds_count",  # an observer has no store
    "ocpp_store_commit_seconds_sum",
    "database_health_check_duration_seconds_count",  # nor does it check one
    "database_health_check_duration_seconds_sum",
    "system_health_check_duration_seconds_count",
    "system_health_check_duration_seconds_sum",
}
SERVER_ATTRIBUTES = {
    "ocpp.store_wait_s",  # no answer of an observer waits for a store
    "csms.force_sample",  # an exemplar is chosen by chance: at most five a second
    "ocpp.id_token_hash",  # each installation has a key of its own
}
NOT_PUBLISHED = (ev.ProtocolFaulted, ev.SchemaFaulted, ev.VersionMixed)
"""Events that the server applies, and does not pass to plugins; `on_event` of an observer receives all of them."""
LEFT_OUT = {
    "number": "of the store",
    "clock_skew": "compared by what it leads to: the live figures",
    "last_meter_values": "compared by what it leads to",
}


COUNTED = {family for family in FAMILIES if family.startswith(("ocpp_cp_", "ocpp_tx_"))} - {
    "ocpp_cp_connected",  # read a moment later, when the last connection of the program is closed, too
}


class Silent:
    """Answers nothing by itself: what the server answered is sent for it."""

    async def _handle_call(self, _call: Any) -> None:
        return


PROGRAMS = {
    "ocpp1.6": type("Silent16", (Silent, ChargePoint16), {}),
    "ocpp2.0.1": type("Silent201", (Silent, ChargePoint201), {}),
    "ocpp2.1": type("Silent21", (Silent, ChargePoint21), {}),
}


class Nowhere:
    """A connection on which messages are lost, with a close code once it is closed."""

    close_code: int | None = None

    async def send(self, _message: str) -> None:
        return


@dataclass(frozen=True, slots=True)
class Passed:
    """A message; or with `subprotocol` the begin of a connection, or with `code` its end."""

    connection: Any
    at_ns: int
    data: bytes = b""
    from_charge_point: bool = False
    subprotocol: str | None = None
    code: int | None = None


class Doors:
    """Keeps the frames and connections of a central system, with their times, to show them to others."""

    def __init__(self, csms: Csms, clock: Callable[[], int]) -> None:
        gateway: Any = csms.central._gateway
        entering, leaving = gateway._enter, gateway._leave
        self._passed: list[Passed] = []
        self._now_ns = 0

        def enter(connection: Any, cp_id: str, version: Version) -> Any:
            self._passed.append(Passed(connection, clock(), subprotocol=version.subprotocol))
            live = entering(connection, cp_id, version)
            connection.tap = partial(tap, connection)
            return live

        def tap(connection: Any, direction: str, data: bytes) -> None:
            self._passed.append(Passed(connection, clock(), data, direction == "in"))

        def leave(cp_id: str, live: Any) -> None:
            leaving(cp_id, live)
            self._passed.append(Passed(live.connection, clock(), code=live.connection.close_code or 1006))

        gateway._enter, gateway._leave = enter, leave

    def time_ns(self) -> int:
        """The time for the instrumentor, in place of the module `time`."""
        return self._now_ns

    def show(self, observer: Observer) -> None:
        """Give an observer everything, in the order in which it happened."""
        conversations: dict[Any, Conversation] = {}
        for each in self._passed:
            if each.subprotocol is not None:
                conversations[each.connection] = observer.connect(CP, each.subprotocol, each.at_ns)
            elif each.code is not None:
                conversations[each.connection].close(each.code, "", each.at_ns)
            else:
                conversations[each.connection].frame(each.data, each.from_charge_point, each.at_ns)

    async def play(self, subprotocol: str) -> None:
        """Have a program of the `ocpp` package receive and send everything."""
        programs: dict[Any, Any] = {}
        for each in self._passed:
            self._now_ns = each.at_ns
            if each.subprotocol is not None:
                programs[each.connection] = PROGRAMS[subprotocol](CP, Nowhere())
                OcppInstrumentor().runtime.connections.begin(programs[each.connection])
            elif each.code is not None:
                programs[each.connection]._connection.close_code = each.code
                OcppInstrumentor().runtime.connections.end(programs.pop(each.connection), None)
            elif each.from_charge_point:
                await programs[each.connection].route_message(each.data.decode())
            else:
                await programs[each.connection]._send(each.data.decode())


TRANSCRIPTS = [pytest.param(each, id=each.name) for each in transcripts()]


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
async def test_other_doors_show_what_the_server_does(make_csms, transcript: Transcript, monkeypatch):
    provider, spans = tracing()

    async def make(**settings: Any) -> Csms:
        return await make_csms(tracer_provider=provider, **settings)

    async with playback(transcript, make) as played:
        doors = Doors(played.csms, played.clock)
        await played.run()
        await played._heard()
        server = played.csms.central
        harness = ObserverHarness.make(played.clock)
        doors.show(harness.observer)
        published = [part for event in harness.events if not isinstance(event, NOT_PUBLISHED) for part in parts(event)]
        assert [comparable(event) for event in published] == [comparable(each) for each in played.listener.received]
        expected = of_charge_points(samples(server.telemetry.reader._state))
        assert of_charge_points(samples(harness.state)) == expected
        assert state_of(harness.fleet.charge_points) == state_of(server.fleet.charge_points)
        with instrumented() as program:
            monkeypatch.setattr("wattspan.instrumentation.connections.time", doors)
            await doors.play(transcript.version)
            runtime = program.instrumentor.runtime
            assert runtime is not None
            assert state_of(runtime.observer.fleet.charge_points) == state_of(server.fleet.charge_points)
            seen_by_program = {name: value for name, value in program.metrics().items() if name[0] in COUNTED}
            assert seen_by_program == {each: value for each, value in expected.items() if each[0] in COUNTED}
    expected_spans = described(spans.get_finished_spans(), without=SERVER_ATTRIBUTES)
    assert described(harness.spans.get_finished_spans(), without=SERVER_ATTRIBUTES) == expected_spans
    assert described(program.spans.get_finished_spans(), without=SERVER_ATTRIBUTES) == expected_spans
    assert {span["name"] for span in expected_spans} > {"BootNotification"}


def parts(event: ev.Event) -> list[ev.Event]:
    """The events that plugins receive for an event."""
    return event.parts() if isinstance(event, ev.TransactionEventReceived) else [event]


def comparable(event: ev.Event) -> ev.Event:
    """The event without the duration of a command, which the server takes from a clock that no test moves."""
    return replace(event, duration_s=0.0) if isinstance(event, ev.CommandAnswered | ev.CommandFailed) else event


def of_charge_points(found: dict[tuple[str, tuple[str, ...]], float]) -> dict[tuple[str, tuple[str, ...]], float]:
    return {sample: value for sample, value in found.items() if sample[0] not in SERVER_ONLY}


def state_of(value: Any) -> Any:
    """The state of a fleet as plain values."""
    if isinstance(value, ChargePoint | Connector | Transaction):
        names: Sequence[str] = [field.name for field in fields(value) if field.name not in LEFT_OUT]
        if isinstance(value, Connector):
            names = [name for name in names if name != "transaction"]
        return {name: state_of(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {key: state_of(each) for key, each in value.items()}
    return repr(value)
