"""Disturbs the nodes of a cluster, their database and their Redis at random, and reads the pages of all meanwhile.

Owns what is done and which claims about pages must hold at any time. Knows nothing of Wattspan's code.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
import psycopg

from stack.cluster_of_nodes import Cluster
from stack.process import START_S, ProgramError, eventually
from stack.resending import Ledger
from stack.servers import PLAIN
from support.databases import query
from support.postgres import PostgresServer
from support.redis_servers import RedisServer

SCRAPE_S = 1.0
PAGE_S = 5.0
"""A page that takes longer counts as absent, as a scraper's time-out has it."""
ABSENT_S = 30.0
"""Longest time that a charge point may be on no page after a death."""
SLACK_S = 8.0
"""What two rounds of the scraper may take in addition, on a busy machine."""
JUDGING_S = 15.0
"""After an outage of PostgreSQL nobody is dead for so long."""
LEASE_S = 15.0
CALM_S = 60.0
SHOWN = re.compile(r'^(ocpp_cp_connected|ocpp_tx_total|ocpp_cp_energy_total_wh){cp_id="([^"]+)"} (\S+)$', re.MULTILINE)

Page = Mapping[str, Mapping[str, float]]
"""Values by charge point, by metric."""


@dataclass(slots=True)
class Nemesis:
    """What disturbs a cluster. `longest_pause_s`: of a node that is stopped."""

    cluster: Cluster
    postgres: PostgresServer
    redis: RedisServer
    flapping: Ledger
    rng: random.Random
    longest_pause_s: float
    connected: Callable[[], int]
    """How many charge points of the fleet are connected."""
    enough: int
    """So many are waited for, at most CALM_S, before the next disturbance: one that hits nobody shows nothing."""
    done: list[str] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    """Of PostgreSQL, monotonic seconds."""
    deaths: list[float] = field(default_factory=list)
    """Unix times of kills."""
    _away: set[int] = field(default_factory=set)
    """Nodes that don't serve."""
    _returning: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, seconds: float) -> None:
        """Disturb for so long. Every kind of disturbance comes before any comes again."""
        until = time.monotonic() + seconds
        kinds: Sequence[Callable[[], Awaitable[str]]] = (
            self._kill_node,
            self._pause_node,
            self._restart_postgres,
            self._hang_postgres,
            self._restart_redis,
            self._hang_redis,
            self._flush_redis,
            self._flap,
        )
        deck: list[Callable[[], Awaitable[str]]] = []
        while time.monotonic() < until:
            if not deck:
                deck = [*kinds]
                self.rng.shuffle(deck)
            what = await deck.pop()()
            if what:
                self.done.append(what)
                sys.stdout.write(f"{time.strftime('%H:%M:%S')} {what}\n")
            await asyncio.sleep(self.rng.uniform(1, 6))
            await self._recovered()

    async def _recovered(self) -> None:
        async def are_back() -> bool:
            return self.connected() >= self.enough

        with suppress(AssertionError):
            await eventually(are_back, within_s=CALM_S)

    async def heal(self) -> None:
        """Let everything return, and wait until all nodes are ready."""
        await asyncio.gather(*self._returning)
        for node in self.cluster.nodes:
            await eventually(lambda node=node: _is_ready(node.metrics), within_s=START_S)  # type: ignore[misc]

    def excused_s(self, since: float, until: float) -> float:
        """Return for how much of this time no page could have the charge points: PostgreSQL was away, or just back."""
        outages = ((max(since, began), min(until, ended + JUDGING_S)) for began, ended in self.outages)
        return sum(ended - began for began, ended in outages if ended > began)

    def _choose(self) -> int | None:
        """Return a node that serves; None if at most one does."""
        serving = [number for number in range(len(self.cluster.nodes)) if number not in self._away]
        return self.rng.choice(serving) if len(serving) > 1 else None

    async def _kill_node(self) -> str:
        if (number := self._choose()) is None:
            return ""
        # At once it takes its charge points again; later the others have adopted them.
        away_s = self.rng.choice((0.0, LEASE_S + 5.0))
        self._away.add(number)
        self.deaths.append(time.time())
        await self.cluster.nodes[number].kill()
        self._later(number, away_s, lambda: self._start(number))
        return f"killed {self.cluster.names[number]}, to be started after {away_s:.0f} s"

    async def _start(self, number: int) -> None:
        """Start a node, as a supervisor does: again when PostgreSQL was away, or it took longer than START_S."""
        until, node = time.monotonic() + 4 * START_S, self.cluster.nodes[number]
        while True:
            try:
                await node.start()
            except ProgramError as error:
                is_late = node.program.exit_code is None
                if not (is_late or "Error: database" in error.log_tail) or time.monotonic() > until:
                    raise
                if is_late:
                    await node.kill()
                await asyncio.sleep(SCRAPE_S)
            else:
                return

    async def _pause_node(self) -> str:
        if (number := self._choose()) is None:
            return ""
        away_s = self.rng.uniform(20, self.longest_pause_s)
        self._away.add(number)
        self.cluster.nodes[number].program.pause()

        async def resume() -> None:
            self.cluster.nodes[number].program.resume()

        self._later(number, away_s, resume)
        return f"stopped {self.cluster.names[number]} for {away_s:.0f} s"

    def _later(self, number: int, away_s: float, returns: Callable[[], Awaitable[None]]) -> None:
        async def act() -> None:
            await asyncio.sleep(away_s)
            await returns()
            self._away.discard(number)

        task = asyncio.create_task(act())
        self._returning.add(task)

    async def _restart_postgres(self) -> str:
        mode = self.rng.choice(("fast", "immediate"))
        async with self._outage():
            await asyncio.to_thread(self.postgres.stop, mode=mode)
            await asyncio.to_thread(self.postgres.start)
        return f"restarted PostgreSQL, {mode}"

    async def _hang_postgres(self) -> str:
        hung_s = self.rng.uniform(2, 12)
        async with self._outage():
            pids = self.postgres.pids()
            self.postgres.signal(signal.SIGSTOP, pids)
            await asyncio.sleep(hung_s)
            self.postgres.signal(signal.SIGCONT, pids)
        return f"hung PostgreSQL for {hung_s:.0f} s"

    @asynccontextmanager
    async def _outage(self) -> AsyncIterator[None]:
        began = time.monotonic()
        self.outages.append((began, float("inf")))
        yield
        await eventually(lambda: asyncio.to_thread(self.postgres.accepts))
        self.outages[-1] = began, time.monotonic()

    async def _restart_redis(self) -> str:
        down_s = self.rng.uniform(0, 5)
        await asyncio.to_thread(self.redis.kill)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self.redis.start)
        return f"killed Redis, started after {down_s:.0f} s"

    async def _hang_redis(self) -> str:
        hung_s = self.rng.uniform(2, 12)
        self.redis.pause()
        await asyncio.sleep(hung_s)
        self.redis.resume()
        return f"hung Redis for {hung_s:.0f} s"

    async def _flush_redis(self) -> str:
        await asyncio.to_thread(self.redis.command, "FLUSHALL")
        return "flushed Redis"

    async def _flap(self) -> str:
        flapping_s = self.rng.uniform(3, 8)
        for charger in self.flapping.chargers:
            charger.flapping = True
        await asyncio.sleep(flapping_s)
        for charger in self.flapping.chargers:
            charger.flapping = False
        return f"{len(self.flapping.chargers)} charge points flapped for {flapping_s:.0f} s"


