"""The fleet's events for whoever listens: a bounded ring to resume from, and a bounded queue a listener.

A listener that does not keep up is dropped; nothing here ever waits for one. Id tokens are left out. Figures of now
(current, power, energy) are no events: while somebody listens, those that moved are told once a second, without an id.
"""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from wattspan.api.problems import Problem
from wattspan.csms.plugins.base import Plugin
from wattspan.domain import events as ev
from wattspan.domain.fleet import Fleet

RING = 10_000
QUEUE = 1_000
RESUMED = QUEUE // 2
"""Who missed more is told to read anew: its queue must have room for what comes meanwhile."""
LISTENERS = 200
LISTENERS_OF_ONE = 20
"""Of one user: whoever opens more must not keep everybody else out."""
EVERY_S = 1.0
SLICE = 250
"""Charge points looked at between two pauses."""

REDACTED = frozenset({"id_token", "parent_id_token", "key", "details", "readings", "payload"})
"""Personal, or long: a notice's payload may be a customer's data (NotifyCustomerInformation)."""
QUIET = (ev.MeterValuesReceived, ev.HeartbeatReceived, ev.Authorized, ev.SchemaFaulted)
"""Too many to be told one by one."""


class Frame(NamedTuple):
    """An event as it goes out. `number` 0: a figure, which nobody can resume from."""

    number: int
    cp_id: str
    data: bytes


class Listener:
    """One reader's queue. `dropped` is set when it did not keep up, or the feed ends."""

    def __init__(self, cp_id: str | None, who: str = "") -> None:
        self.who = who
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        self.dropped = asyncio.Event()
        self._cp_id = cp_id

    def wants(self, frame: Frame) -> bool:
        """Whether it is of what is listened to."""
        return self._cp_id is None or frame.cp_id in ("", self._cp_id)

    def put(self, frame: Frame) -> None:
        """Never waits."""
        if not self.wants(frame):
            return
        try:
            self.queue.put_nowait(frame.data)
        except asyncio.QueueFull:
            self.dropped.set()


class EventFeed:
    """All listeners and the ring. On the event loop's thread."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._ring: deque[Frame] = deque(maxlen=RING)
        self._numbers = itertools.count(1)
        self._era = secrets.token_hex(4)
        self._listeners: set[Listener] = set()
        self._figures: dict[tuple[str, str], tuple[float | None, ...]] = {}
        self.plugin = _Tap(self)

    def publish(self, event: ev.Event) -> None:
        """Tell everybody."""
        number = next(self._numbers)
        name = type(event).__name__
        frame = Frame(number, event.cp_id, sse(name, told(event), f"{self._era}-{number}"))
        self._ring.append(frame)
        self._tell([frame])

    def listen(self, cp_id: str | None, last_id: str | None, who: str) -> Listener:
        """Begin to listen, after the event of `last_id`; where that is not known any more, a `Reset` comes first.

        Raises Problem 503 when too many listen already, or `who` does too often. Give the listener back to `leave`.
        """
        own = sum(each.who == who for each in self._listeners)
        if len(self._listeners) >= LISTENERS or own >= LISTENERS_OF_ONE:
            raise Problem(503, "too many listen already", kind="busy", headers={"Retry-After": "30"})
        listener = Listener(cp_id, who)
        if last_id:
            for frame in self._since(last_id, listener):
                listener.put(frame)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Stop listening."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._figures.clear()

    def close(self) -> None:
        """Let every listener go."""
        for listener in self._listeners:
            listener.dropped.set()

    async def tell_figures(self) -> None:
        """Run for ever: once a second, the figures that moved."""
        while True:
            await asyncio.sleep(EVERY_S)
            if self._listeners:
                await self._look()

    def _since(self, last_id: str, listener: Listener) -> list[Frame]:
        era, _, text = last_id.partition("-")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0  # noqa: PLR2004
        oldest = self._ring[0].number if self._ring else 1
        missed = [frame for frame in self._ring if frame.number > number and listener.wants(frame)]
        if era != self._era or number < oldest - 1 or len(missed) > RESUMED:
            return [Frame(0, "", sse("Reset", {"reason": "events in between are not kept"}, None))]
        return missed

    def _tell(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            for listener in self._listeners:
                listener.put(frame)

    async def _look(self) -> None:
        for index, cp in enumerate(list(self._fleet.charge_points.values())):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            for connector in list(cp.connectors.values()):
                transaction = connector.transaction
                energy_wh = None if transaction is None else transaction.meter.energy_wh
                now = (connector.current_a, connector.power_w, connector.soc_percent, energy_wh)
                place = (cp.cp_id, connector.connector_id)
                if self._figures.get(place) != now:
                    self._figures[place] = now
                    names = ("current_a", "power_w", "soc_percent", "energy_wh")
                    figures = {"cp_id": place[0], "connector_id": place[1], **dict(zip(names, now, strict=True))}
                    self._tell([Frame(0, cp.cp_id, sse("Figures", figures, None))])


class _Tap(Plugin):
    """How the feed hears of events: as any plugin does, so that it can harm none."""

    name = "event feed"

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed
        self.events = tuple(kind for kind in _kinds(ev.Event) if kind not in QUIET)

    async def on_event(self, event: ev.Event) -> None:
        self._feed.publish(event)


def told(event: ev.Event) -> Mapping[str, Any]:
    """An event as JSON has it: times as RFC 3339 under `_at`, without what is personal or long.

    `told_at` is the former name of `reported_at`, kept for one release.
    """
    shown: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in REDACTED:
            continue
        if field.name.endswith("_ts"):
            shown[field.name.removesuffix("_ts") + "_at"] = None if value is None else _moment(value)
        else:
            shown[field.name] = value
    if "reported_at" in shown:
        shown["told_at"] = shown["reported_at"]
    return shown


def _moment(ts: float) -> str | None:
    try:
        return datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


def _kinds(kind: type[ev.Event]) -> list[type[ev.Event]]:
    found = kind.__subclasses__()
    return [*found, *(below for each in found for below in _kinds(each))]


def sse(name: str, data: Mapping[str, Any], event_id: str | None) -> bytes:
    """One event of a text/event-stream (HTML living standard §9.2)."""
    lines = [f"id: {event_id}\n".encode()] if event_id else []
    text = orjson.dumps(data, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    return b"".join([*lines, f"event: {name}\n".encode(), b"data: ", text, b"\n\n"])


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, set | frozenset | tuple) else str(value)
