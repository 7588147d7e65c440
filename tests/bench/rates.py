"""How many MeterValues each server answers, a second and a CPU second of its own, and the latency at half of that."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
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


async def rates(
    folder: Path, collector: Collector, times: Times, results: Results, baseline: Path | None = None
) -> None:
    """Measure throughput and latency. All servers run, each loaded for a second in turn, so that noise hits all alike.

    `baseline`: another working tree of Wattspan, which is measured in the same turns.
    """
    kinds: dict[str, Callable[[], AbstractAsyncContextManager[Server]]] = {
        "plain": lambda: servers.plain(folder),
        "instrumented-out": lambda: servers.instrumented(folder, None),
        "instrumented": lambda: servers.instrumented(folder, collector),
        "sdk-out": lambda: servers.instrumented(folder, None, sdk_alone=True),
        "sdk": lambda: servers.instrumented(folder, collector, sdk_alone=True),
        "ocpp-go": lambda: servers.ocpp_go(folder),
        "off": lambda: servers.wattspan(folder, None),
        **{kind: lambda: servers.wattspan(folder, collector) for kind in WHOLE},
    }
    if baseline is not None:
        kinds[f"off{BASELINE}"] = lambda: servers.wattspan(folder, None, checkout=baseline)
        for kind in WHOLE:
            kinds[f"{kind}{BASELINE}"] = lambda: servers.wattspan(folder, collector, checkout=baseline)
    before = await collector.spans()
    async with AsyncExitStack() as stack:
        running = {kind: await stack.enter_async_context(run()) for kind, run in kinds.items()}
        pressed: dict[str, Pressed] = {}
        for kind, server in running.items():
            pressed[kind] = Pressed(server, Fleet(server.port, words=NEWER.get(kind.removesuffix(BASELINE), V16)))
            stack.callback(pressed[kind].fleet.close)
            pressed[kind].fleet.connect(CONNECTIONS)
            pressed[kind].fleet.begin_charging()
        for turn in range(-int(times.warm_up), times.turns):
            for kind in sorted(pressed, key=partial(_place, turn)):
                pressed[kind].press(counts=turn >= 0)
                _answer_pings(pressed)
        await _check(pressed, collector, before)
        for each in pressed.values():
            each.finish()
    results.raw["rates"] = {kind: each.rates for kind, each in pressed.items()}
    results.raw["cpu_rates"] = {kind: each.cpu_rate for kind, each in pressed.items()}
    rows = [
        ("on", "plain", "MeterValues, complete, over the ocpp package's plain server", 8.0),
        ("on", "ocpp-go", "MeterValues, complete, over ocpp-go's example CSMS", 2.0),
        ("on", "off", "MeterValues, telemetry on over telemetry off", 0.7),
        *((kind, "on", f"{_NAMES[kind]}, over 1.6's MeterValues", 0.9) for kind in NEWER),
    ]
    if baseline is not None:
        rows += [(kind, f"{kind}{BASELINE}", f"{kind}, over the baseline", 0.97) for kind in ("off", *WHOLE)]
    for ours, other, name, target in rows:
        results.add(_ratio(pressed[ours], pressed[other], name, target))
    for kind, (name, target) in INSTRUMENTED.items():
        results.add(_cost(pressed[kind], pressed["plain"], name, target))
    await _half(folder, collector, times, middle(pressed["on"].rates) / 2, results)


def _answer_pings(pressed: Mapping[str, "Pressed"]) -> None:
    """Answer those of servers whose turn it is not: a plain one closes after 40 s without."""
    for each in pressed.values():
        each.fleet.spin_once()


def _place(turn: int, kind: str) -> tuple[str, bool]:
    """Sort a server next to its baseline, one first and then the other: each leaves work to the one that follows."""
    return kind.removesuffix(BASELINE), kind.endswith(BASELINE) is (turn % 2 == 0)


def _cost(ours: "Pressed", other: "Pressed", name: str, target: float | None) -> Figure:
    """A row of the table: the CPU time of a message over the other server's."""
    detail = f"{1e6 / ours.cpu_rate:,.0f} and {1e6 / other.cpu_rate:,.0f} µs"
    return Figure(name=name, value=other.cpu_rate / ours.cpu_rate, target=target, unit="x", below=True, detail=detail)


