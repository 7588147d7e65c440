"""One physical session, told in each OCPP version: equal state, metrics and session trace, whatever goes wrong.

The real versions, admission, domain and store; only sockets and clocks are the test's.
"""

import asyncio
import atexit
import inspect
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.physical import TOKEN, Message, Session, Step, messages_2x, messages_16
from support.sites import NOW, Site, opened
from wattspan.csms.admission import Admission, ConnectionContext
from wattspan.domain import events as ev
from wattspan.store.store import IdTag, Store
from wattspan.telemetry.families import FAMILIES, State, points
from wattspan.telemetry.sessions import phases
from wattspan.versions import VERSIONS
from wattspan.versions.base import Version

CP = "CP1"
FAULTS = ("", "", "", "lost", "unanswered", "crash")
RETRY_S = 5.0
OWN_WAY = {"ocpp_cp_info", "ocpp_cp_last_msg_ts"}
"""What may differ: the protocol by its name, and when the last of the messages came."""


async def no_certificate(*_: Any) -> bool:
    return False


class Teller:
    """A charger of one version and its central system, with everything told so far."""

    def __init__(self, version: Version, site: Site) -> None:
        self.version, self.site, self.told = version, site, list[Any]()
        self.site.fleet.on_stopped.append(self.told.append)

    async def connect(self, at_ts: float) -> None:
        self.site.apply(ev.ChargePointConnected(cp_id=CP, received_ts=at_ts, protocol=self.version.subprotocol))
        await self.site.commit()

    async def tell(self, message: Message, at_ts: float) -> dict[str, Any]:
        """What the service does with a message: answer, observe, apply, commit."""
        assert not self.version.schemas.call_faults(message.action, message.payload)
        request = self.version.requests[message.action]
        admission = Admission(
            fleet=self.site.fleet,
            records=self.site.store,
            accepts_unknown_id_tags=False,
            heartbeat_interval_s=120,
            data_transfer=lambda *_: None,
            sign_certificate=no_certificate,
        )
        answer: Any = request.answer(message.payload, ConnectionContext(CP, admission, at_ts))
        if inspect.isawaitable(answer):
            answer = await answer
        assert not self.version.schemas.result_faults(message.action, answer)
        self.site.apply(*request.observe(message.payload, answer, CP, at_ts))
        await self.site.commit()
        found: dict[str, Any] = answer
        return found

    async def deliver(self, message: Message, fault: str) -> dict[str, Any]:
        """The message arrives, perhaps the second time, perhaps at the next life of the server."""
        if fault == "lost":
            return await self.tell(message, message.at_ts + RETRY_S)
        if not fault:
            return await self.tell(message, message.at_ts)
        await self.tell(message, message.at_ts)
        if fault == "crash":
            await self.restart()
            await self.connect(message.at_ts + RETRY_S - 1)
        return await self.tell(message, message.at_ts + RETRY_S)

    async def restart(self) -> None:
        await self.site.end()
        self.site = await opened(self.site.path)
        self.site.fleet.on_stopped.append(self.told.append)

    def metrics(self) -> dict[str, Any]:
        """Every point of every metric about the charge point."""
        state = State(fleet=self.site.fleet, counters=self.site.counters, clock=lambda: NOW)
        return {
            name: {point.labels: point.value for point in points(family, state)}
            for name, family in FAMILIES.items()
            if name.startswith(("ocpp_cp", "ocpp_tx", "ocpp_connector", "ocpp_energy")) and name not in OWN_WAY
        }

    def traces(self) -> list[Any]:
        """The session traces, ids and reasons apart."""
        return [
            (
                session.connector_id,
                session.began_ts,
                session.ended_ts,
                session.meter.energy_wh,
                session.id_token,
                list(phases(session)),
                [moment for moment in session.timeline if not moment.phase],
            )
            for session in self.told
        ]


Life = Callable[[Teller], Awaitable[None]]


def lived(version: str, life: Life) -> Teller:
    """A charger's life of that version, on a database of its own."""

    async def main(path: Path) -> Teller:
        teller = Teller(VERSIONS[version], await opened(str(path)))
        await teller.site.store.add_id_tag(IdTag(id_token=TOKEN.lower()))
        try:
            await teller.connect(NOW - 100)
            await life(teller)
        finally:
            await teller.site.end()
        return teller

    with tempfile.TemporaryDirectory(prefix="wattspan-same-") as folder:
        path = Path(folder) / "fleet.db"
        shutil.copy(empty_database(), path)
        return asyncio.run(main(path))


