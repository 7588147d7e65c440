"""Three nodes behind HAProxy, disturbed at random for minutes: books, pages, traces and chargers agree to the Wh.

`make nemesis` runs it for ten minutes with 1,000 charge points, and `make e2e` for one minute with 60.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stack.cluster_of_nodes import Cluster
from stack.nemesis import Nemesis, Scraper
from stack.process import Program, eventually, running
from stack.resending import assert_shown, assert_stored, load
from stack.simulated_fleet import PREFIX
from stack.toolchain import ROOT
from support.databases import query
from support.otlp import Receiver, receiver
from support.postgres import PostgresServer
from support.redis_servers import RedisServer

NAMES = ("north", "south", "west")
FLAPPING = 3
FLEET_END_S = 300.0
EXPORTED_S = 10.0
SESSION = "charging session"
EXPORT_S = 3.0
"""What a node had not exported when it was killed is lost: the spans of these seconds before."""


class Form(NamedTuple):
    """How long a run is, over how many charge points."""

    seconds: int
    charge_points: int
    seed: int


@pytest.fixture
def form(request: pytest.FixtureRequest) -> Form:
    return Form(*(int(request.config.getoption(f"--nemesis-{each}")) for each in ("s", "cps", "seed")))


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer.run() as server:
        yield server


@pytest.fixture
def traces() -> Iterator[Receiver]:
    with receiver(keep=_of_session) as received:
        yield received


def _of_session(span: Any) -> bool:
    return span.name == SESSION or (
        span.kind == span.SPAN_KIND_INTERNAL
        and any(each.key == "ocpp.transaction_id" for each in span.attributes)
        and not span.name.startswith("after ")
    )


@pytest.mark.timeout(0)
async def test_whatever_fails_the_database_the_pages_the_traces_and_the_chargers_agree(
    tmp_path: Path,
    postgres: PostgresServer,
    redis: RedisServer,
    traces: Receiver,
    form: Form,
    record_property: Callable[[str, object], None],
) -> None:
    database = postgres.empty()
    environment = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{traces.endpoint}/v1/traces",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "WATTSPAN_HANDLING_BY_CHARGE_POINT": "false",
    }
    file = tmp_path / "ledger.json"
    starting = Cluster.run(tmp_path, names=NAMES, database=database, redis=redis.url, environment=environment)
    async with starting as cluster, _simulated(tmp_path, cluster.url, form, file) as fleet:
        async with load(*cluster.direct, chargers=FLAPPING, seed=form.seed) as flapping:
            pause_s = min(60, max(20, form.seconds / 3))
            nemesis = Nemesis(
                cluster,
                postgres,
                redis,
                flapping,
                random.Random(form.seed),
                pause_s,
                connected=lambda: _connected(fleet),
                enough=form.charge_points * 3 // 4,
            )
            scraper = Scraper(cluster, database, nemesis.excused_s)
            await eventually(lambda: _begun(database))
            scraping = asyncio.create_task(scraper.run())
            try:
                await nemesis.run(form.seconds)
            finally:
                await nemesis.heal()
            await flapping.settle()
        await _ended(fleet)
        scraping.cancel()
        scraper.end()
        simulated = json.loads(file.read_text())
        page = await _settled(cluster, {*simulated["charge_points"], *(each.cp_id for each in flapping.chargers)})
        records = Records.read(database)
        spans = await _exported(traces, records)
    incomplete = {trace_id: why for trace_id in records.sessions if (why := spans.fault(trace_id))}
    figures = {
        each: simulated["total"][each] for each in ("connections", "starts", "energy_wh", "refusals", "timeouts")
    }
    record_property("disturbances", len(nemesis.done))
    record_property("fleet", figures)
    record_property("flapping charge points", f"{flapping.acknowledged} answers, {flapping.repeated} sent again")
    record_property("rounds of the scraper", f"{scraper.rounds}; moved between two pages of one: {scraper.moved}")
    record_property("longest time on no page", "{:.1f} s ({})".format(*scraper.longest_absence))
    gaps = {
        trace_id: gap for trace_id in records.sessions if trace_id not in incomplete and (gap := spans.gap(trace_id))
    }
    record_property("sessions", f"{len(records.sessions)}; without a root: {len(incomplete)}; with a gap: {len(gaps)}")
    assert scraper.faults == []
    assert [simulated["total"][each] for each in ("mismatches", "given_up", "unacknowledged")] == [0, 0, 0]
    assert_same(simulated["charge_points"], records, page)
    assert_stored(database, flapping, prefix="CP")
    assert_shown("\n".join(line for line in page.splitlines() if 'cp_id="CP' in line), flapping)
    assert len({session.trace_id for session in records.sessions.values()}) == len(records.sessions)
    assert {
        trace_id: why
        for trace_id, why in (incomplete | gaps).items()
        if not records.sessions[trace_id].cut_by(nemesis.deaths)
    } == {}
    assert [log[-5000:] for log in cluster.logs().values() if "Traceback" in log] == []


@asynccontextmanager
async def _simulated(folder: Path, url: str, form: Form, ledger: Path) -> AsyncIterator[Program]:
    command: list[str | Path] = [sys.executable, "-m", "stack.simulated_fleet", "--url", url]
    command += ["--seed", str(form.seed), "--charge-points", str(form.charge_points), "--ledger", ledger]
    async with running("fleet", command, folder=folder, environment={"PYTHONPATH": str(ROOT / "tests")}) as program:
        yield program


async def _begun(database: str) -> bool:
    return bool(query(database, "SELECT count(*) FROM transactions")[0][0] > 2 * FLAPPING)


def _connected(fleet: Program) -> int:
    """How many are connected by the fleet's last report."""
    found = re.findall(r"\bconnected=(\d+)", fleet.log_tail())
    return int(found[-1]) if found else 0


