"""The nodes' messages over each kind of Redis: with a password and TLS, behind Sentinels, and a Redis Cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from support.certificates import SERVER, TestAuthority
from support.ports import LOOPBACK, free_port
from support.redis_servers import RedisServer
from support.waiting import eventually
from wattspan.cluster.bus import CONFIRM_S, Bus, BusMeasures
from wattspan.cluster.counters import SharedBackoff
from wattspan.cluster.event_stream import EventStream, SharedEvent
from wattspan.cluster.presence import PresenceTable
from wattspan.cluster.redis import RedisAddress
from wattspan.errors import RedisUnavailable

Body = dict[str, Any]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer.run() as server:
        yield server


class Nodes:
    """Two ends of a bus, `a` and `b`, of which `b` serves requests, and what runs with them."""

    def __init__(self, url: str, tasks: asyncio.TaskGroup) -> None:
        self.checks: list[float] = []
        self.address = RedisAddress.parse(url)
        measures = BusMeasures(round_trip=lambda _s: None, health_check=self.checks.append)
        self.a, self.b = (Bus(self.address, name, measures, tasks.create_task) for name in "ab")
        self.served: list[Body] = []
        self.b.serve("echo", self._echo)

    async def _echo(self, body: Any) -> Body:
        self.served.append(body)
        return {"echoed": body}

    @property
    def available(self) -> bool:
        return self.a.available and self.b.available


@asynccontextmanager
async def nodes(url: str) -> AsyncIterator[Nodes]:
    async with asyncio.TaskGroup() as tasks:
        both = Nodes(url, tasks)
        running = [tasks.create_task(each.run()) for each in (both.a, both.b)]
        try:
            await eventually(lambda: both.available)
            yield both
        finally:
            for each in running:
                each.cancel()


async def assert_works(both: Nodes) -> None:
    """Requests, broadcasts and a pipeline with keys of several kinds."""
    assert await both.a.request("b", "echo", {"number": 1}) == {"echoed": {"number": 1}}
    heard: list[Any] = []
    both.b.listen("news", lambda node, body: heard.append((node, body)))
    both.a.broadcast("news", {"x": 1})
    await eventually(lambda: heard == [("a", {"x": 1})])
    presence = PresenceTable(both.a, lambda: [("CP1", "ocpp1.6", 1)])
    await presence._renew_once()
    other = PresenceTable(both.b, list)
    await other._renew_once()
    found = await other.find("CP1")
    assert found is not None
    assert (found.node, found.protocol, found.security_profile) == ("a", "ocpp1.6", 1)


async def test_one_server_with_a_password_and_tls(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path, "authority")
    pair = authority.pair("redis", use=SERVER, alternative=(LOOPBACK,))
    port = free_port()
    options = {
        "--requirepass": "secret",
        "--tls-port": str(port),
        "--tls-cert-file": str(pair.cert),
        "--tls-key-file": str(pair.key),
        "--tls-ca-cert-file": str(authority.cert),
        "--tls-auth-clients": "no",
    }
    with RedisServer.run(*(word for option in options.items() for word in option)):
        url = f"rediss://:secret@{LOOPBACK}:{port}/1?ssl_ca_certs={authority.cert}"
        async with nodes(url) as both:
            await assert_works(both)


async def test_a_master_behind_sentinels(redis: RedisServer, tmp_path: Path) -> None:
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"sentinel monitor fleet {LOOPBACK} {redis.port} 1\nsentinel down-after-milliseconds fleet 1000\n"
    )
    with RedisServer.run(str(configuration), "--sentinel") as sentinel:
        async with nodes(f"redis+sentinel://{LOOPBACK}:{sentinel.port}/fleet/2") as both:
            await assert_works(both)
            assert both.a.prefix == "{wattspan:2}"


async def test_a_redis_cluster() -> None:
    with RedisServer.run("--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await eventually(lambda: b"cluster_state:ok" in server.command("CLUSTER", "INFO"))
        async with nodes(f"redis+cluster://{LOOPBACK}:{server.port}") as both:
            await assert_works(both)


async def test_a_request_to_a_node_that_is_not_there_fails_at_once(redis: RedisServer) -> None:
    async with nodes(redis.url) as both:

        async def fails_at_once() -> bool:
            """Waiting for a confirmation takes CONFIRM_S each time, and a busy machine as long only now and then."""
            began_s = time.monotonic()
            with pytest.raises(Exception, match="node nobody, which does not answer"):
                await both.a.request("nobody", "echo", {})
            return time.monotonic() - began_s < CONFIRM_S

        await eventually(fails_at_once)


async def test_a_request_that_comes_after_its_deadline_is_dropped(redis: RedisServer) -> None:
    async with nodes(redis.url) as both:
        both.b._redis_ahead_s += 5  # as if it had hung for so long
        with pytest.raises(Exception, match="does not answer"):
            await both.a.request("b", "echo", {})
        assert both.served == []
        assert both.b.expired == 1


async def test_the_reply_of_a_request_that_takes_long_is_waited_for(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattspan.cluster.bus.REPEAT_S", 0.05)
    monkeypatch.setattr("wattspan.cluster.bus.SILENCE_S", 0.5)
    async with nodes(redis.url) as both:

        async def slow(_body: Any) -> Body:
            await asyncio.sleep(1.2)
            return {"done": True}

        both.b.serve("slow", slow)
        assert await both.a.request("b", "slow", {}) == {"done": True}


async def test_after_redis_has_lost_everything_presence_and_events_begin_anew(redis: RedisServer) -> None:
    async with nodes(redis.url) as both, asyncio.TaskGroup() as tasks:
        presence = PresenceTable(both.a, lambda: [("CP1", "ocpp1.6", 0)])
        other = PresenceTable(both.b, list)
        events: list[SharedEvent] = []
        resets: list[tuple[str, int]] = []
        stream = EventStream(
            both.address, both.a, events.append, lambda identity, kept: resets.append((identity, len(kept)))
        )
        running = [tasks.create_task(each) for each in (presence.run(), other.run(), stream.run())]
        await eventually(lambda: resets)
        for number in range(3):
            stream.append("CP1", "Booted", b'{"n":%d}' % number, lambda: None)
        await eventually(lambda: [each.data for each in events] == [b'{"n":0}', b'{"n":1}', b'{"n":2}'])
        numbers = [each.number for each in events]
        assert numbers == sorted(set(numbers))
        redis.command("FLUSHALL")

        async def is_found() -> bool:
            with suppress(RedisUnavailable):  # which nodes are there is not known between two renewals
                return await other.find("CP1") is not None
            return False

        await eventually(is_found)
        await eventually(lambda: len(resets) > 1)
        assert resets[-1][0] != resets[0][0]
        stream.append("CP1", "Booted", b"{}", lambda: None)
        await eventually(lambda: events[-1].data == b"{}")
        for each in running:
            each.cancel()


async def test_a_charge_point_that_was_found_is_looked_up_again_once_it_has_moved(redis: RedisServer) -> None:
    async with nodes(redis.url) as both:
        a, seeker = PresenceTable(both.a, lambda: [("CP1", "ocpp1.6", 0)]), PresenceTable(both.b, list)
        await a._renew_once()
        await seeker._renew_once()
        before = looked_up(redis)
        assert [(found := await seeker.find("CP1")) and found.node for _ in range(20)] == ["a"] * 20
        assert looked_up(redis) == before + 1
        a.disconnected("CP1")
        await both.a.pipeline.ask("PING")
        seeker.moved("CP1")
        assert await seeker.find("CP1") is None
        a.connected("CP1", "ocpp1.6", 0)
        await both.a.pipeline.ask("PING")
        assert await seeker.find("CP1") is not None
        a.disconnected("CP1")
        await seeker._renew_once()
        assert await seeker.find("CP1") is None, "at most as old as the last renewal"


def looked_up(redis: RedisServer) -> int:
    """How many times presence was read so far."""
    lines = redis.command("INFO", "commandstats").decode().splitlines()
    calls = [line.split("calls=")[1].split(",")[0] for line in lines if line.startswith("cmdstat_hmget:")]
    return sum(map(int, calls))


async def test_failures_are_counted_by_all_nodes_together(redis: RedisServer) -> None:
    async with nodes(redis.url) as both:
        here, there = (
            SharedBackoff(bus=bus, kind="login", free=3, first_s=20, longest_s=600, forget_s=600)
            for bus in (both.a, both.b)
        )
        await here.failed("robin")
        await there.failed("robin")
        assert await here.wait_s("robin") == 0
        await there.failed("robin")
        assert 15 < await here.wait_s("robin") <= 20
        await here.failed("robin")
        assert 35 < await there.wait_s("robin") <= 40
        here.forget("robin")
        await eventually(lambda: both.a.pipeline.available)
        assert await here.wait_s("robin") == 0
        assert await here.wait_s("kim") == 0
        assert b"robin" not in redis.command("KEYS", "*")