@dataclass(slots=True)
class Scraper:
    """Reads the pages of all nodes each second, and notes which claims did not hold in `faults`."""

    cluster: Cluster
    database: str
    excused_s: Callable[[float, float], float]
    faults: list[str] = field(default_factory=list)
    rounds: int = 0
    moved: int = 0
    """Charge points that were on two pages of a round because they moved between the two."""
    longest_absence: tuple[float, str] = (0.0, "")
    """Seconds that a charge point was on no page, apart from what is excused, and which."""
    _owners: Mapping[str, tuple[str, int]] | None = None
    _unjudged: list[Mapping[str, Sequence[str]]] = field(default_factory=list)
    _seen_at: dict[str, float] = field(default_factory=dict)
    _highest: dict[tuple[str, str], float] = field(default_factory=dict)

    async def run(self) -> None:
        """Read until cancelled."""
        async with httpx.AsyncClient(timeout=PAGE_S, trust_env=False, **PLAIN) as client:
            while True:
                began = time.monotonic()
                await self._round(client)
                await asyncio.sleep(max(0.0, began + SCRAPE_S - time.monotonic()))

    async def _round(self, client: httpx.AsyncClient) -> None:
        if self._owners is None:
            self._owners = await self._read_owners()
        pages = await asyncio.gather(*(page(client, node.metrics) for node in self.cluster.nodes))
        now = time.monotonic()
        on: dict[str, list[str]] = defaultdict(list)
        for name, each in zip(self.cluster.names, pages, strict=True):
            for cp_id in each.get("ocpp_cp_connected", {}):
                on[cp_id].append(name)
        self.rounds += 1
        self._unjudged.append(on)
        self._note_absences(on.keys(), now)
        self._note_totals(pages)
        if (owners := await self._read_owners()) is not None:
            for each_on in self._unjudged:
                self._judge(each_on, self._owners or {}, owners)
            self._owners = owners
            self._unjudged.clear()

    def _judge(
        self,
        on: Mapping[str, Sequence[str]],
        before: Mapping[str, tuple[str, int]],
        after: Mapping[str, tuple[str, int]],
    ) -> None:
        """Compare one round with the owners before and after it.

        A charge point that changed its owner meanwhile may be on both pages: they are not read in the same instant.
        """
        for cp_id, names in on.items():
            if before.get(cp_id) != after.get(cp_id):
                self.moved += len(names) > 1
            elif len(names) > 1 or names[0] != after[cp_id][0]:
                self.faults.append(f"round {self.rounds}: {cp_id} of {after[cp_id]} is on the pages of {names}")

    def _note_absences(self, present: Iterable[str], now: float) -> None:
        for cp_id in present:
            self._note_absence(cp_id, now)
            self._seen_at[cp_id] = now

    def _note_absence(self, cp_id: str, now: float) -> None:
        since = self._seen_at.get(cp_id, now)
        absent_s = now - since - self.excused_s(since, now)
        self.longest_absence = max(self.longest_absence, (absent_s, cp_id))

    def _note_totals(self, pages: Sequence[Page]) -> None:
        for name in ("ocpp_tx_total", "ocpp_cp_energy_total_wh"):
            for cp_id, value in total(pages, name, max).items():
                before = self._highest.get((name, cp_id), 0.0)
                if value < before:
                    self.faults.append(f"round {self.rounds}: {name} of {cp_id} fell from {before} to {value}")
                self._highest[name, cp_id] = max(value, before)

    def end(self) -> None:
        """Note who never came back."""
        for cp_id in self._seen_at:
            self._note_absence(cp_id, time.monotonic())
        if self.longest_absence[0] > ABSENT_S + SLACK_S:
            self.faults.append("on no page for {:.0f} s: {}".format(*self.longest_absence))

    async def _read_owners(self) -> Mapping[str, tuple[str, int]] | None:
        """Return owner and epoch of each charge point; None while PostgreSQL does not answer."""
        sql = "SELECT cp_id, owner, owner_epoch FROM charge_points"
        try:
            async with asyncio.timeout(PAGE_S):
                rows = await asyncio.to_thread(query, self.database, sql)
        except (psycopg.Error, TimeoutError):
            return None
        return {cp_id: (owner, epoch) for cp_id, owner, epoch in rows}


async def page(client: httpx.AsyncClient, address: str) -> Page:
    """What one node shows of charge points; nothing if it does not answer."""
    try:
        async with asyncio.timeout(PAGE_S):
            text = (await client.get(f"http://{address}/metrics")).text
    except (httpx.HTTPError, TimeoutError):
        return {}
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, cp_id, value in SHOWN.findall(text):
        found[name][cp_id] = float(value)
    return found


def total(pages: Sequence[Page], name: str, of: Callable[[Sequence[float]], float] = sum) -> Mapping[str, float]:
    """Return the values of a metric by charge point, combined from all pages."""
    values: dict[str, list[float]] = defaultdict(list)
    for each in pages:
        for cp_id, value in each.get(name, {}).items():
            values[cp_id].append(value)
    return {cp_id: of(each) for cp_id, each in values.items()}


async def _is_ready(metrics: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, **PLAIN) as client:
        try:
            return (await client.get(f"http://{metrics}/readyz")).is_success
        except httpx.HTTPError:
            return False
