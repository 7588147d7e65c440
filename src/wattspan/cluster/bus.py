"""Messages between the nodes of a cluster, over Redis's publish and subscribe: requests with a reply, and broadcasts.

A node subscribes to its own channel and to the one of all nodes. A request is executed at most once: it is published
once, and a node that gets it after its deadline drops it. Deadlines are by the clock of Redis, which every node reads
with each check, because the clocks of nodes may differ. The node that executes a request confirms it soon and then
every few seconds, so that the one that waits for the reply knows that it is not lost.

Measured on one machine, a request and its reply take 0.5 ms over channels and 2 ms over streams; a message that is kept
would be too old anyway.
"""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from wattspan.cluster import remote_errors
from wattspan.cluster.pipeline import Pipeline
from wattspan.cluster.redis import ANSWER_S, ERRORS, RedisAddress, begin, close, raise_if_cancelled
from wattspan.errors import NodeSilent, RedisUnavailable, WattspanError
from wattspan.telemetry.catalogue import EVENT_NAME, EXCEPTION_MESSAGE, NODE, REDIS_EVENT
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

CONFIRM_S = 1.0
"""Seconds within which a node must get and confirm a request."""
QUICK_S = 0.1
"""Seconds within which a reply needs no confirmation before it."""
REPEAT_S = 2.0
"""How often a confirmation is repeated while a request is executed."""
SILENCE_S = 5.0
"""Seconds without a confirmation after which the reply is given up."""
HEALTH_S = 2.0
"""How often Redis is checked."""
RETRY_S = 0.5
"""How often it is checked while it does not answer."""
MAX_EXECUTING = 1_000
"""Requests of other nodes that may be executed at a time."""

