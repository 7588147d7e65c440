"""Nodes of one fleet: PostgreSQL over SQLite, two nodes over one, commands to another node, a node's end, idle fleets.

The nodes are on the servers' core; PostgreSQL and Redis are on the load generator's.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from bench import idle, servers
from bench.figures import Figure, Results, middle
from bench.load import Beside, Fleet, LoadError
from bench.rates import TURN_S, Pressed, Times
from bench.servers import Collector, Server
from bench.storm import LONGEST_S, PASSWORD, TARGET_S, come, log_in, register
from bench.words import V16
from support.chargers import Charger
from support.databases import query
from support.postgres import PostgresServer
from support.redis_servers import RedisServer
from wattspan.csms.security.credentials import new_secret

COMMANDS = 300
CONNECTIONS = 300
"""More than in the other rows: each waits for two commits, so that with fewer the disk's sync bounds the rate."""
NODES = ("north", "south", "west")
FIRST = -15
"""The niceness of PostgreSQL beside the load generator."""
SETTLE_S = 3.0
IDLE_S = 10.0
FOUND_S = 20.0
"""Within which the nodes have found each other."""


class Engines:
    """A PostgreSQL and a Redis of this run."""

    def __init__(self, folder: Path, collector: Collector, postgres: PostgresServer, redis: RedisServer) -> None:
        self._folder = folder
        self._collector = collector
        self._postgres = postgres
        self._redis = redis

    def database(self) -> str:
        """Return the URL of a new database; the first server that opens it creates the tables."""
        return self._postgres.create()

    def put_first(self) -> None:
        """Let PostgreSQL's present processes run as soon as they can, as far as this user may.

        The load generator on their core never sleeps: otherwise each of their steps may wait for its time slice.
        """
        for pid in self._postgres.pids():
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, pid, FIRST)
                Path(f"/proc/{pid}/autogroup").write_text(str(FIRST))  # each is a session of its own

    def node(self, name: str, database: str, **options: str) -> Any:
        """Return a node that is not started yet."""
        own = {"WATTSPAN_DATABASE": database, "WATTSPAN_REDIS": self._redis.url, "WATTSPAN_NODE_NAME": name}
        own |= {"WATTSPAN_ADMIN_PASSWORD": PASSWORD, **options}
        return servers.wattspan(self._folder, self._collector, **own)


async def cluster(folder: Path, collector: Collector, times: Times, many: int, held: int, results: Results) -> None:
    """The rows on nodes. `many` reconnect after the end of their node; three nodes hold `held` idle ones."""
    results.raw["cluster_load_before"] = os.getloadavg()
    with PostgresServer.run() as postgres, RedisServer.run() as redis:
        engines = Engines(folder, collector, postgres, redis)
        await _throughput(folder, collector, engines, times, results)
        await _commands(engines, results)
        await _taken_over(engines, many, results)
        await _idle(folder, engines, held, results)
    results.raw["cluster_load_after"] = os.getloadavg()


async def _throughput(folder: Path, collector: Collector, engines: Engines, times: Times, results: Results) -> None:
    shared, postgres = engines.database(), engines.database()
    kinds: dict[str, Callable[[], Any]] = {
        "sqlite": lambda: servers.wattspan(folder, collector),
        "postgres": lambda: servers.wattspan(folder, collector, WATTSPAN_DATABASE=postgres),
        "alone": lambda: engines.node("alone", engines.database()),
        "north": lambda: engines.node("north", shared),
        "south": lambda: engines.node("south", shared),
        "first": lambda: engines.node("first", engines.database()),
        "second": lambda: engines.node("second", engines.database()),
    }
    async with AsyncExitStack() as stack:
        running = {kind: await stack.enter_async_context(run()) for kind, run in kinds.items()}
        pressed: dict[str, Pressed] = {}
        for kind, server in running.items():
            pressed[kind] = Pressed(server, Fleet(server.port, name=f"{kind.upper()}-"))
            stack.callback(pressed[kind].fleet.close)
            pressed[kind].fleet.connect(CONNECTIONS)
            pressed[kind].fleet.begin_charging()
        pair = Pair(pressed.pop("north"), pressed.pop("south"))
        strangers = Pair(pressed.pop("first"), pressed.pop("second"))
        engines.put_first()
        for turn in range(-int(times.warm_up), times.turns):
            for each in (*pressed.values(), pair, strangers):
                each.press(counts=turn >= 0)
                await asyncio.sleep(0)
        shares = await _idle_shares([*running.values()], [*pressed.values(), pair, strangers])
        for kind, one in pressed.items():
            one.finish(shares[running[kind].port])
        for both in (pair, strangers):
            both.finish(shares)
        stored = query(shared, "SELECT count(*) FROM meter_readings")[0][0]
        if pair.lost or stored < pair.answered:
            raise LoadError(f"two nodes: {pair.lost} never answered; {pair.answered} answered, {stored} stored")
    results.raw["cluster_rates"] = {kind: each.rates for kind, each in pressed.items()} | {"pair": pair.rates}
    for ours, name, target in (
        ("postgres", "MeterValues, one server on PostgreSQL over SQLite", 0.75),
        ("alone", "MeterValues, a node on PostgreSQL over a server on SQLite", 0.75),
    ):
        one, other = pressed[ours], pressed["sqlite"]
        detail = (
            f"{middle(one.rates):,.0f} and {middle(other.rates):,.0f}/s; a CPU second "
            f"{one.cpu_rate / other.cpu_rate:.2f} x ({one.cpu_rate:,.0f} and {other.cpu_rate:,.0f})"
        )
        value = middle(one.rates) / middle(other.rates)
        results.add(Figure(name=name, value=value, target=target, unit="x", detail=detail))
    alone = pressed["alone"].cpu_rate
    detail = (
        f"{_rates(pair.cpu_rates)} and {_rates(strangers.cpu_rates)}; together {middle(pair.rates):,.0f}/s and "
        f"{middle(strangers.rates):,.0f}/s, all on one core"
    )
    name = "messages a CPU second of each of two nodes, over those of two of different fleets"
    value = min(pair.cpu_rates) / min(strangers.cpu_rates)
    results.add(Figure(name=name, value=value, target=0.9, unit="x", detail=detail))
    name = "the same, over those of a node that has the core alone"
    detail = f"{_rates(pair.cpu_rates)} and {alone:,.0f}"
    results.add(Figure(name=name, value=min(pair.cpu_rates) / alone, target=None, unit="x", detail=detail))


