"""How many MeterValues a second each server answers, and how long it takes at half of that."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import servers
from bench.figures import Figure, Results, middle
from bench.load import Fleet, LoadError
from bench.servers import Collector, Server
from bench.words import V16, new

CONNECTIONS = 100
TURN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds before it counts and of the measurement of latency; how many turns of TURN_S each server gets."""

    warm_up: float
    measured: float
    turns: int


async def rates(folder: Path, collector: Collector, times: Times, results: Results) -> None:
    """The rows on throughput and latency. All servers run, and each is pressed for a second in turn: so noise hits
    all alike."""
    kinds: dict[str, Callable[[], AbstractAsyncContextManager[Server]]] = {
        "plain": lambda: servers.plain(folder),
        "ocpp-go": lambda: servers.ocpp_go(folder),
        "off": lambda: servers.wattspan(folder, None),
        **{kind: lambda: servers.wattspan(folder, collector) for kind in WHOLE},
    }
    before = await collector.spans()
    async with AsyncExitStack() as stack:
        running = {kind: await stack.enter_async_context(run()) for kind, run in kinds.items()}
        pressed: dict[str, Pressed] = {}
        for kind, server in running.items():
            pressed[kind] = Pressed(server, Fleet(server.port, words=NEWER.get(kind, V16)))
            stack.callback(pressed[kind].fleet.close)
            pressed[kind].fleet.connect(CONNECTIONS)
            pressed[kind].fleet.begin_charging()
        for turn in range(-int(times.warm_up), times.turns):
            for each in pressed.values():
                each.press(counts=turn >= 0)
        await _check(pressed, collector, before)
    results.raw["rates"] = {kind: each.rates for kind, each in pressed.items()}
    plain, go, off, on = (middle(pressed[kind].rates) for kind in ("plain", "ocpp-go", "off", "on"))
    for name, value, target in (
        ("MeterValues/s, whole, over the ocpp package's plain server", on / plain, 8),
        ("MeterValues/s, whole, over ocpp-go's example CSMS", on / go, 2),
        ("MeterValues/s, telemetry on over telemetry off", on / off, 0.7),
    ):
        detail = f"{on:,.0f}/s on, {off:,.0f}/s off, {plain:,.0f}/s plain, {go:,.0f}/s ocpp-go"
        results.add(Figure(name=name, value=value, target=target, unit="x", detail=detail))
    for kind in NEWER:
        rate = middle(pressed[kind].rates)
        detail = f"{rate:,.0f}/s, 1.6 {on:,.0f}/s"
        results.add(Figure(name=f"{_NAMES[kind]}, over 1.6's", value=rate / on, target=0.9, unit="x", detail=detail))
    await _half(folder, collector, times, on / 2, results)


NEWER = {
    "201-meter": new("ocpp2.0.1", events=False),
    "201-event": new("ocpp2.0.1", events=True),
    "21-meter": new("ocpp2.1", events=False),
    "21-event": new("ocpp2.1", events=True),
}
"""Readings of the same content in the words of 2.x, to the whole server."""
_NAMES = {
    "201-meter": "2.0.1 MeterValues/s",
    "201-event": "2.0.1 TransactionEvent/s",
    "21-meter": "2.1 MeterValues/s",
    "21-event": "2.1 TransactionEvent/s",
}
WHOLE = ("on", *NEWER)


@dataclass(slots=True)
class Pressed:
    """A server that runs, and what it answered so far."""

    server: Server
    fleet: Fleet
    rates: list[float] = field(default_factory=list)
    answered: int = 0
    lost: int = 0

    def press(self, *, counts: bool) -> None:
        """A turn more."""
        measured = self.fleet.closed_loop(TURN_S)
        if counts:
            self.rates.append(measured.rate)
        self.answered += measured.answers
        self.lost += measured.lost


async def _check(pressed: Mapping[str, Pressed], collector: Collector, before: int) -> None:
    """What must be true of Wattspan: each answered message is stored, each is a span that the Collector took."""
    for kind, each in pressed.items():
        if each.server.database is not None:
            rows = _readings(each.server.database)
            if each.lost or rows < each.answered:
                raise LoadError(f"{kind}: {each.lost} never answered; {each.answered} answered, {rows} stored")
    answered = sum(pressed[kind].answered for kind in WHOLE)
    spans = await servers.settled(collector, before + answered) - before
    if spans < answered:
        raise LoadError(f"{answered} answered, {spans} spans at the Collector")


async def _half(folder: Path, collector: Collector, times: Times, rate: float, results: Results) -> None:
    async with servers.wattspan(folder, collector) as server:
        fleet = Fleet(server.port)
        try:
            fleet.connect(CONNECTIONS)
            fleet.begin_charging()
            fleet.paced(rate, times.warm_up, CONNECTIONS)
            measured = fleet.paced(rate, times.measured, CONNECTIONS)
        finally:
            fleet.close()
    if measured.lost:
        raise LoadError(f"{measured.lost} messages were never answered")
    results.raw["half"] = {"rate": measured.rate} | {
        f"p{share * 100:g}_ms": measured.percentile_s(share) * 1e3 for share in (0.5, 0.95, 0.99, 0.999, 1.0)
    }
    p99_ms = measured.percentile_s(0.99) * 1e3
    detail = f"{measured.rate:,.0f}/s; median {measured.percentile_s(0.5) * 1e3:.2f} ms"
    results.add(
        Figure(name="latency at half the peak, p99", value=p99_ms, target=20, unit="ms", below=True, detail=detail)
    )


def _readings(database: Path) -> int:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        (rows,) = connection.execute("SELECT count(*) FROM meter_readings").fetchone()
    finally:
        connection.close()
    return int(rows)
