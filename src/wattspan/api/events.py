"""The event feed: the fleet's events for listeners, with a ring to resume from and a bounded queue a listener.

A listener that does not keep up is dropped; nothing here waits for one. Id tokens are left out. Current, power and
energy are no events: while somebody listens, those that changed are sent once a second as `Figures`, without an id.
"""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import orjson

from wattspan.api.problems import Problem
from wattspan.csms.plugins.base import Plugin
from wattspan.domain import events as ev
from wattspan.domain.erased_token import ErasedToken
from wattspan.domain.fleet import Fleet
from wattspan.domain.timestamps import wire_time_or_none

RING = 10_000
QUEUE = 1_000
MAX_RESUMED = QUEUE // 2
"""A listener that missed more gets a `Reset`, for its queue must have room for new events."""
MAX_LISTENERS = 200
FIGURES_S = 1.0
SLICE = 250
"""Charge points compared between two pauses for messages."""

REDACTED = frozenset({"id_token", "parent_id_token", "key", "details", "readings", "payload", "certificates"})
"""Fields left out: personal data, or long. A payload may be a customer's data (NotifyCustomerInformation)."""
FORMER_NAMES = {"EventStreamReceived": "EventStreamTold"}
"""Former names of events, which are sent too until the next release."""
NOT_SENT = (ev.MeterValuesReceived, ev.HeartbeatReceived, ev.Authorized, ev.SchemaFaulted)
"""Events that are too frequent to send."""


class Frame(NamedTuple):
    """An event as it is sent. `number` 0: it is not in the ring, so that nobody can resume from it."""

    number: int
    cp_id: str
    data: bytes


class Listener:
    """The queue of one client. `dropped` is set when it does not keep up, or when the feed ends."""

    def __init__(self, cp_id: str | None, who: str = "") -> None:
        self.who = who
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        self.dropped = asyncio.Event()
        self._cp_id = cp_id

    def wants(self, frame: Frame) -> bool:
        """Return whether the listener asked for this charge point's events."""
        return self._cp_id is None or frame.cp_id in ("", self._cp_id)

    def put(self, frame: Frame) -> None:
        """Queue a frame, or drop the listener if its queue is full. Never blocks."""
        if not self.wants(frame):
            return
        try:
            self.queue.put_nowait(frame.data)
        except asyncio.QueueFull:
            self.dropped.set()


class EventFeed:
    """The listeners and the ring. Not thread-safe: for the event loop's thread."""

    def __init__(self, fleet: Fleet, max_listeners_of_user: int = MAX_LISTENERS) -> None:
        self._fleet = fleet
        self._max_listeners_of_user = max_listeners_of_user
        self._ring: deque[Frame] = deque(maxlen=RING)
        self._numbers = itertools.count(1)
        self._feed_id = secrets.token_hex(4)
        self._listeners: set[Listener] = set()
        self._figures: dict[tuple[str, str], tuple[float | None, ...]] = {}
        self.plugin = _FeedPlugin(self)

    def publish(self, event: ev.Event) -> None:
        """Send an event to every listener."""
        number = next(self._numbers)
        name = type(event).__name__
        frame = Frame(number, event.cp_id, event_stream_text(name, event, f"{self._feed_id}-{number}"))
        self._ring.append(frame)
        self._send([frame])

    def listen(self, cp_id: str | None, last_id: str | None, who: str) -> Listener:
        """Return a new listener that resumes after the event `last_id`, or with a `Reset` if that is not kept any more.

        Call `leave` with it at the end. Raises Problem 503 when there are too many listeners, and 429 when `who` has
        too many.
        """
        headers = {"Retry-After": "30"}
        if len(self._listeners) >= MAX_LISTENERS:
            raise Problem(503, "too many event streams are open", kind="busy", headers=headers)
        if sum(each.who == who for each in self._listeners) >= self._max_listeners_of_user:
            raise Problem(429, "this user has too many event streams open", kind="limit", headers=headers)
        listener = Listener(cp_id, who)
        if last_id:
            for frame in self._since(last_id, listener):
                listener.put(frame)
        self._listeners.add(listener)
        return listener

    def erase(self, token: ErasedToken) -> None:
        """Drop the kept events that contain an id token."""
        self._ring = deque((frame for frame in self._ring if not token.found_in(frame.data)), maxlen=RING)

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._figures.clear()

    def close(self) -> None:
        """Drop every listener."""
        for listener in self._listeners:
            listener.dropped.set()

    async def send_figures(self) -> None:
        """Send the figures that changed, once a second, until cancelled."""
        while True:
            await asyncio.sleep(FIGURES_S)
            if self._listeners:
                await self._send_changed_figures()

    def _since(self, last_id: str, listener: Listener) -> list[Frame]:
        feed_id, _, text = last_id.partition("-")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0  # noqa: PLR2004
        oldest = self._ring[0].number if self._ring else 1
        missed = [frame for frame in self._ring if frame.number > number and listener.wants(frame)]
        if feed_id != self._feed_id or number < oldest - 1 or len(missed) > MAX_RESUMED:
            return [Frame(0, "", sse("Reset", {"reason": "events in between are not kept"}, None))]
        return missed

    def _send(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            for listener in self._listeners:
                listener.put(frame)

    async def _send_changed_figures(self) -> None:
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
                    self._send([Frame(0, cp.cp_id, sse("Figures", figures, None))])


class _FeedPlugin(Plugin):
    """Receives the events for the feed, as any plugin does, so that it can't disturb messages."""

    name = "event feed"

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed
        self.events = tuple(kind for kind in _kinds(ev.Event) if kind not in NOT_SENT)

    async def on_event(self, event: ev.Event) -> None:
        self._feed.publish(event)


def event_stream_text(name: str, event: ev.Event, event_id: str) -> bytes:
    """Return an event as server-sent event; one that was renamed is followed by its former name, without an id."""
    data = json_of(event)
    former = FORMER_NAMES.get(name)
    return sse(name, data, event_id) + (b"" if former is None else sse(former, data, None))


def json_of(event: ev.Event) -> Mapping[str, Any]:
    """Return an event as JSON has it: times as RFC 3339 under `_at`, without what is personal or long.

    `told_at` is the former name of `reported_at`, sent until the next release.
    """
    shown: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in REDACTED:
            continue
        if field.name.endswith("_ts"):
            shown[field.name.removesuffix("_ts") + "_at"] = wire_time_or_none(value)
        else:
            shown[field.name] = value
    if "reported_at" in shown:
        shown["told_at"] = shown["reported_at"]
    return shown


def _kinds(kind: type[ev.Event]) -> list[type[ev.Event]]:
    found = kind.__subclasses__()
    return [*found, *(below for each in found for below in _kinds(each))]


def sse(name: str, data: Mapping[str, Any], event_id: str | None) -> bytes:
    """Return one event of a text/event-stream (HTML living standard §9.2)."""
    lines = [f"id: {event_id}\n".encode()] if event_id else []
    text = orjson.dumps(data, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    return b"".join([*lines, f"event: {name}\n".encode(), b"data: ", text, b"\n\n"])


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, set | frozenset | tuple) else str(value)