@cache
def empty_database() -> Path:
    """With all tables and nothing in it."""
    folder = tempfile.mkdtemp(prefix="wattspan-same-")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder) / "empty.db"

    async def make() -> None:
        await (await Store.open(str(path))).close()

    asyncio.run(make())
    return path


def in_order(tell: Callable[[dict[str, Any]], Iterable[Message]], faults: dict[float, str]) -> Life:
    async def life(teller: Teller) -> None:
        ids: dict[str, Any] = {}
        for message in tell(ids):
            ids |= await teller.deliver(message, faults.get(message.at_ts, ""))

    return life


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    register_wh, after_s, steps = float(draw(st.sampled_from([0, 1000, 27_651_034]))), 10.0, []
    start_wh = register_wh
    for _ in range(draw(st.integers(0, 6))):
        after_s += draw(st.integers(20, 900))
        if draw(st.booleans()):
            state = draw(st.sampled_from(["EVConnected", "Charging", "SuspendedEV", "SuspendedEVSE"]))
            steps.append(Step(kind="state", after_s=after_s, state=state))
        else:
            register_wh += draw(st.sampled_from([0, 1, 700, 9_999, 12_000]))
            current_a = draw(st.sampled_from([0.0, 6.5, 32.0]))
            steps.append(Step(kind="reading", after_s=after_s, register_wh=register_wh, current_a=current_a))
    stop_wh = register_wh + draw(st.sampled_from([0, 1, 900]))
    return Session(
        began_ts=NOW,
        start_wh=start_wh,
        steps=tuple(steps),
        stop_wh=stop_wh,
        lasted_s=after_s + draw(st.integers(20, 900)),
    )


def moments(session: Session) -> Iterator[float]:
    yield from (message.at_ts for message in messages_2x(session, 1, "T"))


SLOW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("version", [name for name in VERSIONS if name != "ocpp1.6"])
@given(data=st.data())
@SLOW
def test_a_session_is_the_same_in_every_version(version: str, data: st.DataObject) -> None:
    session = data.draw(sessions())
    faults = {at_ts: data.draw(st.sampled_from(FAULTS)) for at_ts in moments(session)}
    old = lived("ocpp1.6", in_order(lambda ids: messages_16(session, 1, ids), faults))
    new = lived(version, in_order(lambda ids: messages_2x(session, 1, "T-1"), faults))
    assert new.metrics() == old.metrics()
    assert new.traces() == old.traces()
    assert new.metrics()["ocpp_cp_energy_total_wh"] == {(CP,): session.stop_wh - session.start_wh}


@pytest.mark.parametrize("version", [name for name in VERSIONS if name != "ocpp1.6"])
@given(data=st.data())
@SLOW
def test_in_whatever_order_a_session_is_told_it_counts_once(version: str, data: st.DataObject) -> None:
    session = data.draw(sessions())
    told = [message for message in messages_2x(session, 1, "T-1") if message.action == "TransactionEvent"]
    lost = data.draw(st.sets(st.integers(1, max(1, len(told) - 2)), max_size=2)) if len(told) > 2 else set()
    kept = [message for number, message in enumerate(told) if number not in lost]
    shuffled = data.draw(st.permutations(kept)) + data.draw(st.lists(st.sampled_from(kept), max_size=3))
    ends = data.draw(st.sets(st.integers(0, len(shuffled)), max_size=2))

    async def life(teller: Teller) -> None:
        at_ts = NOW + session.lasted_s
        for number, message in enumerate(shuffled):
            if number in ends:
                await teller.restart()
            at_ts += 1
            await teller.tell(message, at_ts)

    lived_ = lived(version, life)
    metrics = lived_.metrics()
    assert metrics["ocpp_cp_energy_total_wh"] == {(CP,): session.stop_wh - session.start_wh}
    assert metrics["ocpp_tx_total"] == {(CP,): 1}
    assert metrics["ocpp_tx_active"] == {(CP, "1"): 0}
    assert metrics["ocpp_cp_current_a"].get((CP, "1"), 0) == 0
    assert len(lived_.told) == 1
