"""Whatever the order, repeats, lost answers, reconnects, reboots and restarts: the page tells the charger's own truth.

Hypothesis makes up the life of a charge point with two connectors; a small model keeps what really happened to it, by
the meaning of the metrics alone, and is compared with `/metrics` after each step. Real sockets, real HTTP, a database
on disk: a step takes a few milliseconds, so nothing is gained by leaving any of it out.
"""

import asyncio
import atexit
import os
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.central import Csms
from support.chargers import BOOT, Charger, Payload
from support.truth import CP, Session, Truth
from support.waiting import eventually
from wattspan.store.store import Store

T = TypeVar("T")

CONNECTORS = (1, 2)
JUMP_WH = 10_000
LIFE = 4
"""Messages between two ends of the server at least: an end takes as long as twenty of them."""


@cache
def empty_database() -> Path:
    """With all tables and nothing in it: to copy is a tenth of the time to migrate."""
    folder = tempfile.mkdtemp(prefix="wattspan-model-")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder) / "empty.db"

    async def make() -> None:
        await (await Store.open(str(path))).close()

    asyncio.run(make())
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What the charger has to say; `session` and `connector_id` are what it is about."""

    action: str
    payload: Payload
    session: Session
    register_wh: int = 0
    current_a: float = 0.0


class ChargePointLife(RuleBasedStateMachine):
    """The charge point; each rule is a step of its life. `pending` was sent, and no answer came."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.folder = Path(tempfile.mkdtemp(prefix="wattspan-model-"))
        shutil.copy(empty_database(), self.folder / "fleet.db")
        self.csms = Csms(self.folder / "fleet.db", plugins=(), ping_interval_s=0)
        self.wait(self.csms.start())
        self.truth = Truth()
        self.charger: Charger | None = None
        self.pending: Message | None = None
        self.registers = dict.fromkeys(CONNECTORS, 1000)
        self.told = 0
        """Messages acknowledged since the server started."""
        self.moments = 0
        self.born_ts = datetime.now(UTC).timestamp()

    def teardown(self) -> None:
        if self.charger is not None:
            self.charger.vanish()
        self.wait(self.csms.stop())
        self.runner.close()
        shutil.rmtree(self.folder)

    def wait(self, step: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(step)

    # connection

    @precondition(lambda self: self.charger is None)
    @rule(boots=st.booleans())
    def connects(self, boots: bool) -> None:
        self.wait(self._connect())
        if boots:
            self._boot()

    @precondition(lambda self: self.charger is not None)
    @rule(boots=st.booleans())
    def connects_anew_and_leaves_the_old_socket_dead(self, boots: bool) -> None:
        self.wait(self._connect())
        self.truth.disconnects.add(1)
        self.wait(eventually(self._disconnects_are_told))
        if boots:
            self._boot()

    @precondition(lambda self: self.charger is not None)
    @rule()
    def loses_its_connection(self) -> None:
        self.wait(self._vanish())

    @precondition(lambda self: self.charger is not None and not self.truth.open and self.pending is None)
    @rule()
    def boots_again_on_the_same_connection(self) -> None:
        self._boot()

    # the server

    @precondition(lambda self: self.told >= LIFE)
    @rule()
    def server_restarts(self) -> None:
        self.truth.disconnects.add(int(self.charger is not None))
        self._server_is_gone()
        self.wait(self.csms.restart())

    @precondition(lambda self: self.told >= LIFE)
    @rule()
    def server_crashes(self) -> None:
        for count in (self.truth.disconnects, self.truth.reconnects):
            count.low = min(count.low, count.safe)
        self._server_is_gone()
        self.wait(self.csms.kill())
        self.wait(self.csms.start())
        self.wait(self._meet_counts())

    # transactions

    @precondition(lambda self: self.pending is None and len(self.truth.open) < len(CONNECTORS))
    @rule(data=st.data(), answered=st.booleans())
    def starts(self, data: st.DataObject, answered: bool) -> None:
        connector_id = data.draw(st.sampled_from([name for name in CONNECTORS if name not in self.truth.open]))
        start_wh = self.registers[connector_id]
        call = {"connectorId": connector_id, "idTag": "TAG", "meterStart": start_wh, "timestamp": self._moment()}
        session = Session(connector_id=connector_id, start_wh=start_wh, start=call)
        self._tell(Message(action="StartTransaction", payload=call, session=session), answered)

    @precondition(lambda self: self.pending is None and self.truth.open)
    @rule(
        data=st.data(),
        gain_wh=st.sampled_from([0, 1, 700, 9_999, 10_001, 40_000]),
        current_a=st.sampled_from([0.0, 6.5, 32.0]),
        answered=st.booleans(),
    )
    def measures(self, data: st.DataObject, gain_wh: int, current_a: float, answered: bool) -> None:
        session = self._draw_open(data)
        register_wh = self.registers[session.connector_id] + gain_wh
        call = self._metered(session, register_wh, current_a)
        message = Message(
            action="MeterValues", payload=call, session=session, register_wh=register_wh, current_a=current_a
        )
        self._tell(message, answered)

    @precondition(lambda self: self.pending is None and self.truth.open)
    @rule(data=st.data(), gain_wh=st.sampled_from([0, 1, 900]), answered=st.booleans())
    def stops(self, data: st.DataObject, gain_wh: int, answered: bool) -> None:
        session = self._draw_open(data)
        register_wh = self.registers[session.connector_id] + gain_wh
        call = {"transactionId": session.transaction_id, "meterStop": register_wh, "timestamp": self._moment()}
        self._tell(Message(action="StopTransaction", payload=call, session=session, register_wh=register_wh), answered)

    @precondition(lambda self: self.pending is not None)
    @rule(answered=st.booleans())
    def sends_again_what_was_not_answered(self, answered: bool) -> None:
        assert self.pending is not None
        self._tell(self.pending, answered)

    # what changes nothing

    @precondition(lambda self: self.pending is None and self.truth.sessions)
    @rule(data=st.data())
    def repeats_a_start(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(self.truth.sessions))
        answer = self.wait(self._call("StartTransaction", session.start))
        assert answer["transactionId"] == session.transaction_id

    @precondition(lambda self: self.pending is None and any(session.stop for session in self.truth.sessions))
    @rule(data=st.data())
    def repeats_a_stop(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from([session for session in self.truth.sessions if session.stop]))
        assert session.stop is not None
        self.wait(self._call("StopTransaction", session.stop))

    @precondition(lambda self: self.pending is None and any(session.last for session in self.truth.open.values()))
    @rule(data=st.data())
    def repeats_its_last_meter_values(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from([session for session in self.truth.open.values() if session.last]))
        assert session.last is not None
        self.wait(self._call("MeterValues", session.last))

    @precondition(lambda self: self.pending is None and any(session.stop for session in self.truth.sessions))
    @rule(data=st.data(), gain_wh=st.sampled_from([0, 20_000]))
    def measures_for_a_session_that_is_over(self, data: st.DataObject, gain_wh: int) -> None:
        session = data.draw(st.sampled_from([session for session in self.truth.sessions if session.stop]))
        call = self._metered(session, self.registers[session.connector_id] + gain_wh, 16.0)
        self.wait(self._call("MeterValues", call))

    # comparison

    @invariant()
    def the_page_tells_the_truth(self) -> None:
        if self.pending is None:
            self.wait(self._compare())

    async def _compare(self) -> None:
        if not self.truth.connected and self.truth == Truth():
            return  # never heard of
        shown = {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in await self.csms.page())
            if name.startswith("ocpp_")
        }
        expected = self.truth.figures()
        assert {name: shown.get(name) for name in expected} == expected
        await self._meet_counts()

    async def _meet_counts(self) -> None:
        for count, name in (
            (self.truth.disconnects, "ocpp_cp_disconnects_total"),
            (self.truth.reconnects, "ocpp_cp_reconnect_during_tx_total"),
        ):
            shown = await self.csms.metric(name, cp_id=CP)
            assert shown is not None
            count.check(int(shown))

    async def _disconnects_are_told(self) -> bool:
        shown = await self.csms.metric("ocpp_cp_disconnects_total", cp_id=CP)
        return shown is not None and shown >= self.truth.disconnects.high

    # steps

    async def _connect(self) -> Charger:
        charger = self.csms.charger(CP)
        self.charger = await charger.__aenter__()
        self.truth.connected = True
        told, half_told = len(self.truth.open), 0
        if self.pending is not None and self.pending.action != "MeterValues":
            # Whether the server knows of the start, or of the stop, is not for the charger to know.
            half_told = 1
            told -= self.pending.action == "StopTransaction"
        self.truth.reconnects.add(told, half_told)
        await self.csms.becomes(1.0, "ocpp_cp_connected", cp_id=CP)
        return charger

    async def _vanish(self) -> None:
        assert self.charger is not None
        self.charger.vanish()
        self.charger, self.truth.connected = None, False
        self.truth.disconnects.add(1)
        await self.csms.becomes(0.0, "ocpp_cp_connected", cp_id=CP)

    def _server_is_gone(self) -> None:
        self.charger, self.truth.connected, self.told = None, False, 0

    def _boot(self) -> None:
        self.wait(self._call("BootNotification", BOOT))
        self.truth.boots += 1

    def _tell(self, message: Message, answered: bool) -> None:
        """Say it and hear the answer; or the connection goes first, and perhaps the message never came."""
        if answered:
            answer = self.wait(self._call(message.action, message.payload))
            self.pending = None
            HAPPENED[message.action](self, message, answer)
        else:
            self.wait(self._send_and_vanish(message))
            self.pending = message

    async def _call(self, action: str, payload: Payload) -> Payload:
        charger = self.charger or await self._connect()
        answer = await charger.call(action, payload)
        for count in (self.truth.disconnects, self.truth.reconnects):
            count.safe = count.low
        self.told += 1
        return answer

    async def _send_and_vanish(self, message: Message) -> None:
        charger = self.charger or await self._connect()
        await charger.send(message.action, message.payload)
        await self._vanish()

    def _started(self, message: Message, answer: Payload) -> None:
        session = message.session
        session.transaction_id = answer["transactionId"]
        self.truth.sessions.append(session)
        self.truth.open[session.connector_id] = session

    def _measured(self, message: Message, _answer: Payload) -> None:
        session = message.session
        last_wh, session.shown_wh, session.last = session.shown_wh, message.register_wh, message.payload
        self.truth.jumps += last_wh is not None and message.register_wh - last_wh > JUMP_WH
        self.truth.currents[session.connector_id] = message.current_a
        self.registers[session.connector_id] = message.register_wh

    def _stopped(self, message: Message, _answer: Payload) -> None:
        session = message.session
        session.shown_wh, session.stop = message.register_wh, message.payload
        self.truth.energy_wh += session.energy_wh
        self.truth.currents[session.connector_id] = 0.0
        self.registers[session.connector_id] = message.register_wh
        del self.truth.open[session.connector_id]

    def _draw_open(self, data: st.DataObject) -> Session:
        return data.draw(st.sampled_from(list(self.truth.open.values())))

    def _metered(self, session: Session, register_wh: int, current_a: float) -> Payload:
        sampled = [
            {"value": str(register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": str(current_a), "measurand": "Current.Import", "unit": "A", "phase": "L1"},
        ]
        return {
            "connectorId": session.connector_id,
            "transactionId": session.transaction_id,
            "meterValue": [{"timestamp": self._moment(), "sampledValue": sampled}],
        }

    def _moment(self) -> str:
        """Of the charger's clock, which shows no moment twice."""
        self.moments += 1
        at = datetime.fromtimestamp(self.born_ts + self.moments / 1000, UTC)
        return at.isoformat(timespec="milliseconds")


HAPPENED = {
    "StartTransaction": ChargePointLife._started,
    "MeterValues": ChargePointLife._measured,
    "StopTransaction": ChargePointLife._stopped,
}

TestChargePointLife = pytest.mark.timeout(300)(ChargePointLife.TestCase)
TestChargePointLife.settings = settings(
    max_examples=int(os.environ.get("WATTSPAN_LIVES", settings.default.max_examples // 8)),
    stateful_step_count=30,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=list(HealthCheck),
)
