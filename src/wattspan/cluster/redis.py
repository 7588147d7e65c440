"""Connections to Redis: the addresses that the setting `redis` may have, and clients. Nothing else imports redis.

Three kinds of servers, by the URL's scheme (an additional `s` is TLS):

    redis://[user:password@]host:port/db                        one server; unix:// for a socket
    redis+sentinel://[user:password@]host:port,…/service/db     the master of `service`, as Sentinels name it
    redis+cluster://[user:password@]host:port,…                 a Redis Cluster

Options in the query (`ssl_ca_certs=…`, `username=…`) are those of redis-py. A client that is made here never tries a
command twice: the caller can't know whether the first try took effect.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

ERRORS: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
"""What a client raises when Redis does not do what it was asked."""

CONNECT_S = 1.0
"""Seconds that opening a connection may take."""
ANSWER_S = 1.0
"""Seconds that the answer to a command may take which does not wait for anything."""

Client = Any
"""A `Redis` or a `RedisCluster`; their stubs have no common base."""
Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where Redis is. `open` returns a new client; its argument is the time-out of an answer, None for none."""

    open: Callable[[float | None], Client]
    database: int
    """The number of the database. Channels are shared by all databases of a server, so their names contain it."""
    is_cluster: bool

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Return the address of a URL. Raises ValueError."""
        parts = urlsplit(url)
        base, _, kind = parts.scheme.partition("+")
        if kind == "sentinel":
            return _sentinel(base, parts)
        if kind == "cluster":
            return _cluster(base, parts)
        options: dict[str, Any] = dict(parse_url(url))

        def connect(answer_s: float | None) -> Client:
            return Redis.from_url(url, **_options(answer_s))

        return cls(open=connect, database=int(options.get("db", 0)), is_cluster=False)


def raise_if_cancelled() -> None:
    """Raise CancelledError if the current task was cancelled.

    For handlers of errors, and after calls of a library in a loop: it, or a TaskGroup with errors of its own, may raise
    another error instead, or none.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def begin(client: Client) -> None:
    """Let a new client of a Redis Cluster find its servers; any other needs nothing. Raises one of ERRORS."""
    if isinstance(client, RedisCluster):
        await client.initialize()


async def close(client: Client | None) -> None:
    """Close the connections of a client, of its Sentinels too. Never raises, and takes at most ANSWER_S."""
    if client is None:
        return
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    with contextlib.suppress(*ERRORS):
        async with asyncio.timeout(ANSWER_S):
            for each in (client, *(manager.sentinels if manager is not None else ())):
                await each.aclose()


class Exchange:
    """Executes commands, many in one round trip, on a connection that stays open. Any of ERRORS ends it.

    redis-py's own pipeline, which a Redis Cluster needs, takes twice the time of the processor for a round trip: it
    checks out a connection each time, and has a time-out for each write and each answer. Here the caller limits both.
    """

    def __init__(self, client: Client, connection: Any) -> None:
        self._client = client
        self._connection = connection

    @classmethod
    async def open(cls, address: RedisAddress) -> "Exchange":
        """Connect. Raises one of ERRORS."""
        client = address.open(ANSWER_S if address.is_cluster else None)
        try:
            await begin(client)
            return cls(client, None if address.is_cluster else await client.connection_pool.get_connection())
        except BaseException:
            await close(client)
            raise

    async def execute(self, commands: Sequence[Command]) -> Sequence[Any]:
        """Return the answers, in which errors of single commands are exceptions. Raises one of ERRORS."""
        connection = self._connection
        if connection is None:
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            answers: Sequence[Any] = await pipeline.execute(raise_on_error=False)
            return answers
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        return [await _answer(connection) for _ in commands]

    async def close(self) -> None:
        """Close it. Never raises."""
        await close(self._client)


async def _answer(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as exc:
        return exc


def _options(answer_s: float | None) -> dict[str, Any]:
    return {
        "socket_timeout": answer_s,
        "socket_connect_timeout": CONNECT_S,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "client_name": "wattspan",
    }


def _first(base: str, parts: SplitResult) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Return redis-py's options of a URL with several hosts, and its hosts with their ports."""
    credentials, at, hosts = parts.netloc.rpartition("@")
    found = [_host(each) for each in hosts.split(",")]
    one = urlunsplit((base, f"{credentials}{at}{hosts.split(',')[0]}", "", parts.query, ""))
    options: dict[str, Any] = dict(parse_url(one))
    is_secure = options.pop("connection_class", None) is SSLConnection
    for name in ("host", "port", "db"):
        options.pop(name, None)
    return options | ({"ssl": True} if is_secure else {}), found


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("a host is missing")
    return parts.hostname, parts.port or 6379


def _sentinel(base: str, parts: SplitResult) -> RedisAddress:
    options, hosts = _first(base, parts)
    service, _, number = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("the path must be the name of the service that the Sentinels watch")
    database = int(number or 0)

    def connect(answer_s: float | None) -> Client:
        own = {**options, **_options(answer_s)}
        sentinel = Sentinel(hosts, sentinel_kwargs=_options(ANSWER_S), **own)  # type: ignore[no-untyped-call]
        return sentinel.master_for(service, db=database, **own)

    return RedisAddress(open=connect, database=database, is_cluster=False)


def _cluster(base: str, parts: SplitResult) -> RedisAddress:
    options, hosts = _first(base, parts)

    def connect(answer_s: float | None) -> Client:
        nodes = [ClusterNode(host, port) for host, port in hosts]
        return RedisCluster(startup_nodes=nodes, **options, **_options(answer_s))

    return RedisAddress(open=connect, database=0, is_cluster=True)
