import asyncio
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.waiting import eventually
from wattspan.errors import CommandRefused, CommandTimeout, ConnectionLost, FrameError
from wattspan.ocppj.frames import Call
from wattspan.ocppj.rpc import MAX_QUEUED_COMMANDS, MAX_WAITING_BYTES, MAX_WAITING_CALLS, RpcConnection


class Wire:
    """Keeps what is sent, and how often reading was held."""

    def __init__(self) -> None:
        self.sent: list[list[object]] = []
        self.holds: list[str] = []

    def send(self, data: bytes) -> None:
        self.sent.append(orjson.loads(data))

    def pause_reading(self) -> None:
        self.holds.append("pause")

    def resume_reading(self) -> None:
        self.holds.append("resume")


class Handler:
    """Answers at once, refuses, or leaves a call to be answered later: `how` says which."""

    def __init__(self, how: Callable[[Call], str] = lambda _call: "answer") -> None:
        self.session: RpcConnection
        self.how = how
        self.calls: list[Call] = []
        self.later: list[Call] = []
        self.faults: list[FrameError] = []
        self.joined: list[int] = []
        self.unasked = 0
        self.under_way = 0

    def on_call(self, call: Call) -> None:
        self.calls.append(call)
        assert not self.later, "one call at a time"
        how = self.how(call)
        if how == "answer":
            self.session.answer(call, {})
        elif how == "refuse":
            self.session.refuse(call, "NotSupported", "", {})
        else:
            self.later.append(call)

    def on_joined(self, messages: int) -> None:
        self.joined.append(messages)

    def on_fault(self, fault: FrameError) -> None:
        self.faults.append(fault)

    def on_unexpected_result(self) -> None:
        self.unasked += 1


def joined(how: Callable[[Call], str] = lambda _call: "answer") -> tuple[RpcConnection, Wire, Handler]:
    wire, handler = Wire(), Handler(how)
    session = handler.session = RpcConnection("CP1", wire, handler)
    return session, wire, handler


def call(message_id: str | int, action: str = "Heartbeat") -> bytes:
    return orjson.dumps([2, message_id, action, {}])


def test_waiting_calls_are_few_by_size_too():
    session, wire, handler = joined(lambda _call: "later")
    session.receive(call("1"))
    session.receive(orjson.dumps([2, "2", "DataTransfer", {"data": "d" * MAX_WAITING_BYTES}]))
    assert wire.holds == ["pause"]
    session.answer(handler.later.pop(), {})
    assert wire.holds == ["pause", "resume"]


def test_what_was_received_before_the_transport_was_lost_is_handled_and_not_answered():
    session, wire, handler = joined(lambda _call: "later")
    for number in range(5):
        session.receive(call(number))
    session.lost()
    while handler.later:
        session.answer(handler.later.pop(), {})
    assert [each.message_id for each in handler.calls] == [0, 1, 2, 3, 4]
    assert wire.sent == []


async def test_finished_waits_for_all_that_was_received_and_for_nothing_once_closed():
    session, _wire, handler = joined(lambda _call: "later")
    for number in range(2):
        session.receive(call(number))
    session.lost()
    waiting = [asyncio.create_task(session.finished()) for _ in range(2)]
    await asyncio.sleep(0)
    session.answer(handler.later.pop(), {})
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    session.close()
    await asyncio.gather(*waiting)


@given(st.lists(st.binary()))
def test_any_bytes_in_and_nothing_is_raised(messages):
    session, wire, handler = joined()
    for data in messages:
        session.receive(data)
    assert len(wire.sent) == len(handler.calls) + len(handler.faults)