async def _ended(fleet: Program) -> None:
    """End the simulation: every session is stopped, and everything acknowledged."""
    fleet.child.send_signal(signal.SIGTERM)
    async with asyncio.timeout(FLEET_END_S):
        if await fleet.child.wait() != 0:
            raise fleet.error("was to end its sessions")


async def _settled(cluster: Cluster, cp_ids: AbstractSet[str]) -> str:
    """The pages of all nodes as one, once each charge point is on one: nodes that have just returned adopt some."""

    async def whole() -> str:
        text = "\n".join(await asyncio.gather(*(node.page() for node in cluster.nodes)))
        return text if cp_ids <= totals(text, "ocpp_tx_total").keys() else ""

    return await eventually(whole)


async def _exported(traces: Receiver, records: Records) -> Spans:
    """What the nodes sent of sessions, once it is complete or nothing more comes."""
    until = time.monotonic() + EXPORTED_S
    while True:
        spans = Spans.of(traces)
        if not any(map(spans.fault, records.sessions)) or time.monotonic() > until:
            return spans
        await asyncio.sleep(0.5)


def assert_same(simulated: Mapping[str, Any], records: Records, page: str) -> None:
    """The simulator's ledger, the transactions in the database and the pages agree, charge point by charge point."""
    for what, stored, metric in (
        ("starts", records.starts, "ocpp_tx_total"),
        ("energy_wh", records.energy_wh, "ocpp_cp_energy_total_wh"),
    ):
        shown = totals(page, metric)
        differing = {
            cp_id: (did[what], stored.get(cp_id, 0), shown.get(cp_id, 0))
            for cp_id, did in simulated.items()
            if not did[what] == stored.get(cp_id, 0) == shown.get(cp_id, 0)
        }
        assert differing == {}, f"{what}: (simulated, stored, shown)"
    assert records.still_open == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A transaction of a simulated charge point in the database. Times are Unix seconds of the servers' clock."""

    trace_id: str
    began_ts: float
    ended_ts: float

    def cut_by(self, kills: Sequence[float]) -> bool:
        """Whether a node was killed that may have had spans of it which were not exported yet."""
        return any(self.began_ts <= kill <= self.ended_ts + EXPORT_S for kill in kills)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the database has of the simulated charge points."""

    starts: Mapping[str, int]
    energy_wh: Mapping[str, float]
    still_open: Sequence[str]
    sessions: Mapping[str, Session]
    """By trace id."""

    @classmethod
    def read(cls, database: str) -> Records:
        rows = query(
            database,
            "SELECT cp_id, transaction_id, energy_wh, trace_id, started_received_ts, stopped_received_ts"
            " FROM transactions",
        )
        rows = [row for row in rows if row[0].startswith(PREFIX)]
        starts, energy_wh = Counter[str](), Counter[str]()
        for cp_id, _, wh, *_ in rows:
            starts[cp_id] += 1
            energy_wh[cp_id] += wh
        return cls(
            starts=starts,
            energy_wh=energy_wh,
            still_open=[f"{cp_id} {transaction_id}" for cp_id, transaction_id, *_, ended in rows if ended is None],
            sessions={
                trace_id: Session(trace_id=trace_id, began_ts=began, ended_ts=ended)
                for *_, trace_id, began, ended in rows
                if ended is not None
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The spans of sessions by trace id. One that was sent twice, with the same id, is one."""

    by_trace: Mapping[str, Mapping[bytes, Any]]

    @classmethod
    def of(cls, traces: Receiver) -> Spans:
        found: dict[str, dict[bytes, Any]] = defaultdict(dict)
        for span in traces.spans():
            found[span.trace_id.hex()][span.span_id] = span
        return cls(by_trace=found)

    def fault(self, trace_id: str) -> str:
        """Return why the trace does not have one root that all other spans belong to, see `_roots`; "" if it does."""
        spans = self.by_trace.get(trace_id, {}).values()
        roots = self._roots(trace_id)
        former = {link.span_id for root in roots for link in root.links}
        if len([root for root in roots if root.span_id not in former]) != 1:
            return f"{len(roots)} roots: {[(root.span_id.hex(), *map(str, root.attributes)) for root in roots]}"
        if any(span.parent_span_id not in {root.span_id for root in roots} for span in spans if span not in roots):
            return "a phase with another parent"
        return ""

    def _roots(self, trace_id: str) -> Sequence[Any]:
        """Return the spans of the session, the last one at the end.

        One that Wattspan closed and opened again, because its charger knew better, has two: the second links the first.
        """
        roots = [span for span in self.by_trace.get(trace_id, {}).values() if span.name == SESSION]
        return sorted(roots, key=lambda span: (len(span.links), span.end_time_unix_nano))

    def gap(self, trace_id: str) -> str:
        """Return which part of the session no phase covers, with all phases; "" if there is none, or no phase at all.

        Phases may overlap: a charger that was offline reports its status as it is now first, which ends a phase, and
        then when it changed.
        """
        spans = self.by_trace.get(trace_id, {}).values()
        roots = self._roots(trace_id)
        root = roots[-1]
        began, covered = root.start_time_unix_nano, root.start_time_unix_nano
        phases = sorted((span for span in spans if span not in roots), key=lambda span: span.start_time_unix_nano)
        bounds = [(phase.name, phase.start_time_unix_nano, phase.end_time_unix_nano) for phase in phases]
        for _, since, until in [*bounds, ("end", root.end_time_unix_nano, root.end_time_unix_nano)]:
            if phases and since > covered:
                shown = [f"{name} {(start - began) / 1e9:.3f}-{(end - began) / 1e9:.3f}" for name, start, end in bounds]
                return f"{(covered - began) / 1e9:.3f}-{(since - began) / 1e9:.3f} s of {', '.join(shown)}"
            covered = max(covered, until)
        return ""


def totals(page: str, metric: str) -> Mapping[str, float]:
    """The sum over all pages by charge point."""
    sums = Counter[str]()
    for cp_id, value in re.findall(rf'^{metric}{{cp_id="([^"]+)"}} (\S+)$', page, re.MULTILINE):
        sums[cp_id] += float(value)  # type: ignore[assignment]
    return sums
