"""The event feed: the fleet's events for listeners, with a ring to resume from and a bounded queue a listener.

A listener that does not keep up is dropped; nothing here waits for one. Id tokens are left out. Current, power and
energy are no events: while somebody listens, connectors of which they or the status changed are sent once a second as
`Figures`, without an id. A slow listener gets only the newest figures of a connector.
Neither are messages: every ten seconds `Seen` lists the charge points that sent any, to listeners of the whole fleet.
What operators set of a charge point is sent as `PlaceChanged`.

In a cluster, events go to the listeners by way of a stream that all nodes share. Its events have the same ids on every
node, so that a client may resume on another one. While it is away, this node's own events still reach its listeners.
"""

import asyncio
import itertools
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple, Protocol

import orjson

from wattspan.api.problems import Problem
from wattspan.csms.plugins.base import Plugin
from wattspan.domain import events as ev
from wattspan.domain.erased_token import ErasedToken
from wattspan.domain.fleet import Fleet
from wattspan.domain.timestamps import wire_time_or_none
from wattspan.store.queries.sites import Place

RING = 10_000
QUEUE = 1_000
MAX_RESUMED = QUEUE // 2
"""A listener that missed more gets a `Reset`, for its queue must have room for new events."""
MAX_LISTENERS = 200
FIGURES_S = 1.0
SEEN_EVERY = 10
"""How many rounds of figures pass between two lists of the charge points that sent messages."""
SLICE = 250
"""Charge points compared between two pauses for messages."""

REDACTED = frozenset({"id_token", "parent_id_token", "key", "details", "readings", "payload", "certificates"})
"""Fields left out: personal data, or long. A payload may be a customer's data (NotifyCustomerInformation)."""
FORMER_NAMES = {"EventStreamReceived": "EventStreamTold"}
"""Former names of events, which are sent too until the next release."""
NOT_SENT = (ev.MeterValuesReceived, ev.HeartbeatReceived, ev.Authorized, ev.SchemaFaulted)
"""Events that are too frequent to send."""


WHOLE_FLEET = "\0"
"""In place of an identity, of frames for those who listen to all charge points. No identity contains NUL."""


class Frame(NamedTuple):
    """An event as it is sent. `number` 0: it is not in the ring, so that nobody can resume from it."""

    number: int
    cp_id: str
    data: bytes


ANNOUNCED = Frame(0, "", b"")
"""Stands in a listener's queue for the figures that wait beside it."""


class Listener:
    """The queue of one client. `dropped` is set when it does not keep up, or when the feed ends."""

    def __init__(self, cp_id: str | None, who: str = "") -> None:
        self.who = who
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        self.figures: dict[tuple[str, str], bytes] = {}
        """The newest figures that wait to be sent, by connector; an empty item in the queue announces them."""
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

    def put_figures(self, place: tuple[str, str], frame: Frame) -> None:
        """Queue a connector's figures in place of older ones, so that they never fill the queue. Never blocks."""
        if self.wants(frame):
            if not self.figures:
                self.put(ANNOUNCED)
            self.figures[place] = frame.data

    async def next_chunks(self, limit: int) -> list[bytes]:
        """Wait for something to send, and return at most `limit` of it."""
        chunks = [await self.queue.get()]
        while len(chunks) < limit and not self.queue.empty():
            chunks.append(self.queue.get_nowait())
        events = [chunk for chunk in chunks if chunk]
        if len(events) == len(chunks):
            return events
        places = list(self.figures)[: max(1, limit - len(events))]
        events.extend(self.figures.pop(place) for place in places)
        if self.figures:
            self.put(ANNOUNCED)
        return events


class SharedStream(Protocol):
    """The events and figures of all nodes: `app.cluster` implements it."""

    def append(self, event: ev.Event, lost: Callable[[], None]) -> None:
        """Send an event to all nodes, this one too. `lost` is called, perhaps at once, if that fails."""

    @property
    def wants_figures(self) -> bool:
        """Return whether somebody listens on another node."""

    def send_figures(self, figures: Sequence[Mapping[str, Any]]) -> None:
        """Send figures to the other nodes."""

    def forget(self) -> None:
        """Delete the events of all nodes."""


