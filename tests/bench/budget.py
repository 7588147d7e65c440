"""Where a MeterValues spends its time: `PYTHONPATH=tests python tests/bench/budget.py`. Microseconds of CPU a message.

Each step alone, in one thread, best of many rounds: no socket, no waiting, warm caches. A real message meets colder
ones and pays for system calls too, so the sum is a floor; what it shows is which step to look at.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import uvloop
from websockets.protocol import State
from websockets.server import ServerProtocol

from bench.load import frame
from bench.words import V16
from wattspan import CentralSystem
from wattspan.csms.service import CallHandler
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.fleet import Fleet
from wattspan.ocppj import frames
from wattspan.ocppj.rpc import RpcConnection
from wattspan.store.journal.apply import write_batch
from wattspan.store.journal.batch import Batch, take
from wattspan.telemetry.connection import UNKNOWN_CONNECTION
from wattspan.versions.v16.requests import v16

CALLS = 5_000
ROUNDS = 7
BATCH = 100


class Silent:
    """A wire and a connection that lead nowhere."""

    attributes = UNKNOWN_CONNECTION

    def send(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def drop(self, code: int, reason: str) -> None: ...
    def count_messages(self, more: int) -> None: ...


def cost(step: Callable[[], Any], after: Callable[[], Any] = lambda: None) -> float:
    """The quickest round; `after` tidies up between rounds, untimed."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            step()
        best = min(best, time.process_time() - began)
        after()
    return best / CALLS * 1e6


async def budget(csms: CentralSystem) -> dict[str, float]:
    """Each step's cost, by its name."""
    core = csms._core
    fleet, recorder, journal = core.fleet, core.recorder, core.journal
    core.record([ev.ChargePointConnected(cp_id="CP1", received_ts=time.time(), protocol="ocpp1.6")])
    core.record(
        [
            ev.TransactionStarted(
                cp_id="CP1",
                received_ts=time.time(),
                connector_id="1",
                transaction_id="1",
                key="k",
                id_token="A",
                meter_start_wh=1e6,
                started_ts=None,
            )
        ]
    )
    await journal.flush()
    cp = fleet.charge_points["CP1"]
    # Two, for the same message again would be known as a repeat.
    texts = [frames.call("1", *V16.measure(1, 1, 100_000_100, 0)) for _ in range(2)]
    texts[1] = texts[1].replace(b'Z","sampledValue', b'1Z","sampledValue')
    data, payload = texts[0], frames.parse(texts[0]).payload  # type: ignore[union-attr]
    turn = cycle(texts)
    request = v16.requests["MeterValues"]
    handler = CallHandler(core, cp, v16, Silent())
    session = handler.rpc = RpcConnection("CP1", Silent(), handler)
    span = recorder.message("CP1", "MeterValues", time.time_ns())
    events = [next(iter(request.observe(frames.parse(text).payload, {}, "CP1", time.time()))) for text in texts]  # type: ignore[union-attr]
    told = cycle(events)
    place = "1", "1"
    tidy = fleet.changes.readings.clear
    commit = journal.commit
    found = {
        "frame parsed": cost(lambda: frames.parse(data)),
        "schema checked": cost(lambda: v16.schemas.call_faults("MeterValues", payload)),
        "answered and observed": cost(
            lambda: (
                request.answer(payload, handler._context),
                tuple(request.observe(payload, {}, "CP1", 1.8e9)),
            )
        ),
        "state changed": cost(
            lambda: (fleet.seen(cp, 1.8e9), fleet.session_of("CP1", *place), apply(fleet, next(told))), tidy
        ),
        "answer encoded": cost(lambda: frames.call_result("1", {})),
        "span begun, current, not current": cost(
            lambda: recorder.detach(recorder.attach(recorder.message("CP1", "MeterValues", time.time_ns())))
        ),
        "plugins told": cost(lambda: core.plugins.publish(events[0])),
    }

    def ended() -> None:
        span.end_ns = 0
        recorder.answered(span, connector_id="1", session=None, error=None, store_wait_s=0.1)

    found["span ended, counted, queued"] = cost(ended)

    def committed(done: Any) -> None:
        if len(fleet.changes.readings) >= BATCH:
            tidy()
        done(None)

    journal.commit = committed  # type: ignore[method-assign]
    whole = cost(lambda: session.receive(next(turn)))
    found["all of the above, from frame to answer"] = whole
    journal.commit = commit  # type: ignore[method-assign]

    found["WebSocket frame in"] = _websocket_in(data)
    found["WebSocket frame out"] = _websocket_out()
    found["batch taken"], batch = _batch_taken(fleet, told)
    found[f"row written, of {BATCH} in a batch"] = await _row_written(csms.store, batch)
    return found


def _batch_taken(fleet: Fleet, told: Iterator[ev.Event]) -> tuple[float, Batch]:
    for _ in range(BATCH):
        apply(fleet, next(told))
    readings = list(fleet.changes.readings)

    def taken() -> None:
        fleet.changes.readings = readings
        take(fleet)

    each = cost(taken) / BATCH
    fleet.changes.readings = readings
    return each, take(fleet)


async def _row_written(store: Any, batch: Batch) -> float:
    def written() -> float:
        with store._writer._engine.connect() as connection:
            driver = connection.connection.dbapi_connection
            cursor = driver.cursor()
            best = float("inf")
            for _ in range(ROUNDS * 5):
                began = time.process_time()
                cursor.execute("BEGIN IMMEDIATE")
                write_batch(cursor, batch, store._statements, store._shapes, time.time())
                driver.commit()
                best = min(best, time.process_time() - began)
            return best / BATCH * 1e6

    return await asyncio.to_thread(written)


def _websocket_in(data: bytes) -> float:
    framed = frame(data)
    protocol = ServerProtocol()
    protocol.state = State.OPEN
    protocol.parser = protocol.parse()
    next(protocol.parser)

    def received() -> None:
        protocol.receive_data(framed)
        (event,) = protocol.events_received()
        bytes(event.data)  # type: ignore[union-attr]

    return cost(received)


def _websocket_out() -> float:
    protocol = ServerProtocol()
    protocol.state = State.OPEN
    answer = frames.call_result("0000000001", {})

    def sent() -> None:
        protocol.send_text(answer)
        protocol.data_to_send()

    return cost(sent)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with CentralSystem(database=str(Path(folder, "budget.db")), port=0, metrics_port=0, api_port=0) as csms:
            gc.collect()
            for name, found in (await budget(csms)).items():
                print(f"{name:<42} {found:7.2f}")


if __name__ == "__main__":
    uvloop.run(main())
