"""The transcripts, seen twice: by the server that answers them, and by an observer that is given the frames.

State, metrics, events and spans must be equal, but for what is named here with its reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import pytest

from support.central import Csms
from support.observing import ObserverHarness, described, samples, tracing
from support.transcripts import Transcript, playback, transcripts
from wattspan.domain import events as ev
from wattspan.domain.model import ChargePoint, Connector, Transaction
from wattspan.observe import Conversation, Observer
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


class Doors:
    """Keeps the frames and connections of a central system, with their times, for an observer."""

    def __init__(self, csms: Csms, clock: Callable[[], int]) -> None:
        gateway: Any = csms.central._gateway
        entering, leaving = gateway._enter, gateway._leave
        self._passed: list[Callable[[Observer], None]] = []
        self._conversations: dict[Any, Conversation] = {}

        def enter(connection: Any, cp_id: str, version: Version) -> Any:
            at_ns = clock()
            self._passed.append(
                lambda observer: self._conversations.update(
                    {connection: observer.connect(cp_id, version.subprotocol, at_ns)}
                )
            )
            live = entering(connection, cp_id, version)
            connection.tap = partial(tap, connection)
            return live

        def tap(connection: Any, direction: str, data: bytes) -> None:
            at_ns = clock()
            self._passed.append(lambda _: self._conversations[connection].frame(data, direction == "in", at_ns))

        def leave(cp_id: str, live: Any) -> None:
            leaving(cp_id, live)
            at_ns, code = clock(), live.connection.close_code or 1006
            self._passed.append(lambda _: self._conversations[live.connection].close(code, "", at_ns))

        gateway._enter, gateway._leave = enter, leave

    def show(self, observer: Observer) -> None:
        """Give the observer everything, in the order in which it happened."""
        for step in self._passed:
            step(observer)


TRANSCRIPTS = [pytest.param(each, id=each.name) for each in transcripts()]


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
async def test_an_observer_sees_what_the_server_does(make_csms, transcript: Transcript):
    provider, spans = tracing()

    async def make(**settings: Any) -> Csms:
        return await make_csms(tracer_provider=provider, **settings)

    async with playback(transcript, make) as played:
        harness = ObserverHarness.make(played.clock)
        doors = Doors(played.csms, played.clock)
        await played.run()
        await played._heard()
        core = played.csms.central._core
        doors.show(harness.observer)
        published = [part for event in harness.events if not isinstance(event, NOT_PUBLISHED) for part in parts(event)]
        assert [comparable(event) for event in published] == [comparable(each) for each in played.listener.received]
        expected = samples(played.csms.central.telemetry.reader._state)
        assert of_charge_points(samples(harness.state)) == of_charge_points(expected)
        assert state_of(harness.fleet.charge_points) == state_of(core.fleet.charge_points)
    seen = described(harness.spans.get_finished_spans(), without=SERVER_ATTRIBUTES)
    assert seen == described(spans.get_finished_spans(), without=SERVER_ATTRIBUTES)
    assert {span["name"] for span in seen} > {"BootNotification"}


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
