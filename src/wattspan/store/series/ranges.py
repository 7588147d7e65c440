"""Sums of blocks over a range in steps: which tier answers it, and the columns of the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

from wattspan.store.series.blocks import (
    CHANNELS,
    ENERGY,
    HOUR_S,
    MINUTE_S,
    QUARTER_S,
    RETENTION_S,
    Block,
)

TIERS = (HOUR_S, QUARTER_S, MINUTE_S)

Group = tuple[str, ...]
"""What a series is of: its values of the attributes that the caller groups by."""


def tier_for(step_s: int, from_ts: float, now_ts: float) -> int:
    """Return the longest step of stored blocks that divides `step_s` and reaches back to `from_ts`.

    If none of those reaches back so far, it is the shortest that does, which may be longer than `step_s`.
    """
    reaching = [tier for tier in TIERS if now_ts - from_ts <= RETENTION_S[tier]] or [HOUR_S]
    dividing = [tier for tier in reaching if step_s % tier == 0]
    return dividing[0] if dividing else reaching[-1]


@dataclass(slots=True)
class Range:
    """Totals by group in steps from `from_ts` on: each charge point's mean of a step, or its energy, summed."""

    from_ts: int
    step_s: int
    count: int
    channels: Sequence[str]
    totals: dict[Group, list[list[float]]] = field(default_factory=dict)

    @property
    def until_ts(self) -> int:
        """The end of the last step."""
        return self.from_ts + self.count * self.step_s

    def add(self, blocks: Sequence[Block], places: Mapping[str, Group]) -> None:
        """Add the blocks of one charge point, sorted by time. No two cover the same time.

        `places` are the groups of its places; other places are left out. Blocks may have different steps.
        """
        for place, group in places.items():
            for number, name in enumerate(self.channels):
                totals, weights = [0.0] * self.count, [0.0] * self.count
                index = CHANNELS.index(name)
                for block in blocks:
                    if place in block.places:
                        self._collect(block, block.places[place][index], totals, weights, index == ENERGY)
                if any(weights):
                    self._add_column(group, number, totals, weights, index == ENERGY)

    def _collect(
        self, block: Block, channel: Sequence[float], totals: list[float], weights: list[float], is_energy: bool
    ) -> None:
        step_s = block.step_s
        weight = float(step_s)
        factor = 1.0 if is_energy else weight
        first = max(0, -(-(self.from_ts - block.start_ts) // step_s))
        last = min(len(channel), -(-(self.until_ts - block.start_ts) // step_s))
        ts = block.start_ts + first * step_s - self.from_ts
        for value in channel[first:last]:
            if value == value:  # noqa: PLR0124  NaN differs from itself
                index = ts // self.step_s
                totals[index] += value * factor
                weights[index] += weight
            ts += step_s

    def _add_column(
        self, group: Group, number: int, totals: list[float], weights: list[float], is_energy: bool
    ) -> None:
        columns = self.totals.get(group)
        if columns is None:
            columns = self.totals[group] = [[nan] * self.count for _ in self.channels]
        column = columns[number]
        for index, weight in enumerate(weights):
            if weight:
                value = totals[index] if is_energy else totals[index] / weight
                before = column[index]
                column[index] = value + before if before == before else value  # noqa: PLR0124


def without_overlaps(blocks: Sequence[Block]) -> list[Block]:
    """Return blocks of one charge point and step so that no two cover the same time, the later one prevailing."""
    made: list[Block] = []
    for each in sorted(blocks, key=lambda block: (block.start_ts, block.count)):
        if made and each.start_ts < made[-1].until_ts:
            made[-1] = made[-1].copy()
            made[-1].overlay(each)
            if each.until_ts > made[-1].until_ts:
                made.append(each)
        else:
            made.append(each)
    return made
