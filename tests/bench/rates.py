"""How many MeterValues a second each server answers, and how long it takes at half of that."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import servers
from bench.figures import Figure, Results, middle
from bench.load import Fleet, LoadError, Measured
from bench.servers import Collector, Server
from bench.words import V16, Words, new

CONNECTIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long and how often; seconds."""

    warm_up: float
    measured: float
    rounds: int


async def rates(folder: Path, collector: Collector, times: Times, results: Results) -> None:
    """The rows on throughput and latency: every server in turn, round after round, so that noise hits all alike."""
    kinds: dict[str, Callable[[], AbstractAsyncContextManager[Server]]] = {
        "plain": lambda: servers.plain(folder),
        "ocpp-go": lambda: servers.ocpp_go(folder),
        "off": lambda: servers.wattspan(folder, None),
        "on": lambda: servers.wattspan(folder, collector),
        **{kind: lambda: servers.wattspan(folder, collector) for kind in NEWER},
    }
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(times.rounds):
        for kind, run in kinds.items():
            async with run() as server, _checked(server, collector if kind in WHOLE else None) as check:
                measured = await _peak(server, times, check, NEWER.get(kind, V16))
            found[kind].append(measured.rate)
            print(f"  round {number + 1}: {_NAMES[kind]:<32} {measured.rate:>8,.0f}/s{_lost(measured)}", flush=True)
    results.raw["rates"] = found
    plain, go, off, on = (middle(found[kind]) for kind in ("plain", "ocpp-go", "off", "on"))
    for name, value, target in (
        ("MeterValues/s, whole, over the ocpp package's plain server", on / plain, 8),
        ("MeterValues/s, whole, over ocpp-go's example CSMS", on / go, 2),
        ("MeterValues/s, telemetry on over telemetry off", on / off, 0.7),
    ):
        results.add(Figure(name=name, value=value, target=target, unit="x", detail=f"{on:,.0f}/s on, {off:,.0f}/s off"))
    for kind in NEWER:
        rate = middle(found[kind])
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
WHOLE = {"on", *NEWER}
_NAMES = {
    "plain": "ocpp package, plain server",
    "ocpp-go": "ocpp-go, example CSMS",
    "off": "Wattspan, telemetry off",
    "on": "Wattspan, whole",
    "201-meter": "2.0.1 MeterValues/s",
    "201-event": "2.0.1 TransactionEvent/s",
    "21-meter": "2.1 MeterValues/s",
    "21-event": "2.1 TransactionEvent/s",
}


class Check:
    """What must be true of a measurement of Wattspan: each answered message is stored, each is an exported span."""

    def __init__(self, server: Server, collector: Collector | None, spans: int) -> None:
        self._server = server
        self._collector = collector
        self._spans = spans

    async def done(self, answered: int) -> None:
        """Raise LoadError unless `answered` MeterValues are in the database and their spans at the Collector."""
        if self._server.database is not None:
            rows = _readings(self._server.database)
            if rows < answered:
                raise LoadError(f"{answered} answered, {rows} stored")
        if self._collector is not None:
            spans = await servers.settled(self._collector, self._spans + answered) - self._spans
            if spans < answered:
                raise LoadError(f"{answered} answered, {spans} spans at the Collector")


@asynccontextmanager
async def _checked(server: Server, collector: Collector | None) -> AsyncIterator[Check]:
    yield Check(server, collector, 0 if collector is None else await collector.spans())


async def _peak(server: Server, times: Times, check: Check, words: Words) -> Measured:
    fleet = Fleet(server.port, words=words)
    try:
        fleet.connect(CONNECTIONS)
        fleet.begin_charging()
        warm = fleet.closed_loop(times.warm_up)
        measured = fleet.closed_loop(times.measured)
        await check.done(warm.answers + measured.answers)
    finally:
        fleet.close()
    if measured.lost and server.database is not None:
        raise LoadError(f"{measured.lost} messages were never answered")
    return measured


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


def _lost(measured: Measured) -> str:
    return f"   ({measured.lost} never answered)" if measured.lost else ""
