"""However a charger reports a session, its energy is what start and stop say, and its figures are the last reading's.

Hypothesis makes up a session and a charger's way to report it (`support.metering`), in all versions. Most examples
apply the messages as the server does, without a socket; a few take the whole way. They are the same each time, unless
WATTSPAN_METERINGS sets how many others are tried.
"""

import asyncio
import heapq
import os
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
import uvloop
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from websockets.typing import Subprotocol

from support import metering
from support.central import Csms
from support.chargers import Charger
from support.clock import Clock
from support.metering import BEGAN_TS, Message, Report, Session
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint
from wattspan.domain.timestamps import charger_ts
from wattspan.versions import VERSIONS
from wattspan.versions.v16.requests import start_key

Payload = dict[str, Any]
T = TypeVar("T")

EXAMPLES = int(os.environ.get("WATTSPAN_METERINGS", 3 * settings.default.max_examples))


class ChargePointUnderTest(Protocol):
    """Whoever takes the messages of one charge point."""

    def call(self, action: str, payload: Payload, at_s: float) -> Payload:
        """Take a CALL so many seconds after the start, and return its answer."""

    @property
    def charge_point(self) -> ChargePoint: ...


class Direct:
    """A charge point whose messages are observed and applied, without a server."""

    def __init__(self, subprotocol: str) -> None:
        self._version = VERSIONS[subprotocol]
        self._fleet = Fleet()
        apply(self._fleet, ev.ChargePointConnected(cp_id="CP1", received_ts=BEGAN_TS, protocol=subprotocol))

    def call(self, action: str, payload: Payload, at_s: float) -> Payload:
        at_ts = BEGAN_TS + at_s
        answer = self._started(payload, at_ts) if action == "StartTransaction" else {"status": "Accepted"}
        for event in self._version.requests[action].observe(payload, answer, "CP1", at_ts):
            apply(self._fleet, event)
        return answer

    def _started(self, payload: Payload, at_ts: float) -> Payload:
        known = self._fleet.repeated_start("CP1", start_key(payload), charger_ts(payload["timestamp"]), at_ts)
        number = self._fleet.last_transaction_id + 1 if known is None else int(known.transaction_id)
        return {"transactionId": number, "idTagInfo": {"status": "Accepted"}}

    @property
    def charge_point(self) -> ChargePoint:
        return self._fleet.charge_points["CP1"]


class Server:
    """A central system on a real socket, for one charge point after another."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._clock = Clock(BEGAN_TS)
        self._csms = Csms(folder / "fleet.db", plugins=(), ping_interval_s=0, clock_ns=self._clock)
        self._charger: Charger | None = None
        self._cp_id = ""
        self._count = 0
        self._wait(self._csms.start())

    def connect(self, subprotocol: str) -> "Server":
        """Connect another charge point."""
        self._count += 1
        self._cp_id = f"CP{self._count}"
        self._clock.be_at(0)
        charger = self._csms.charger(self._cp_id, subprotocols=[Subprotocol(subprotocol)])
        self._charger = self._wait(charger.__aenter__())
        return self

    def call(self, action: str, payload: Payload, at_s: float) -> Payload:
        assert self._charger is not None
        self._clock.be_at(at_s)
        return self._wait(self._charger.call(action, payload))

    @property
    def charge_point(self) -> ChargePoint:
        return self._csms.central.fleet.charge_points[self._cp_id]

    def close(self) -> None:
        self._wait(self._csms.stop())
        self._runner.close()

    def _wait(self, step: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(step)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


def check(charger: ChargePointUnderTest, *told: tuple[Session, Report]) -> None:
    """Send the messages of all sessions, and compare what is known after them with what happened."""
    transaction_ids: dict[int, int] = {}
    sent = [[(report, message) for message in metering.messages(session, report)] for session, report in told]
    for report, message in heapq.merge(*sent, key=lambda each: each[1].at_s):
        call = message.payload
        if "transactionId" in call:
            call = call | {"transactionId": transaction_ids[report.connector_id]}
        note(f"{message.at_s:7.1f} {message.action} {call}")
        answer = charger.call(message.action, call, message.at_s)
        if message.is_start:
            transaction_ids[report.connector_id] = answer["transactionId"]
        check_figures(report, message, charger.charge_point)
    cp = charger.charge_point
    assert cp.tx_total == len(told)
    assert cp.transactions == {}
    assert cp.energy_total_wh == pytest.approx(sum(metering.energy_wh(*each) for each in told), abs=0.01)


def check_figures(report: Report, message: Message, cp: ChargePoint) -> None:
    """Compare the connector's figures with the reading that the message has, if that is the newest."""
    connector = cp.connectors.get(str(report.connector_id))
    if message.newest is None or connector is None or connector.transaction is None:
        return
    current_a = metering.outlet_current_a(report, message.newest)
    power_w = metering.outlet_power_w(report, message.newest)
    assert current_a is None or connector.current_a == pytest.approx(current_a, abs=0.001)
    assert power_w is None or connector.power_w == pytest.approx(power_w, abs=0.001)


def bounded(examples: int) -> settings:
    return settings(
        max_examples=max(1, examples),
        deadline=None,
        derandomize="WATTSPAN_METERINGS" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )


@bounded(EXAMPLES)
@given(st.data())
def test_energy_is_what_start_and_stop_say_and_figures_are_the_last_readings(data):
    session = data.draw(metering.sessions())
    report = data.draw(metering.reports(session))
    check(Direct(report.version), (session, report))


@bounded(EXAMPLES // 3)
@given(data=st.data(), version=st.sampled_from(metering.VERSIONS))
def test_connectors_and_evses_are_separate(data, version):
    """Two sessions at a time, each reported in its own way: neither changes the energy or the figures of the other."""
    told = []
    for connector_id in (1, 2):
        session = data.draw(metering.sessions())
        report = data.draw(metering.reports(session, [version]))
        told.append((session, replace(report, connector_id=connector_id, boots=None)))
    check(Direct(version), *told)


@bounded(EXAMPLES // 20)
@given(data=st.data())
def test_the_same_over_a_socket(server, data):
    session = data.draw(metering.sessions())
    report = data.draw(metering.reports(session))
    check(server.connect(report.version), (session, report))
