"""OcppInstrumentor on programs that use the `ocpp` package in ways that its documentation does not show."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ocpp.v16 import call

from support import forking_program
from support.chargers import BOOT
from support.ocpp_programs import Adapter, Central16, Instrumented, instrumented
from support.waiting import eventually
from wattspan.instrumentation import deferred, runtime


def heartbeat(message_id: str) -> str:
    return json.dumps([2, message_id, "Heartbeat", {}])


class Socket(Adapter):
    """A connection that receives what is put into its queue. An exception ends it."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    async def recv(self) -> str:
        received = await self.queue.get()
        if isinstance(received, BaseException):
            raise received
        return str(received)


def connected(telemetry: Instrumented) -> tuple[int, int]:
    """Return whether CP1 is connected, and how many sockets are open."""
    metrics = telemetry.metrics()
    return metrics["ocpp_cp_connected", ("CP1",)], metrics["ocpp_central_sockets", ()]


@pytest.mark.parametrize("code", [1000, 1006])
async def test_a_program_without_start_that_keeps_the_object_has_its_lost_connection_noticed(code):
    with instrumented() as telemetry:
        charge_point = Central16("CP1", Adapter())
        await charge_point.route_message(heartbeat("1"))
        charge_point._connection.close_code = code
        telemetry.instrumentor.runtime.connections.sweep()
        assert connected(telemetry) == (0, 0)


async def test_the_end_of_an_earlier_start_leaves_the_connection_of_a_later_one():
    """Some programs keep one object a charge point, and give it a new connection when the charge point is back."""
    first, second = Socket(), Socket()
    with instrumented() as telemetry:
        charge_point = Central16("CP1", first)
        earlier = asyncio.create_task(charge_point.start())
        first.queue.put_nowait(heartbeat("1"))
        await eventually(lambda: first.sent)
        charge_point._connection = second
        later = asyncio.create_task(charge_point.start())
        await asyncio.sleep(0)
        assert connected(telemetry) == (1, 1)
        first.queue.put_nowait(ConnectionError("lost"))
        await asyncio.gather(earlier, return_exceptions=True)
        assert connected(telemetry) == (1, 1)
        second.queue.put_nowait(heartbeat("2"))
        await eventually(lambda: second.sent)
        second.queue.put_nowait(ConnectionError("lost"))
        await asyncio.gather(later, return_exceptions=True)
        assert connected(telemetry) == (0, 0)


async def test_a_start_after_the_first_message_begins_no_second_connection():
    socket = Socket()
    with instrumented() as telemetry:
        charge_point = Central16("CP1", socket)
        await charge_point.route_message(heartbeat("1"))
        socket.queue.put_nowait(ConnectionError("lost"))
        with pytest.raises(ConnectionError):
            await charge_point.start()
        assert connected(telemetry) == (0, 0)
        assert len(telemetry.named("connect")) == 1


class Queued(Central16):
    """Has a task of its own send what `_send()` puts into a queue."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outgoing: asyncio.Queue[str] = asyncio.Queue()

    async def _send(self, message: str) -> None:
        self.outgoing.put_nowait(message)

    async def send_all(self) -> None:
        while True:
            await super()._send(await self.outgoing.get())


class QueuedAfterwards(Queued):
    """Does something else before it puts a message into the queue."""

    async def _send(self, message: str) -> None:
        await asyncio.sleep(0)
        await super()._send(message)


@pytest.mark.parametrize("kind", [Queued, QueuedAfterwards])
@pytest.mark.parametrize("queued", [False, True])
async def test_a_message_that_another_task_sends_is_observed_once(kind, queued):
    with instrumented(queued=queued) as telemetry:
        for cp_id, each in (("CP0", Queued), ("CP1", kind)):
            charge_point = each(cp_id, Adapter())
            sender = asyncio.create_task(charge_point.send_all())
            await charge_point.route_message(heartbeat("1"))
            calling = asyncio.create_task(charge_point.call(call.ClearCache(), unique_id="mine"))
            await eventually(lambda now=charge_point: len(now._connection.sent) == 2)
            await charge_point.route_message('[3,"mine",{"status":"Accepted"}]')
            await calling
            sender.cancel()
        telemetry.flush()
        metrics = telemetry.metrics()
        assert [span.name for span in telemetry.messages()] == ["Heartbeat", "ClearCache"] * 2
    assert metrics["ocpp_central_messages_total", ("out", "ClearCache")] == 2
    assert not [name for name, _ in metrics if "unobserved" in name or "unexpected" in name]


async def test_an_object_that_is_instrumented_again_has_its_after_handlers_recorded_by_the_new_provider():
    charge_point = Central16("CP1", Adapter())
    for number in range(2):
        with instrumented() as telemetry:
            await charge_point.route_message(json.dumps([2, str(number), "BootNotification", BOOT]))
            await eventually(lambda now=telemetry: now.named("after BootNotification"))


def test_messages_of_an_event_loop_wait_no_longer_because_another_one_ended(monkeypatch):
    """A program may run one event loop after another: the one that was to observe what waits may be closed."""

    async def two(telemetry: Instrumented) -> Any:
        charge_point = Central16("CP1", Adapter())
        await charge_point.route_message(heartbeat("1"))
        await charge_point.route_message(heartbeat("2"))
        return telemetry.instrumentor.runtime.connections.deferred

    async def observed(telemetry: Instrumented) -> None:
        waiting = await two(telemetry)
        await eventually(lambda: not waiting._waiting)

    monkeypatch.setattr(runtime, "SAVE_S", 3600.0)  # its thread does nothing
    with instrumented(queued=True) as telemetry:
        waiting = asyncio.run(two(telemetry))
        waiting.observe_late()
        monkeypatch.setattr(deferred, "MAX_WAIT_S", 0.0)
        asyncio.run(observed(telemetry))


def test_a_process_that_is_forked_afterwards_is_observed_and_leaves_the_state_file_alone(tmp_path: Path):
    state = tmp_path / "state.db"
    command = [sys.executable, "-W", "ignore", forking_program.__file__, str(state)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    child, parent = map(json.loads, done.stdout.splitlines())
    assert child == {"heartbeats": 3, "threads": 1}
    assert parent == {"heartbeats": 2, "threads": 1}
    assert f"state file {state}: left to the process" in done.stderr
    with sqlite3.connect(state) as database:
        assert sorted(database.execute("SELECT cp_id FROM charge_points")) == [("PARENT",)]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
