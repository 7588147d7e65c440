"""Charge points that lose nothing: what was not acknowledged is sent again, under a new message id, until it is.

That is OCPP 1.6 §4.7, §4.8 and §4.10 from the charger's side. Owns the ledger of what was acknowledged, and how a
database and a page of metrics are compared with it, by plain SQL and raw lines: no code of the server has a part in it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from stack.process import START_S
from support.databases import query
from support.waiting import eventually

Payload = dict[str, Any]

ANSWER_S = 15.0
"""A charger that waited so long for an answer hangs up and dials anew."""
REDIAL_S = 0.1
"""Thirty chargers that dial more often take the core that the server they wait for starts on."""
CONNECTORS = 2
MAX_PAUSE_S = 0.04
"""Between two messages of a charger at most; 30 chargers then send some 1,000 a second."""


@dataclass(slots=True, kw_only=True)
class Session:
    """A transaction as its charger knows it. `transaction_id` None: the start is not acknowledged yet."""

    cp_id: str
    connector_id: int
    start_wh: int
    started: str
    register_wh: int
    transaction_id: int | None = None
    readings: list[tuple[str, int, float]] = field(default_factory=list)
    """(timestamp, register in Wh, current in A) of each acknowledged meter value."""
    stopped: str | None = None

    @property
    def energy_wh(self) -> int:
        """What it delivered, as far as the central system was told."""
        last_wh = self.readings[-1][1] if self.readings else self.start_wh
        return (last_wh if self.stopped is None else self.register_wh) - self.start_wh


@dataclass(slots=True)
class Ledger:
    """What all chargers together saw acknowledged."""

    sessions: list[Session] = field(default_factory=list)
    acknowledged: int = 0
    repeated: int = 0
    """Messages that had to be sent more than once."""
    chargers: list[ResendingCharger] = field(default_factory=list)

    async def settle(self) -> None:
        """End the load: each charger gets its last message acknowledged, so the server must be up."""
        for charger in self.chargers:
            charger.stopping = True
        await eventually(lambda: all(charger.at_rest for charger in self.chargers), within_s=START_S)


class ResendingCharger:
    """One charge point of two connectors: sessions without end, one message at a time."""

    def __init__(self, urls: Sequence[str], cp_id: str, rng: random.Random, ledger: Ledger) -> None:
        self.cp_id = cp_id
        self.stopping = False
        """Set: the message under way is the last."""
        self.at_rest = False
        """Stopped, and nothing is left unacknowledged."""
        self.flapping = False
        """Set: each message has a connection of its own, to any of the addresses."""
        self._urls = [f"{url}/{cp_id}" for url in urls]
        self._rng = rng
        self._ledger = ledger
        self._socket: ClientConnection | None = None
        self._ids = itertools.count(1)
        self._running: dict[int, Session | None] = dict.fromkeys(range(1, CONNECTORS + 1))
        self._registers = dict.fromkeys(self._running, 1000)
        self._last_ms = 0

    async def run(self) -> None:
        """Charge until `stopping`; every message begun is acknowledged then."""
        try:
            while not self.stopping:
                await asyncio.sleep(self._rng.random() * MAX_PAUSE_S)
                await self._step(self._rng.randint(1, CONNECTORS))
            self.at_rest = True
        finally:
            await self._hang_up()

    async def _step(self, connector_id: int) -> None:
        session = self._running[connector_id]
        if session is None:
            self._running[connector_id] = await self._start(connector_id)
        elif self._rng.random() < 0.8:
            await self._measure(session)
        else:
            await self._stop(session)
            self._running[connector_id] = None

    async def _start(self, connector_id: int) -> Session:
        start_wh = self._registers[connector_id]
        session = Session(
            cp_id=self.cp_id, connector_id=connector_id, start_wh=start_wh, register_wh=start_wh, started=self._now()
        )
        call = {
            "connectorId": connector_id,
            "idTag": f"TAG-{self.cp_id}",
            "meterStart": start_wh,
            "timestamp": session.started,
        }
        answer = await self._acknowledged("StartTransaction", call)
        session.transaction_id = answer["transactionId"]
        self._ledger.sessions.append(session)
        return session

    async def _measure(self, session: Session) -> None:
        session.register_wh += self._rng.randint(0, 40)
        current_a = self._rng.randint(60, 320) / 10
        at = self._now()
        sampled = [
            {"value": str(session.register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": str(current_a), "measurand": "Current.Import", "unit": "A", "phase": "L1"},
        ]
        call = {
            "connectorId": session.connector_id,
            "transactionId": session.transaction_id,
            "meterValue": [{"timestamp": at, "sampledValue": sampled}],
        }
        await self._acknowledged("MeterValues", call)
        session.readings.append((at, session.register_wh, current_a))

    async def _stop(self, session: Session) -> None:
        session.register_wh += self._rng.randint(0, 40)
        stopped = self._now()
        call = {"transactionId": session.transaction_id, "meterStop": session.register_wh, "timestamp": stopped}
        await self._acknowledged("StopTransaction", call)
        session.stopped = stopped
        self._registers[session.connector_id] = session.register_wh

    async def _acknowledged(self, action: str, call: Payload) -> Payload:
        """The answer, however many attempts and connections it takes."""
        if self.flapping:
            await self._hang_up()
        for attempt in itertools.count():
            try:
                answer = await self._ask(action, call)
            except (OSError, WebSocketException, TimeoutError):
                await self._hang_up()
                await asyncio.sleep(REDIAL_S)
                continue
            self._ledger.acknowledged += 1
            self._ledger.repeated += attempt > 0
            return answer
        raise AssertionError("unreachable")

    async def _ask(self, action: str, call: Payload) -> Payload:
        async with asyncio.timeout(ANSWER_S):
            if self._socket is None:
                self._socket = await connect(
                    self._rng.choice(self._urls),
                    subprotocols=[Subprotocol("ocpp1.6")],
                    compression=None,
                    ping_interval=None,
                    proxy=None,
                )
            message_id = f"{next(self._ids)}"
            await self._socket.send(json.dumps([2, message_id, action, call]))
            frame = json.loads(await self._socket.recv())
        assert frame[:2] == [3, message_id], f"{self.cp_id} asked {action} under {message_id} and got {frame}"
        answer: Payload = frame[2]
        return answer

    async def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.transport.abort()
            with suppress(WebSocketException, OSError):
                await socket.wait_closed()

    def _now(self) -> str:
        """Of this charger's clock, which shows no moment twice."""
        now_ms = max(int(datetime.now(UTC).timestamp() * 1000), self._last_ms + 1)
        self._last_ms = now_ms
        return datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")