Body = Mapping[str, Any]
Serve = Callable[[Body], Awaitable[Body]]
"""Executes a request of another node. What it raises below WattspanError is raised there."""
OnBroadcast = Callable[[str, Body], None]
"""(node, body)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusMeasures:
    """Where the bus reports what it measures, in seconds."""

    round_trip: Callable[[float], None]
    health_check: Callable[[float], None]


class Bus:
    """One node's end. `prefix` begins the names of all channels and keys."""

    def __init__(
        self,
        address: RedisAddress,
        node: str,
        measures: BusMeasures,
        spawn: Callable[[Coroutine[Any, Any, None]], Any],
    ) -> None:
        self.node = node
        self.prefix = f"{{wattspan:{address.database}}}"
        self.pipeline = Pipeline(address, measures.round_trip)
        self.expired = 0
        """Requests that came after their deadline and were dropped."""
        self._address = address
        self._measures = measures
        self._spawn = spawn
        self._serving: dict[str, Serve] = {}
        self._listening: dict[str, list[OnBroadcast]] = {}
        self._on_return: list[Callable[[], None]] = []
        self._waiting: dict[str, asyncio.Queue[Body]] = {}
        self._executing = 0
        self._numbers = itertools.count(1)
        self._instance = secrets.token_hex(8)
        self._redis_ahead_s = 0.0
        """What the clock of Redis is ahead of our monotonic one."""
        self._echo = asyncio.Event()
        self._is_healthy = False
        self._reason = "Redis was not reached yet"

    @property
    def available(self) -> bool:
        """Return whether messages arrive: Redis answers, and what we publish to ourselves comes back."""
        return self._is_healthy and self.pipeline.available

    @property
    def reason(self) -> str:
        """Return why messages do not arrive; "" if they do."""
        return "" if self.available else self._reason

    def redis_now_s(self) -> float:
        """Return the time in Unix seconds by the clock of Redis."""
        return time.monotonic() + self._redis_ahead_s

    def serve(self, kind: str, execute: Serve) -> None:
        """Execute the requests of a kind with `execute`."""
        self._serving[kind] = execute

    def listen(self, topic: str, on_broadcast: OnBroadcast) -> None:
        """Call `on_broadcast` for each broadcast of other nodes under a topic. It must not raise."""
        self._listening.setdefault(topic, []).append(on_broadcast)

    def on_return(self, call: Callable[[], None]) -> None:
        """Call `call` whenever messages arrive again that did not before, also the first time."""
        self._on_return.append(call)

    async def request(self, node: str, kind: str, body: Body) -> Body:
        """Have a node execute a request, and return its reply.

        Raises RedisUnavailable or NodeSilent if it did not get there or the reply was lost, and what the node raised.
        Cancellation: the node executes it nevertheless.
        """
        if not self.available:
            raise RedisUnavailable(self._reason)
        number = f"{self._instance}-{next(self._numbers)}"
        inbox: asyncio.Queue[Body] = asyncio.Queue()
        self._waiting[number] = inbox
        message = {
            "type": "request",
            "id": number,
            "from": self.node,
            "kind": kind,
            "until": self.redis_now_s() + CONFIRM_S,
            "body": body,
        }
        try:
            receivers = await self.pipeline.ask("PUBLISH", self._channel(node), orjson.dumps(message))
            if receivers == 0 and not self._address.is_cluster:  # a server of a Redis Cluster counts only its own
                raise NodeSilent(node, confirmed=False)
            return await self._reply(node, inbox)
        finally:
            del self._waiting[number]

    async def _reply(self, node: str, inbox: asyncio.Queue[Body]) -> Body:
        limit_s = CONFIRM_S + ANSWER_S
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    message = await inbox.get()
            except TimeoutError:
                raise NodeSilent(node, confirmed=limit_s == SILENCE_S) from None
            if message["type"] == "confirmation":
                limit_s = SILENCE_S
                continue
            if message["error"] is not None:
                raise remote_errors.load(message["error"])
            body: Body = message["body"]
            return body

    def broadcast(self, topic: str, body: Body) -> None:
        """Send a message to all other nodes. It is lost while Redis is unavailable."""
        message = {"type": "broadcast", "topic": topic, "from": self.node, "body": body}
        self.pipeline.post("PUBLISH", self._channel(None), orjson.dumps(message))

    def send(self, node: str, topic: str, body: Body) -> None:
        """Send a message to one other node, which gets it as it gets a broadcast."""
        message = {"type": "broadcast", "topic": topic, "from": self.node, "body": body}
        self.pipeline.post("PUBLISH", self._channel(node), orjson.dumps(message))

    async def run(self) -> None:
        """Send, receive and check Redis, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.pipeline.run())
            tasks.create_task(self._check())
            while True:
                receiving = tasks.create_task(self._receive())
                try:
                    await self._until_silent(receiving)
                finally:
                    receiving.cancel()

    # receiving

    async def _receive(self) -> None:
        """Handle what is published, until the connection is lost."""
        client = self._address.open(None)
        try:
            async with asyncio.timeout(2 * ANSWER_S):
                await begin(client)
                subscription = client.pubsub(ignore_subscribe_messages=True)
                await subscription.subscribe(self._channel(self.node), self._channel(None))
            while True:
                message = await subscription.get_message(timeout=None)
                raise_if_cancelled()
                if message is not None:
                    self._handle(message["data"])
        except ERRORS as exc:
            limited(log, logging.WARNING, "redis subscription", "the subscription to Redis was lost: %s", exc)
        finally:
            await close(client)

    async def _until_silent(self, receiving: asyncio.Task[None]) -> None:
        """Return, after a pause, when a subscription has ended or brings nothing although Redis answers."""
        while not receiving.done():
            await asyncio.wait([receiving], timeout=2 * HEALTH_S)
            if not self._is_healthy and self.pipeline.available:
                break
        await asyncio.sleep(RETRY_S / 2)

    def _handle(self, data: bytes) -> None:
        try:
            message = orjson.loads(data)
            match message["type"]:
                case "request":
                    self._execute(message)
                case "confirmation" | "reply":
                    inbox = self._waiting.get(message["id"])
                    if inbox is not None:
                        inbox.put_nowait(message)
                case "broadcast":
                    if message["from"] != self.node:
                        for listener in self._listening.get(message["topic"], ()):
                            listener(message["from"], message["body"])
                case "echo":
                    if message["id"] == self._instance:
                        self._echo.set()
        except Exception:
            log.exception("a message of another node could not be handled")

    # executing

    def _execute(self, message: Mapping[str, Any]) -> None:
        execute = self._serving.get(message["kind"])
        if self.redis_now_s() > message["until"]:
            self.expired += 1
            return
        if execute is None or self._executing >= MAX_EXECUTING:
            return  # not confirmed: the other node reports it as such
        self._executing += 1
        self._spawn(self._answer(execute, message))

    async def _answer(self, execute: Serve, request: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        confirming: asyncio.TimerHandle

        def confirm() -> None:
            nonlocal confirming
            self._send_back(request, {"type": "confirmation"})
            confirming = loop.call_later(REPEAT_S, confirm)

        confirming = loop.call_later(QUICK_S, confirm)
        try:
            self._send_back(request, {"type": "reply", **await self._outcome(execute, request)})
        finally:
            self._executing -= 1
            confirming.cancel()

    async def _outcome(self, execute: Serve, request: Mapping[str, Any]) -> Body:
        try:
            return {"body": await execute(request["body"]), "error": None}
        except WattspanError as exc:
            return {"body": None, "error": remote_errors.dump(exc)}
        except Exception:
            log.exception("a request of node %s could not be executed", request["from"])
            failure = WattspanError("the request failed: see the log of the node")
            return {"body": None, "error": remote_errors.dump(failure)}

    def _send_back(self, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        data = orjson.dumps({**answer, "id": request["id"]}, default=str)
        self.pipeline.post("PUBLISH", self._channel(request["from"]), data)

    # checking

    async def _check(self) -> None:
        while True:
            was_available = self.available
            began_s = time.perf_counter()
            try:
                await self._check_once()
            except RedisUnavailable as exc:
                raise_if_cancelled()
                self._is_healthy, self._reason = False, str(exc)
            except TimeoutError:
                self._is_healthy, self._reason = False, "Redis does not deliver messages"
            else:
                self._is_healthy = True
                self._measures.health_check(time.perf_counter() - began_s)
            if self.available and not was_available:
                log.info("connected to Redis as node %s", self.node)
                for each in self._on_return:
                    each()
            if was_available and not self.available:
                fields = {EVENT_NAME: REDIS_EVENT, NODE: self.node, EXCEPTION_MESSAGE: self._reason}
                log.warning("messages between nodes are interrupted: %s", self._reason, extra=fields)
            await asyncio.sleep(HEALTH_S if self.available else RETRY_S)

    async def _check_once(self) -> None:
        """Read the clock of Redis, and have a message sent to ourselves. Raises RedisUnavailable, TimeoutError."""
        sent_s = time.monotonic()
        seconds, micros = await self.pipeline.probe("TIME")
        now_s = time.monotonic()
        self._redis_ahead_s = int(seconds) + int(micros) / 1e6 - (sent_s + now_s) / 2
        self._echo.clear()
        echo = orjson.dumps({"type": "echo", "id": self._instance})
        await self.pipeline.probe("PUBLISH", self._channel(self.node), echo)
        async with asyncio.timeout(ANSWER_S):
            await self._echo.wait()

    def _channel(self, node: str | None) -> str:
        return f"{self.prefix}:all" if node is None else f"{self.prefix}:node:{node}"
