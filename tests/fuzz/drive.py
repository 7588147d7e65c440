"""Frames into the real sessions and service, thousands a second, and what must hold whatever they were.

The whole central system runs, with its store on disk and its page; only sockets are left out. Each charge point tells
stories, most frames broken, some twice, some out of place; now and then it hangs up and comes back.
"""

import asyncio
import ctypes
import gc
import sys
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil

from fuzz.mutate import encoded, mutated
from fuzz.stories import Stories, Story
from fuzz.wires import Wire
from support.central import Csms
from wattspan.domain.model import MAX_CONNECTORS, MAX_UNENDED
from wattspan.versions import VERSIONS

BURST = 8
"""Frames a charge point sends without waiting for answers; a session may have four times as many waiting."""
WHOLE, TWICE, MISPLACED = 0.35, 0.05, 0.05
"""Shares of the frames: left whole, sent again, sent out of their place."""
HANGS_UP = 0.02
"""A burst: afterwards the charge point reconnects."""
ANSWER_S = 30.0


class FuzzFault(AssertionError):
    """Something did not hold; `frames` are the last ones of the charge point, newest last."""

    def __init__(self, claim: str, frames: list[bytes]) -> None:
        super().__init__("\n  ".join([claim, *(repr(frame[:2_000]) for frame in frames[-BURST:])]))


@dataclass(slots=True, eq=False)
class Charger:
    """One charge point and the story that it is telling."""

    cp_id: str
    rng: Random
    stories: Stories
    wire: Wire
    live: Any
    story: Story = field(default_factory=list)
    sent: int = 0
    last: list[bytes] = field(default_factory=list)

    def frame(self) -> bytes:
        """The next frame."""
        rng = self.rng
        if not self.story:
            self.stories.transaction_id = self.wire.last_start
            self.story = self.stories.next()
        at = rng.randrange(len(self.story)) if rng.random() < MISPLACED else 0
        action, payload = self.story[at] if rng.random() < TWICE else self.story.pop(at)
        if "transactionId" in payload and self.wire.last_start is not None and rng.random() < 0.7:
            payload = payload | {"transactionId": self.wire.last_start}
        self.sent += 1
        frame = [2, f"{self.cp_id}-{self.sent}", action, payload]
        return encoded(frame) if rng.random() < WHOLE else mutated(rng, frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What may not grow."""

    frames: int
    resident: int
    objects: int
    tasks: int
    lines: int
    open: int
    recalled: int
    connectors: int

    def __str__(self) -> str:
        memory = f"{self.resident / (1 << 20):.1f} MiB, {self.objects:,} objects, {self.tasks} tasks"
        held = f"{self.open} transactions open, {self.recalled} recalled, {self.connectors} connectors"
        return f"{self.frames:>9,} frames: {memory}, {held}, {self.lines:,} lines on the page"


class Drive:
    """Chargers of all versions on one central system."""

    def __init__(self, csms: Csms, *, seed: int, chargers: int) -> None:
        self._csms = csms
        self._gateway = csms.central._gateway
        self._rng = Random(seed)
        self.frames = 0
        self.chargers = [
            self._charger(f"FUZZ{number:03}", subprotocol, seed)
            for number in range(chargers)
            for subprotocol in VERSIONS
        ]

    async def run(self, frames: int, until_s: float) -> None:
        """Send so many frames more, or until `time.monotonic()` is `until_s`. Raises FuzzFault."""
        wanted = self.frames + frames
        while self.frames < wanted and time.monotonic() < until_s:
            for charger in self.chargers:
                await self._settle(charger)
                if self._rng.random() < HANGS_UP:
                    self._reconnect(charger)
                charger.last = [charger.frame() for _ in range(BURST)]
                for data in charger.last:
                    charger.wire.receive(data)
                self.frames += BURST
        await self._settle(*self.chargers)

    def misfits(self) -> list[str]:
        """Answers that break their schemas, one an action."""
        found: dict[str, str] = {}
        for charger in self.chargers:
            found |= charger.wire.misfits
        return [fault[:1_000] for fault in found.values()]

    async def level(self) -> Level:
        """How much there is of what may not grow, after everything has settled."""
        await self._csms.durable()
        lines = len(await self._csms.page())
        fleet = self._csms.central.fleet
        charge_points = fleet.charge_points.values()
        _give_back()
        return Level(
            frames=self.frames,
            resident=psutil.Process().memory_info().rss,
            objects=len(gc.get_objects()),
            tasks=len(asyncio.all_tasks()),
            lines=lines,
            open=sum(len(cp.transactions) for cp in charge_points),
            recalled=len(fleet._recalled),
            connectors=sum(len(cp.connectors) for cp in charge_points),
        )

    def beyond(self) -> list[str]:
        """Charge points that hold more than is kept of one."""
        return [
            f"{cp.cp_id}: {len(cp.transactions)} transactions open at {len(cp.connectors)} connectors"
            for cp in self._csms.central.fleet.charge_points.values()
            if len(cp.connectors) > MAX_CONNECTORS + 1 or len(cp.transactions) > len(cp.connectors) + MAX_UNENDED
        ]

    async def serves(self) -> None:
        """Every session still answers a Heartbeat, and takes one StatusNotification. Raises FuzzFault."""
        for charger in self.chargers:
            before = charger.wire.answers
            charger.last = [encoded([2, "last", "Heartbeat", {}])]
            charger.wire.receive(charger.last[0])
            await self._settle(charger)
            if charger.wire.answers != before + 1:
                raise FuzzFault(f"{charger.cp_id} serves no more", charger.last)

    def _charger(self, number: str, subprotocol: str, seed: int) -> Charger:
        cp_id = f"{number}-{subprotocol.removeprefix('ocpp')}"
        rng = Random(f"{seed}/{cp_id}")
        wire = Wire(subprotocol)
        return Charger(cp_id, rng, Stories(rng, subprotocol), wire, self._enter(wire, cp_id))

    def _enter(self, wire: Wire, cp_id: str) -> Any:
        return self._gateway._enter(wire, cp_id, VERSIONS[wire.subprotocol])  # type: ignore[arg-type]

    def _reconnect(self, charger: Charger) -> None:
        self._gateway._leave(charger.cp_id, charger.live)
        charger.wire.close_code = 1006
        charger.live = self._enter(charger.wire, charger.cp_id)

    async def _settle(self, *chargers: Charger) -> None:
        """Wait until nothing is owed to these, and see what the answers were."""
        await asyncio.sleep(0)
        for charger in chargers:
            wire = charger.wire
            deadline_s = time.monotonic() + ANSWER_S
            while wire.owing:
                if time.monotonic() > deadline_s:
                    raise FuzzFault(f"{charger.cp_id}: {wire.owing} not answered", charger.last)
                await asyncio.sleep(0)
            if wire.faults:
                raise FuzzFault(f"{charger.cp_id}: {wire.faults[0]}", charger.last)
            if wire.dropped:
                raise FuzzFault(f"{charger.cp_id}: dropped", charger.last)


def _give_back() -> None:
    """Let go of garbage, and of memory that was freed: a page that was looked at would stay resident."""
    gc.collect()
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)