@asynccontextmanager
async def load(*urls: str, chargers: int, seed: int) -> AsyncIterator[Ledger]:
    """So many chargers at work, until `settle`, or cut off at the end. Each dials any of `urls` each time."""
    ledger = Ledger()
    for number in range(chargers):
        charger = ResendingCharger(urls, f"CP{number:02}", random.Random(seed + number), ledger)
        ledger.chargers.append(charger)
    tasks = [asyncio.create_task(charger.run()) for charger in ledger.chargers]
    try:
        yield ledger
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    if faults := [fault for fault in ended if isinstance(fault, Exception)]:
        raise faults[0]


def unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def assert_stored(database: Path | str, ledger: Ledger, *, unacknowledged: bool = False, prefix: str = "") -> None:
    """Each acknowledged start, meter value and stop is in the database (a path or URL), once, and nothing else is.

    `unacknowledged`: there may be, for the server went before chargers had the answers. `prefix`: of the charge
    points to look at.
    """
    sessions = query(
        str(database),
        "SELECT cp_id, connector_id, transaction_id, start_wh, started_ts, stopped_ts, meter_stop_wh, energy_wh"
        " FROM transactions",
    )
    readings = query(
        str(database),
        "SELECT r.cp_id, r.connector_id, t.transaction_id, r.charger_ts, r.register_wh, r.current_a"
        " FROM meter_readings r LEFT JOIN transactions t ON t.number = r.transaction_number",
    )
    sessions, readings = ([row for row in rows if row[0].startswith(prefix)] for rows in (sessions, readings))
    set_aside = query(str(database), "SELECT count(*) FROM unwritable")
    assert set_aside == [(0,)]
    starts = [_start_of(session) for session in ledger.sessions]
    _assert_same("starts", [row[:5] for row in sessions], starts, unacknowledged)
    _assert_same(
        "stops",
        [(row[2], *row[5:]) for row in sessions if row[5] is not None],
        [
            (str(s.transaction_id), unix(s.stopped), float(s.register_wh), float(s.energy_wh))
            for s in ledger.sessions
            if s.stopped is not None
        ],
        unacknowledged,
    )
    _assert_same(
        "meter values",
        readings,
        [
            (s.cp_id, str(s.connector_id), str(s.transaction_id), unix(at), float(wh), current_a)
            for s in ledger.sessions
            for at, wh, current_a in s.readings
        ],
        unacknowledged,
    )


def _start_of(session: Session) -> tuple[Any, ...]:
    place = (session.cp_id, str(session.connector_id), str(session.transaction_id))
    return (*place, float(session.start_wh), unix(session.started))


def _assert_same(what: str, found: list[Any], expected: list[Any], unacknowledged: bool) -> None:
    stored, acknowledged = Counter(found), Counter(expected)
    assert not acknowledged - stored, f"acknowledged {what} that are not stored"
    surplus = stored - acknowledged
    assert not surplus or (unacknowledged and max(stored.values()) == 1), f"{what} stored that were told once or never"


def assert_shown(page: str, ledger: Ledger) -> None:
    """The totals and the figures of running sessions on a page of metrics are the ledger's."""
    found = dict(re.findall(r"^(ocpp_(?:tx|cp_energy|cp_current_a)\S*) (\S+)$", page, re.MULTILINE))
    shown = {series: float(value) for series, value in found.items() if not series.startswith("ocpp_tx_duration")}
    expected: Counter[str] = Counter()
    for session in ledger.sessions:
        cp = f'cp_id="{session.cp_id}"'
        connector = f'{cp},connector_id="{session.connector_id}"'
        expected[f"ocpp_tx_total{{{cp}}}"] += 1
        is_open = session.stopped is None
        expected[f"ocpp_cp_energy_total_wh{{{cp}}}"] += 0 if is_open else session.energy_wh
        # Sessions of a connector come in order, so the last one's figures stay.
        expected[f"ocpp_tx_active{{{connector}}}"] = int(is_open)
        expected[f"ocpp_tx_energy_wh{{{connector}}}"] = session.energy_wh if is_open else 0
        if not is_open:
            expected[f"ocpp_cp_current_a{{{connector}}}"] = 0
        elif session.readings:
            expected[f"ocpp_cp_current_a{{{connector}}}"] = session.readings[-1][2]  # type: ignore[assignment]
    differing = {
        series: (shown.get(series), expected.get(series))
        for series in shown.keys() | expected.keys()
        if shown.get(series) != expected.get(series)
    }
    assert differing == {}, "series that differ: (shown, expected)"
