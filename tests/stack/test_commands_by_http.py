"""Operators command chargers by HTTP: the simulator's, and ocpp-go's examples, which nobody here wrote.

A relay on the wire tells what was said, and spoils the answers of honest chargers: late, twice, wrong or never.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack.commands import NONE, OCPP_16, OCPP_201, REFUSED, RUNNING, Payload, Row
from stack.ocpp_go import OcppGoCharger, OcppGoStation
from stack.process import eventually
from stack.relay import Become, Frame, Relay, as_it_is, relaying
from support.central import Csms
from support.operators import Operator, admin, user_of_role
from wattspan.simulator import ArrivalPattern, Simulation
from wattspan.versions import VERSIONS

CP = "CP0001"
"""As the simulator names its first."""
QUIET = ArrivalPattern(sessions_per_day=1e-9, busy_at_start=0.0, stay_s=(86_400.0, 90_000.0))
"""No car comes unless an operator starts a session."""
GOOD = {NONE, "Accepted", "Unlocked"}
"""What no charger here means as a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A charger to command, and what it makes of the rows of its version."""

    protocol: str
    rows: Sequence[Row]
    simulated: bool

    def told(self, row: Row) -> str | None:
        return row.simulated if self.simulated else row.ocpp_go


KINDS = {
    "simulator-1.6": Kind(protocol="ocpp1.6", rows=OCPP_16, simulated=True),
    "ocpp-go-1.6": Kind(protocol="ocpp1.6", rows=OCPP_16, simulated=False),
    "simulator-2.0.1": Kind(protocol="ocpp2.0.1", rows=OCPP_201, simulated=True),
    "ocpp-go-2.0.1": Kind(protocol="ocpp2.0.1", rows=OCPP_201, simulated=False),
}
ALL = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS, indirect=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """A charger that has booted, on a wire that is tapped, and an operator who may command it."""

    csms: Csms
    kind: Kind
    relay: Relay
    operator: Operator

    async def command(self, action: str, payload: Payload, status: int = 200, **query: Any) -> Any:
        path = f"/charge-points/{CP}/commands/{action}"
        return await self.operator.ask("POST", path, status, json=payload, params=query)

    async def transaction(self, asked: Payload) -> Payload:
        """The payload, with the id of the transaction that runs where it is meant."""
        if RUNNING not in asked.values():
            return asked
        if not self.kind.simulated:  # ocpp-go's examples count their own, and tell nobody
            return asked | {"transactionId": 1 if self.kind.protocol == "ocpp1.6" else "1"}

        async def running() -> list[int | str]:
            if self.kind.protocol == "ocpp1.6":  # the charger knows it once it has the answer to its start
                return [frame[2]["transactionId"] for frame in self.relay.told if "transactionId" in frame[2]]
            return [tx.transaction_id for tx in self.csms.central.fleet.charge_points[CP].transactions.values()]

        (found,) = await eventually(running)
        return asked | {"transactionId": found}

    async def is_well(self) -> None:
        """The next command is answered as if nothing had been."""
        self.relay.become = as_it_is
        assert (await self.command("ClearCache", {}))["status"] == "Accepted"

    async def errors(self) -> dict[tuple[str, str], float]:
        """`ocpp_central_call_errors_total` by action and type."""
        return await self.counted("ocpp_central_call_errors_total", "error_type")

    async def rejections(self) -> dict[tuple[str, str], float]:
        """`ocpp_central_call_rejected_total` by action and status."""
        return await self.counted("ocpp_central_call_rejected_total", "status")

    async def counted(self, name: str, by: str) -> dict[tuple[str, str], float]:
        found = {}
        for line in await self.csms.lines(name):
            series, _, value = line.rpartition(" ")
            labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
            if not line.startswith("#"):
                assert labels.keys() == {"cp_id", "action", by}
                found[labels["action"], labels[by]] = float(value)
        return found


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@asynccontextmanager
async def running(kind: Kind, folder: Path, url: str) -> AsyncIterator[None]:
    """The charger itself."""
    if not kind.simulated:
        example = OcppGoCharger if kind.protocol == "ocpp1.6" else OcppGoStation
        async with example.run(folder, url=url, identity=CP):
            yield
        return
    version = kind.protocol.removeprefix("ocpp")
    simulation = Simulation(
        url=url, charge_points=1, versions=(version,), arrivals=QUIET, time_factor=20.0, prefix="CP"
    )
    living = asyncio.ensure_future(simulation.run())
    try:
        yield
    finally:
        living.cancel()
        await asyncio.wait([living])


@pytest.fixture
async def wired(kind: Kind, tmp_path: Path) -> AsyncIterator[Wired]:
    csms = Csms(tmp_path / "fleet.db")
    await csms.start()
    try:
        async with (
            user_of_role(csms, "operator") as operator,
            relaying(csms.url("/ws"), kind.protocol) as relay,
            running(kind, tmp_path, relay.url),
        ):
            await eventually(lambda: csms.metric("ocpp_cp_boots_total", cp_id=CP))
            yield Wired(csms=csms, kind=kind, relay=relay, operator=operator)
    finally:
        await csms.stop()


@pytest.mark.parametrize("rows", [OCPP_16, OCPP_201], ids=["1.6", "2.0.1"])
def test_every_command_of_the_version_is_tried_here(rows: Sequence[Row]) -> None:
    version = VERSIONS["ocpp1.6" if rows is OCPP_16 else "ocpp2.0.1"]
    assert {row.action for row in rows} == version.commands.keys()


@ALL
async def test_every_command_goes_out_as_it_came_in_and_its_answer_comes_back(wired: Wired) -> None:
    kind, relay = wired.kind, wired.relay
    calls: Counter[str] = Counter()
    errors: Counter[tuple[str, str]] = Counter()
    rejections: Counter[tuple[str, str]] = Counter()
    for row in kind.rows:
        told = kind.told(row)
        if told is None:
            continue
        payload = await wired.transaction(row.payload)
        refused = told.startswith(REFUSED)
        answer = await wired.command(row.action, payload, 502 if refused else 200)
        command, said = relay.commands[-1], relay.answers[-1]
        assert command == [2, command[1], row.action, payload]
        assert said[1] == command[1]
        calls[row.action] += 1
        if refused:
            assert (answer["type"], answer["code"]) == ("urn:wattspan:call-error", told.removeprefix(REFUSED)), row
            assert said[2] == answer["code"]
            errors[row.action, answer["code"]] += 1
        else:
            assert (answer["action"], answer["status"]) == (row.action, told), row
            assert answer["payload"] == said[2]
            assert answer["accepted"] == (told in GOOD), row
            if told not in GOOD:
                rejections[row.action, told] += 1
    assert [frame[2] for frame in relay.commands] == [row.action for row in kind.rows if kind.told(row) is not None]
    assert len({frame[1] for frame in relay.commands}) == len(relay.commands)
    assert await wired.errors() == errors
    assert await wired.rejections() == rejections
    assert await wired.csms.counts("ocpp_central_call_seconds_count", "action") == calls


SOON = {"timeout_s": 1}
NO_ANSWERS: Sequence[Become] = (
    lambda _: [],
    lambda frame: [json.dumps([3, "another", *frame[2:]])],
    lambda frame: [json.dumps(frame)[:-1]],
    lambda _: ['{"status": "Accepted"}'],
)
"""Nothing; an answer to something else; half an answer; an answer that is no frame."""


@ALL
async def test_who_answers_never_or_what_nobody_can_read_is_504_and_no_more(wired: Wired) -> None:
    for number, become in enumerate(NO_ANSWERS, 1):
        wired.relay.become = become
        problem = await wired.command("ClearCache", {}, 504, **SOON)
        assert problem["type"] == "urn:wattspan:timeout"
        assert await wired.errors() == {("ClearCache", "Timeout"): number}
        await wired.is_well()
    assert await wired.errors() == {("ClearCache", "Timeout"): len(NO_ANSWERS)}
    assert await wired.rejections() == {}


@ALL
async def test_who_answers_late_is_504_and_its_answer_is_nobody_elses(wired: Wired) -> None:
    kept: list[Frame] = []

    def keep(frame: Frame) -> Sequence[str]:
        kept.append(frame)
        return []

    wired.relay.become = keep
    await wired.command("ClearCache", {}, 504, **SOON)
    asking = asyncio.create_task(wired.command("GetLocalListVersion", {}))
    await eventually(lambda: _second(kept))
    late, right = kept
    await wired.relay.tell(json.dumps(late))
    await wired.csms.becomes(1.0, "ocpp_central_unasked_results_total")
    assert not asking.done()
    await wired.relay.tell(json.dumps(right))
    assert (await asking)["payload"] == right[2]
    await wired.is_well()
    assert await wired.errors() == {("ClearCache", "Timeout"): 1}
    assert await wired.rejections() == {}


async def _second(kept: list[Frame]) -> bool:
    return len(kept) == 2


@ALL
async def test_who_answers_twice_has_answered_once(wired: Wired) -> None:
    def twice(frame: Frame) -> Sequence[str]:
        return [json.dumps(frame), json.dumps([3, frame[1], {"status": "Rejected"}])]

    wired.relay.become = twice
    assert (await wired.command("ClearCache", {}))["status"] == "Accepted"
    await wired.csms.becomes(1.0, "ocpp_central_unasked_results_total")
    await wired.is_well()
    assert await wired.errors() == {}
    assert await wired.rejections() == {}
    assert await wired.csms.metric("ocpp_central_call_seconds_count", action="ClearCache") == 2


@ALL
async def test_who_answers_with_a_word_that_ocpp_has_not_is_passed_on_and_counts_as_other(wired: Wired) -> None:
    wired.relay.become = lambda frame: [json.dumps([3, frame[1], {"status": "Perhaps"}])]
    answer = await wired.command("ClearCache", {})
    assert (answer["status"], answer["accepted"], answer["payload"]) == ("other", False, {"status": "Perhaps"})
    assert await wired.rejections() == {("ClearCache", "other"): 1}
    await wired.is_well()


@ALL
async def test_who_answers_without_an_object_or_with_nothing_right_in_it_harms_nobody(wired: Wired) -> None:
    payload: Any = None

    def wrong(frame: Frame) -> Sequence[str]:
        return [json.dumps([3, frame[1], payload])]

    wired.relay.become = wrong
    for payload in ("text", None, [], {}, {"status": 5}, {"status": {"status": "Accepted"}}):
        assert (await wired.command("ClearCache", {}))["accepted"] is False, payload
    await wired.is_well()
    assert await wired.errors() == {}


@ALL
async def test_who_refuses_with_a_code_of_its_own_is_502_with_that_code_and_counts_as_other(wired: Wired) -> None:
    wired.relay.become = lambda frame: [json.dumps([4, frame[1], "OutOfCoffee", "", {}])]
    assert (await wired.command("ClearCache", {}, 502))["code"] == "OutOfCoffee"
    assert await wired.errors() == {("ClearCache", "other"): 1}
    await wired.is_well()


@ALL
async def test_who_is_gone_before_the_answer_is_502_and_comes_back(wired: Wired) -> None:
    def hang_up(_: Frame) -> Sequence[str]:
        wired.relay.hang_up()
        return []

    wired.relay.become = hang_up
    problem = await wired.command("ClearCache", {}, 502)
    assert problem["type"] == "urn:wattspan:connection-lost"
    assert await wired.errors() == {("ClearCache", "ConnectionLost"): 1}
    await wired.csms.becomes(1.0, "ocpp_cp_disconnects_total", cp_id=CP)
    wired.relay.become = as_it_is
    assert await eventually(lambda: wired.csms.metric("ocpp_cp_connected", cp_id=CP), within_s=40)
    await wired.is_well()


@ALL
async def test_two_operators_on_one_charger_are_served_in_order_and_no_command_is_lost(wired: Wired) -> None:
    """A command each whenever the last was answered, and then all at once: one is on the wire at any moment."""
    trigger = "TriggerMessage"
    each = 20

    def payload(number: int) -> Payload:
        # ocpp-go's examples never send MeterValues when told to, and the simulator has no such connector.
        place: Payload = {"connectorId": number} if wired.kind.protocol == "ocpp1.6" else {"evse": {"id": number}}
        return {"requestedMessage": "MeterValues", **place}

    async def without_statement_timeout(operator: Operator, first: int) -> list[Any]:
        return [await operator.command(CP, trigger, payload(number)) for number in range(first, first + each)]

    async with admin(wired.csms) as other:
        answers = list(
            await asyncio.gather(without_statement_timeout(wired.operator, 100), without_statement_timeout(other, 200))
        )
        numbers = [_number(frame[3]) for frame in wired.relay.commands]
        assert [number for number in numbers if number < 200] == list(range(100, 100 + each))
        assert [number for number in numbers if number >= 200] == list(range(200, 200 + each))
        assert numbers.index(100) < numbers.index(199 + each)  # they had the charger in turns
        assert numbers.index(200) < numbers.index(99 + each)
        burst = [
            operator.command(CP, trigger, payload(first + number))
            for number in range(each)
            for operator, first in ((wired.operator, 300), (other, 400))
        ]
        answers += [await asyncio.gather(*burst)]
    told = {answer["status"] for some in answers for answer in some}
    assert told == {"Rejected"}
    wanted = [*range(100, 100 + each), *range(200, 200 + each), *range(300, 300 + each), *range(400, 400 + each)]
    assert sorted(_number(frame[3]) for frame in wired.relay.commands) == wanted
    assert wired.relay.most_at_once == 1
    assert await wired.rejections() == {(trigger, "Rejected"): 4.0 * each}
    assert await wired.errors() == {}


def _number(payload: Payload) -> int:
    number: int = payload["connectorId"] if "connectorId" in payload else payload["evse"]["id"]
    return number
