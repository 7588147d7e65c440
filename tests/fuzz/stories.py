"""What a charge point says in a session, as frames: from recorded conversations, and from the simulator's words."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from fuzz import shapes
from support.schema_files import actions
from wattspan.simulator.dialects import DIALECTS
from wattspan.simulator.dialects.base import Dialect, OutgoingCall
from wattspan.simulator.meter import MEASURANDS, samples
from wattspan.simulator.model import NO_ERROR, ConnectorState, Hardware, Reading, Transaction
from wattspan.simulator.vehicle import Vehicle

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"

Call = tuple[str, dict[str, Any]]
Story = list[Call]
"""CALLs in order: action and payload."""

FROM_SCRATCH = 0.25
RECORDED = 0.35
"""Shares of the stories; the rest is the simulator's."""
REASONS = ("Local", "Remote", "Other")


class Stories:
    """An endless choice of stories of one version. `transaction_id`: what the last start was answered with (1.6)."""

    def __init__(self, rng: Random, subprotocol: str) -> None:
        self._rng = rng
        self._subprotocol = subprotocol
        self._dialect = next(each for each in DIALECTS.values() if each.subprotocol == subprotocol)
        self._recorded = _recorded(subprotocol)
        self._actions = actions(subprotocol)
        self.transaction_id: int | None = None

    def next(self) -> Story:
        """The next story; its payloads are the caller's to break."""
        chance = self._rng.random()
        if chance < FROM_SCRATCH:
            chosen = [self._rng.choice(self._actions) for _ in range(5)]
            return [(action, shapes.payload(self._rng, self._subprotocol, action)) for action in chosen]
        if self._recorded and chance < FROM_SCRATCH + RECORDED:
            return [(action, payload) for action, payload in json.loads(self._rng.choice(self._recorded))]
        return list(self._simulated(self._dialect))

    def _simulated(self, dialect: Dialect) -> Iterator[Call]:
        rng = self._rng
        ts, number = rng.choice((1_790_000_000.0, 0.0, 4e9)) + rng.random() * 1e6, rng.choice((1, 1, 2, 0, 70))
        car = Vehicle(battery_wh=50_000, phases=rng.choice((1, 3)), max_current_a=16, soc=0.5, current_a=12)
        transaction = Transaction(
            connector_id=number,
            id=dialect.new_transaction_id() or self.transaction_id or 1,
            id_tag=rng.choice(("TAG1", "TAG2", "x" * 20)),
            meter_start_wh=0,
            started_ts=ts,
            signed=rng.random() < 0.5,
            remote_start_id=rng.choice((None, 3)),
            reservation_id=rng.choice((None, 0, 4)),
        )

        def reading(after_s: float) -> Reading:
            shown = samples(car, 16.0, set(MEASURANDS), 0.01)
            return Reading(ts + after_s, rng.choice((0, 1_000)) + int(after_s), shown)

        def states(word: str, code: str = NO_ERROR) -> Iterator[OutgoingCall]:
            yield from dialect.connector_status(
                number, ConnectorState(word, code), ConnectorState("Faulted", "HighTemperature"), ts
            )

        messages = [
            dialect.boot("CP1", Hardware(), "PowerUp"),
            *states("Preparing"),
            dialect.authorize(transaction.id_tag),
            dialect.transaction_started(transaction, reading(0), offline=False),
            *states("Charging"),
            *(dialect.meter_reading(transaction, reading(at), offline=at > 200) for at in (60, 120, 20_000, 240)),
            dialect.charging_state_changed(transaction, "SuspendedEV", ts + 300, offline=True),
            dialect.transaction_stopped(
                transaction, reading(400), rng.choice(("Local", "Remote", "Other")), offline=False
            ),
            *states("Faulted", rng.choice(("GroundFailure", "VendorThing"))),
        ]
        for message in messages:
            if message is not None:
                yield message.action, message.payload()


@cache
def _recorded(subprotocol: str) -> tuple[str, ...]:
    """What charge points say in the transcripts of this version, each a story as JSON."""
    return tuple(json.dumps(story) for story in _told(subprotocol))


def _told(subprotocol: str) -> Iterator[Story]:
    for path in sorted(TRANSCRIPTS.glob("*.jsonl")):
        head, *steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if head["version"] == subprotocol:
            frames = [step["cp"] for step in steps if "cp" in step]
            yield [
                (frame[2], frame[3]) for frame in frames if isinstance(frame, list) and len(frame) > 3 and frame[0] == 2
            ]