def _rates(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)


async def _idle_shares(running: Sequence[Server], pressed: Sequence["Pressed | Pair"]) -> dict[int, float]:
    """Return the CPU seconds that each server takes in an idle second, by its port.

    A server is idle while others are loaded. That time is part of what it takes, but not of what its messages take.
    """
    await _answer_pings(pressed, SETTLE_S)
    before = [server.cpu_s() for server in running]
    await _answer_pings(pressed, IDLE_S)
    return {server.port: (server.cpu_s() - cpu_s) / IDLE_S for server, cpu_s in zip(running, before, strict=True)}


async def _answer_pings(pressed: Sequence["Pressed | Pair"], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for each in pressed:
            each.fleet.spin_once()
        await asyncio.sleep(0.05)


class Pair:
    """Two nodes that are loaded at the same time, by charge points of one loop."""

    def __init__(self, *nodes: Pressed) -> None:
        self.rates: list[float] = []
        self.cpu_rates: Sequence[float] = ()
        """Messages a CPU second of each node."""
        self.answered = 0
        self.lost = 0
        self.fleet = nodes[0].fleet
        """Of both nodes."""
        self._servers = [node.server for node in nodes]
        self._chargers = [list(node.fleet.chargers) for node in nodes]
        for node in nodes[1:]:
            self.fleet.join(node.fleet)
        self._from: list[tuple[int, float]] = []
        self._from_s = 0.0

    def press(self, *, counts: bool) -> None:
        """Load both for one turn."""
        if counts and not self.rates:
            self._from, self._from_s = self._now(), time.monotonic()
        measured = self.fleet.closed_loop(TURN_S)
        if counts:
            self.rates.append(measured.rate)
        self.answered += measured.answers
        self.lost += measured.lost

    def finish(self, idle_shares: Mapping[int, float]) -> None:
        """Work out `cpu_rates`, once nothing is left to do, without the time of other servers' turns."""
        idle_s = time.monotonic() - self._from_s - len(self.rates) * TURN_S
        self.cpu_rates = [
            (sent - from_sent) / (cpu_s - from_cpu_s - idle_shares[server.port] * idle_s)
            for server, (sent, cpu_s), (from_sent, from_cpu_s) in zip(
                self._servers, self._now(), self._from, strict=True
            )
        ]

    def _now(self) -> list[tuple[int, float]]:
        """Messages sent to each node, and its CPU seconds."""
        return [
            (sum(charger.sent for charger in chargers), server.cpu_s())
            for chargers, server in zip(self._chargers, self._servers, strict=True)
        ]


async def _commands(engines: Engines, results: Results) -> None:
    """What a command takes longer whose charge point is connected to another node, with everything over HTTP."""
    database = engines.database()
    async with (
        engines.node("north", database) as north,
        engines.node("south", database) as south,
        Charger(f"ws://127.0.0.1:{north.port}/COMMANDED") as charger,
        _operator(north) as here,
        _operator(south) as there,
    ):
        await charger.call("BootNotification", V16.boot()[1])
        answering = asyncio.create_task(_answer(charger))
        try:
            await _found(there)
            took: dict[str, list[float]] = {"local": [], "routed": []}
            for number in range(-20, COMMANDS):
                for way, http in (("local", here), ("routed", there)):
                    seconds = await _reset(http)
                    if number >= 0:
                        took[way].append(seconds)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
    local_ms, routed_ms = (middle(took[way]) * 1e3 for way in ("local", "routed"))
    results.raw["routed_commands_s"] = took
    name = "a command through another node, added, median"
    detail = f"{local_ms:.2f} ms on the node itself, {routed_ms:.2f} ms through another, {COMMANDS} of each in turn"
    results.add(Figure(name=name, value=routed_ms - local_ms, target=2, unit="ms", below=True, detail=detail))


@asynccontextmanager
async def _operator(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://127.0.0.1:{server.api_port}/api/v1"
    async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False) as http:
        answer = await http.post("/session", json={"name": "admin", "password": PASSWORD})
        http.headers["X-CSRF-Token"] = answer.raise_for_status().json()["csrf_token"]
        yield http


async def _answer(charger: Charger) -> None:
    while True:
        frame = json.loads(await charger.socket.recv())
        if frame[0] == 2:
            await charger.reply(frame, {"status": "Accepted"})


async def _reset(http: httpx.AsyncClient) -> float:
    began = time.perf_counter()
    answer = await http.post("/charge-points/COMMANDED/commands/Reset", json={"type": "Soft"})
    if not answer.is_success:
        raise LoadError(f"a command was answered with {answer.status_code}: {answer.text}")
    return time.perf_counter() - began


async def _found(http: httpx.AsyncClient) -> None:
    """Wait until a command through this node succeeds."""
    deadline = time.monotonic() + FOUND_S
    while True:
        try:
            await _reset(http)
        except LoadError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            return


async def _taken_over(engines: Engines, many: int, results: Results) -> None:
    """All charge points of a node that is killed reconnect to another at one moment."""
    secrets = {f"STORM{number:05}": new_secret() for number in range(many)}
    database, options = engines.database(), {"WATTSPAN_UNKNOWN_CHARGE_POINTS": "reject"}
    async with engines.node("north", database, **options) as north, engines.node("south", database, **options) as south:
        await register(database, secrets)
        first, _ = come(secrets, north.port, {})
        await asyncio.sleep(SETTLE_S)
        north.program.child.kill()
        await north.program.child.wait()
        cookie = f"Cookie: {log_in(south.api_port)}\r\n"
        api = south.api_port, "/api/v1/charge-points?limit=50", cookie
        comers, pages = come(secrets, south.port, {"metrics": (south.metrics_port, "/metrics", ""), "api": api})
        owned = query(database, "SELECT count(*) FROM charge_points WHERE owner = 'south'")[0][0]
        for each in (*first, *comers):
            with suppress(OSError):
                each.sock.close()
    if owned != many:
        raise LoadError(f"south has {owned} of {many}")
    waits = sorted(each.back_s or LONGEST_S for each in comers)
    results.raw["taken_over"] = {"longest_s": waits[-1], "median_s": middle(waits), "pages_s": pages.seconds}
    detail = (
        f"all back, none refused; median {middle(waits):.1f} s; meanwhile /metrics took at most "
        f"{max(pages.seconds['metrics']):.2f} s, the API {max(pages.seconds['api']):.2f} s"
    )
    name = f"longest wait of {many:,} whose node is killed, with credentials"
    results.add(Figure(name=name, value=waits[-1], target=TARGET_S, unit="s", below=True, detail=detail))


async def _idle(folder: Path, engines: Engines, count: int, results: Results) -> None:
    """What a fleet costs three nodes that only stays connected. Memory is that of all nodes."""
    database, of_each = engines.database(), count // len(NODES)
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(engines.node(name, database)) for name in NODES]
        await asyncio.sleep(SETTLE_S)
        empty = sum(node.memory() for node in nodes)
        connected_s = await stack.enter_async_context(idle.connected(folder, [node.port for node in nodes], of_each))
        await asyncio.sleep(SETTLE_S)
        each_kib = (sum(node.memory() for node in nodes) - empty) / (of_each * len(NODES)) / 1024
        pages = [_get(node.metrics_port, "/metrics") for node in nodes]
        cookie = f"Cookie: {log_in(nodes[0].api_port)}\r\n"
        lists = [_get(nodes[0].api_port, "/api/v1/charge-points?limit=50", cookie) for _ in range(5)]
        sums = [_get(nodes[0].api_port, "/api/v1/charge-points/summary", cookie) for _ in range(5)]
    results.raw["idle"] = {
        "charge_points": count,
        "connected_s": connected_s,
        "pages_s": pages,
        "lists_s": lists,
        "sums_s": sums,
    }
    detail = (
        f"all connected in {connected_s:.0f} s; /metrics of a node {max(pages):.2f} s; a list {middle(lists):.3f} s, "
        f"the summary {middle(sums):.3f} s"
    )
    name = f"memory for a charge point, {count:,} idle on three nodes"
    results.add(Figure(name=name, value=each_kib, target=40, unit="KiB", below=True, detail=detail))


def _get(port: int, path: str, headers: str = "") -> float:
    """Seconds of a GET."""
    request = Beside(port, path, headers)
    request.sock.settimeout(LONGEST_S)
    try:
        while not request.done:
            request.receive()
    finally:
        request.close()
    return request.seconds