INSTRUMENTED: Mapping[str, tuple[str, float | None]] = {
    "instrumented-out": ("CPU of a message, instrumented and sampled out, over the plain server's", 1.15),
    "instrumented": ("CPU of a message, instrumented with a live exporter, over the plain server's", 1.35),
    "sdk-out": ("the same with one span of the SDK alone, sampled out", None),
    "sdk": ("the same with one span of the SDK alone, with a live exporter", None),
}
"""The plain server with `OcppInstrumentor`; and with a span of the SDK a message, to see what that alone costs."""


def _ratio(ours: "Pressed", other: "Pressed", name: str, target: float) -> Figure:
    """A row of the table: the median of the turns' ratios. Its ratio a CPU second is in the details."""
    rate, other_rate = middle(ours.rates), middle(other.rates)
    value = middle([one / another for one, another in zip(ours.rates, other.rates, strict=True)])
    detail = (
        f"{rate:,.0f} and {other_rate:,.0f}/s; a CPU second {ours.cpu_rate / other.cpu_rate:.2f} x"
        f" ({ours.cpu_rate:,.0f} and {other.cpu_rate:,.0f})"
    )
    return Figure(name=name, value=value, target=target, unit="x", detail=detail)


NEWER = {
    "201-meter": new("ocpp2.0.1", events=False),
    "201-event": new("ocpp2.0.1", events=True),
    "21-meter": new("ocpp2.1", events=False),
    "21-event": new("ocpp2.1", events=True),
}
"""Readings of the same content in the words of 2.x, to the whole server."""
_NAMES = {
    "201-meter": "2.0.1 MeterValues",
    "201-event": "2.0.1 TransactionEvent",
    "21-meter": "2.1 MeterValues",
    "21-event": "2.1 TransactionEvent",
}
WHOLE = ("on", *NEWER)
BASELINE = " (baseline)"
"""Marks the servers of the other working tree."""


@dataclass(slots=True)
class Pressed:
    """A server that runs, and what it answered so far."""

    server: Server
    fleet: Fleet
    rates: list[float] = field(default_factory=list)
    """Messages a second, by turn."""
    cpu_rate: float = 0.0
    """Messages a CPU second of the server's own processes, over all turns and what they left to do afterwards."""
    answered: int = 0
    lost: int = 0
    _from_cpu_s: float = 0.0
    _from_answered: int = 0
    _from_s: float = 0.0

    def press(self, *, counts: bool) -> None:
        """Load the server for one turn."""
        if counts and not self.rates:
            self._from_cpu_s, self._from_answered = self.server.cpu_s(), self.answered
            self._from_s = time.monotonic()
        measured = self.fleet.closed_loop(TURN_S)
        if counts:
            self.rates.append(measured.rate)
        self.answered += measured.answers
        self.lost += measured.lost

    def finish(self, idle_share: float = 0.0) -> None:
        """Work out `cpu_rate`, once nothing is left to do, without the time of other servers' turns.

        `idle_share`: CPU seconds that the server takes in an idle second.
        """
        idle_s = time.monotonic() - self._from_s - len(self.rates) * TURN_S
        cpu_s = self.server.cpu_s() - self._from_cpu_s - idle_share * idle_s
        self.cpu_rate = (self.answered - self._from_answered) / cpu_s


async def _check(pressed: Mapping[str, Pressed], collector: Collector, before: int) -> None:
    """What must be true of Wattspan: each answered message is stored, each is a span that the Collector took."""
    for kind, each in pressed.items():
        if each.server.database is not None:
            rows = _readings(each.server.database)
            if each.lost or rows < each.answered:
                raise LoadError(f"{kind}: {each.lost} never answered; {each.answered} answered, {rows} stored")
    answered = sum(each.answered for kind, each in pressed.items() if kind.removesuffix(BASELINE) in WHOLE)
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