@given(st.lists(st.sampled_from(["answer", "refuse", "later", "garbage", "release"]), max_size=200))
def test_every_call_is_answered_once_and_in_order(steps):
    """Whatever is answered at once, refused, kept waiting, or comes between."""
    session, wire, handler = joined(lambda taken: plans[int(taken.message_id)])
    plans: list[str] = []
    garbage = 0
    for step in steps:
        if step == "garbage":
            session.receive(b"garbage")
            garbage += 1
        elif step == "release":
            if handler.later:
                session.answer(handler.later.pop(), {})
        else:
            plans.append(step)
            session.receive(call(str(len(plans) - 1)))
    while handler.later:
        session.answer(handler.later.pop(), {})
    answered = [frame for frame in wire.sent if frame[1] != "-1"]
    assert [frame[1] for frame in answered] == [str(number) for number in range(len(plans))]
    assert [frame[0] for frame in answered] == [4 if plan == "refuse" else 3 for plan in plans]
    assert len(wire.sent) - len(answered) == garbage
    assert wire.holds == ["pause", "resume"] * (len(wire.holds) // 2)


def test_a_call_that_is_answered_twice_is_answered_once():
    session, wire, handler = joined()
    session.receive(call("1"))
    session.answer(handler.calls[0], {})
    session.refuse(handler.calls[0], "GenericError", "", {})
    assert len(wire.sent) == 1


def test_who_does_not_wait_for_answers_is_held_and_let_go():
    session, wire, handler = joined(lambda _call: "later")
    for number in range(MAX_WAITING_CALLS + 1):
        session.receive(call(number))
    assert wire.holds == ["pause"]
    while handler.later:
        session.answer(handler.later.pop(), {})
    assert wire.holds == ["pause", "resume"]
    assert [frame[1] for frame in wire.sent] == list(range(MAX_WAITING_CALLS + 1))


def test_a_long_backlog_answered_at_once_does_not_recurse():
    session, wire, handler = joined(lambda taken: "later" if taken.message_id == 0 else "answer")
    for number in range(5000):
        session.receive(call(number))
    session.answer(handler.later.pop(), {})
    assert len(wire.sent) == 5000


def test_nothing_is_sent_after_the_close():
    session, wire, handler = joined(lambda _call: "later")
    session.receive(call("1"))
    session.receive(call("2"))
    session.close()
    session.answer(handler.later.pop(), {})
    assert (wire.sent, len(handler.calls)) == ([], 1)


async def asked(wire: Wire, number: int) -> str:
    """The message id of our `number`-th call, once it is sent."""
    return str((await eventually(lambda: wire.sent[number:]))[0][1])


async def test_a_result_goes_to_whoever_asked():
    session, wire, handler = joined()
    waiting = asyncio.create_task(session.call("Reset", {"type": "Soft"}, timeout_s=5))
    message_id = await asked(wire, 0)
    assert wire.sent == [[2, message_id, "Reset", {"type": "Soft"}]]
    session.receive(orjson.dumps([3, "another", {}]))
    session.receive(orjson.dumps([3, message_id, {"status": "Accepted"}]))
    session.receive(orjson.dumps([3, message_id, {"status": "Rejected"}]))
    assert await waiting == {"status": "Accepted"}
    assert handler.unasked == 2


async def test_a_callerror_a_time_out_and_a_close_each_have_their_own_error():
    session, wire, handler = joined()
    waiting = asyncio.create_task(session.call("Reset", {}, timeout_s=5))
    session.receive(orjson.dumps([4, await asked(wire, 0), "NotSupported", "", {}]))
    with pytest.raises(CommandRefused, match="NotSupported"):
        await waiting
    with pytest.raises(CommandTimeout):
        await session.call("Reset", {}, timeout_s=0)
    waiting = asyncio.create_task(session.call("Reset", {}, timeout_s=5))
    queued = asyncio.create_task(session.call("ClearCache", {}, timeout_s=5))
    await asked(wire, 2)
    session.close()
    for task in (waiting, queued):
        with pytest.raises(ConnectionLost):
            await task
    with pytest.raises(ConnectionLost):
        await session.call("Reset", {}, timeout_s=5)
    assert session.queued == 0
    assert handler.unasked == 0


async def test_a_cancel_that_meets_the_close_stays_a_cancel():
    session, wire, _handler = joined()
    waiting = asyncio.create_task(session.call("Reset", {}, timeout_s=5))
    await asked(wire, 0)
    waiting.cancel()
    session.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_commands_that_wait_are_bounded():
    session, _wire, _handler = joined()
    waiting = [asyncio.create_task(session.call("Reset", {}, timeout_s=5)) for _ in range(MAX_QUEUED_COMMANDS)]
    await eventually(lambda: session.queued == MAX_QUEUED_COMMANDS)
    with pytest.raises(CommandTimeout):
        await session.call("Reset", {}, timeout_s=5)
    session.close()
    assert all(isinstance(each, ConnectionLost) for each in await asyncio.gather(*waiting, return_exceptions=True))


async def test_finished_waits_for_the_last_answer_or_the_close():
    session, _wire, handler = joined(lambda _call: "later")
    await session.finished()
    session.receive(call("1"))
    session.receive(call("2"))
    waiting = asyncio.create_task(session.finished())
    await asyncio.sleep(0)
    session.answer(handler.later.pop(), {})
    await asyncio.sleep(0)
    assert not waiting.done()
    session.answer(handler.later.pop(), {})
    await waiting
    session.receive(call("3"))
    waiting = asyncio.create_task(session.finished())
    await asyncio.sleep(0)
    session.close()
    await waiting


def test_messages_of_one_text_are_handled_in_order_and_before_those_that_came_later():
    session, wire, handler = joined(lambda _call: "later")
    session.receive(call("0"))
    session.receive(call("1") + b"\n" + call("2") + b'[3,"unknown",{}]' + call("3"))
    session.receive(call("4"))
    assert (handler.joined, handler.unasked) == ([], 0)
    while handler.later:
        session.answer(handler.later.pop(), {})
    assert [each.message_id for each in handler.calls] == ["0", "1", "2", "3", "4"]
    assert [sent[1] for sent in wire.sent] == ["0", "1", "2", "3", "4"]
    assert (handler.joined, handler.unasked) == ([4], 1)


def test_a_result_before_a_call_in_one_text_waits_for_nothing():
    session, _wire, handler = joined(lambda _call: "later")
    session.receive(call("0"))
    session.receive(b'[3,"unknown",{}]' + call("1") + call("2"))
    session.receive(call("3"))
    assert (handler.joined, handler.unasked) == ([3], 1)
    while handler.later:
        session.answer(handler.later.pop(), {})
    assert [each.message_id for each in handler.calls] == ["0", "1", "2", "3"]


@given(
    st.lists(st.sampled_from(["[2,'a','Heartbeat',{}]", "[3,'b',{}]", "[7]", ",", " ", "]", "[", "\0"]), max_size=70)
)
def test_any_texts_joined_and_nothing_is_raised(parts):
    session, wire, handler = joined()
    session.receive("".join(parts).replace("'", '"').encode())
    assert len(wire.sent) <= len(parts) + 1
    assert session.closed is False
    assert not handler.later