class EventFeed:
    """The listeners and the ring. Not thread-safe: for the event loop's thread."""

    def __init__(self, fleet: Fleet, max_listeners_of_user: int = MAX_LISTENERS) -> None:
        self._fleet = fleet
        self._max_listeners_of_user = max_listeners_of_user
        self._ring: deque[Frame] = deque(maxlen=RING)
        self._numbers = itertools.count(1)
        self._feed_id = secrets.token_hex(4)
        self._listeners: set[Listener] = set()
        self._figures: dict[tuple[str, str], tuple[float | str | None, ...]] = {}
        self._seen_ts = 0.0
        self.plugin = _FeedPlugin(self)
        self.shared: SharedStream | None = None
        """The stream of a cluster; None: there are no other nodes."""

    @property
    def has_listeners(self) -> bool:
        """Return whether anybody listens on this node."""
        return bool(self._listeners)

    def publish(self, event: ev.Event) -> None:
        """Send an event to every listener."""
        if self.shared is not None:
            self.shared.append(event, lambda: self._send([_unnumbered(event)]))
            return
        number = next(self._numbers)
        name = type(event).__name__
        self._deliver(number, event.cp_id, event_stream_text(name, json_of(event), f"{self._feed_id}-{number}"))

    def deliver(self, number: int, cp_id: str, name: str, data: bytes) -> None:
        """Send an event of the shared stream to every listener."""
        event_id = f"{self._feed_id}-{number}"
        self._deliver(number, cp_id, event_stream_text(name, data, event_id))

    def reset(self, feed_id: str, events: Iterable[tuple[int, str, str, bytes]]) -> None:
        """Replace the ring by events of the shared stream `feed_id`, and send every listener a `Reset`.

        Each event is (number, cp_id, name, data as JSON).
        """
        self._feed_id = feed_id
        self._ring.clear()
        for number, cp_id, name, data in events:
            self._ring.append(Frame(number, cp_id, event_stream_text(name, data, f"{feed_id}-{number}")))
        self._send([_reset()])

    def deliver_figures(self, figures: Sequence[Mapping[str, Any]]) -> None:
        """Send figures of another node to every listener."""
        for each in figures:
            place = (str(each.get("cp_id")), str(each.get("connector_id")))
            frame = Frame(0, place[0], sse("Figures", each, None))
            for listener in self._listeners:
                listener.put_figures(place, frame)

    def _deliver(self, number: int, cp_id: str, text: bytes) -> None:
        frame = Frame(number, cp_id, text)
        self._ring.append(frame)
        self._send([frame])

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Send something that is no event of the fleet to every listener; it is not kept."""
        if self._listeners:
            self._send([Frame(0, "", sse(name, data, None))])

    def publish_places(self, places: Sequence[Place], sites_changed: bool) -> None:
        """Send `SitesChanged`, and the places of charge points as `PlaceChanged`: a `Reset` if too many for a queue.

        Each node of a cluster notices a change itself, so those events have no ids there.
        """
        if sites_changed:
            self.notify("SitesChanged", {})
        frames = []
        for each in places:
            number = 0 if self.shared is not None else next(self._numbers)
            event_id = f"{self._feed_id}-{number}" if number else None
            frames.append(Frame(number, each.cp_id, sse("PlaceChanged", asdict(each), event_id)))
        if self.shared is None:
            self._ring.extend(frames)
        self._send(frames if len(frames) <= MAX_RESUMED else [_reset()])

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
        """Drop the kept events that contain an id token; those of a shared stream all."""
        if self.shared is not None:
            self.shared.forget()
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
        for number in itertools.count(1):
            await asyncio.sleep(FIGURES_S)
            if self._listeners or (self.shared is not None and self.shared.wants_figures):
                await self._send_changed_figures()
                if number % SEEN_EVERY == 0:
                    self._send_seen()

    def _since(self, last_id: str, listener: Listener) -> list[Frame]:
        feed_id, _, text = last_id.partition("-")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0  # noqa: PLR2004
        oldest = self._ring[0].number if self._ring else 1 if self.shared is None else sys.maxsize
        missed = [frame for frame in self._ring if frame.number > number and listener.wants(frame)]
        if feed_id != self._feed_id or number < oldest - 1 or len(missed) > MAX_RESUMED:
            return [_reset()]
        return missed

    def _send(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            for listener in self._listeners:
                listener.put(frame)

    def _send_seen(self) -> None:
        """Send which charge points sent a message since the last call; to listeners of the whole fleet only."""
        since_ts, latest_ts = self._seen_ts, self._seen_ts
        seen = []
        for cp in self._fleet.charge_points.values():
            if cp.last_msg_ts is not None and cp.last_msg_ts > since_ts:
                seen.append(cp.cp_id)
                latest_ts = max(latest_ts, cp.last_msg_ts)
        self._seen_ts = latest_ts
        if seen:
            shown = {"at": wire_time_or_none(latest_ts), "cp_ids": seen}
            self._send([Frame(0, WHOLE_FLEET, sse("Seen", shown, None))])

    async def _send_changed_figures(self) -> None:
        changed: list[Mapping[str, Any]] = []
        for index, cp in enumerate(list(self._fleet.charge_points.values())):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            for connector in list(cp.connectors.values()):
                transaction = connector.transaction
                energy_wh = None if transaction is None else transaction.meter.energy_wh
                now = (
                    *(connector.current_a, connector.power_w, connector.soc_percent, energy_wh),
                    *(connector.status, connector.error_code, connector.status_ts),
                    None if transaction is None else transaction.number,
                )
                place = (cp.cp_id, connector.connector_id)
                if self._figures.get(place) != now:
                    self._figures[place] = now
                    figures = _figures(place, now)
                    frame = Frame(0, cp.cp_id, sse("Figures", figures, None))
                    for listener in self._listeners:
                        listener.put_figures(place, frame)
                    changed.append(figures)
        if self.shared is not None and self.shared.wants_figures:
            self.shared.send_figures(changed)


FIGURES = ("current_a", "power_w", "soc_percent", "energy_wh", "status", "error_code", "status_at", "transaction")


def _figures(place: tuple[str, str], now: Sequence[Any]) -> Mapping[str, Any]:
    """Return the data of `Figures`: the connector, and its FIGURES."""
    figures = dict(zip(FIGURES, now, strict=True))
    figures["status_at"] = wire_time_or_none(figures["status_at"])
    return {"cp_id": place[0], "connector_id": place[1], **figures}


class _FeedPlugin(Plugin):
    """Receives the events for the feed, as any plugin does, so that it can't disturb messages."""

    name = "event feed"
    traced = False

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed
        self.events = tuple(kind for kind in _kinds(ev.Event) if kind not in NOT_SENT)

    async def on_event(self, event: ev.Event) -> None:
        self._feed.publish(event)


def _reset() -> Frame:
    return Frame(0, "", sse("Reset", {"reason": "events in between are not kept"}, None))


def _unnumbered(event: ev.Event) -> Frame:
    """Return an event that nobody can resume from."""
    return Frame(0, event.cp_id, event_stream_text(type(event).__name__, json_of(event), None))


def event_stream_text(name: str, data: Mapping[str, Any] | bytes, event_id: str | None) -> bytes:
    """Return an event as server-sent event; one that was renamed is followed by its former name, without an id."""
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


def as_json(data: Mapping[str, Any]) -> bytes:
    """Return the data of an event as text."""
    return orjson.dumps(data, default=_plain, option=orjson.OPT_NON_STR_KEYS)


def sse(name: str, data: Mapping[str, Any] | bytes, event_id: str | None) -> bytes:
    """Return one event of a text/event-stream (HTML living standard §9.2). `data` may be JSON already."""
    lines = [f"id: {event_id}\n".encode()] if event_id else []
    text = data if isinstance(data, bytes) else as_json(data)
    return b"".join([*lines, f"event: {name}\n".encode(), b"data: ", text, b"\n\n"])


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, set | frozenset | tuple) else str(value)
