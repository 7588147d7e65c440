"""Blocks of samples: packing them for a row, unpacking them, and making blocks of a longer step from them.

A block has one array of 32-bit floats for each channel of each place; a place is a connector, or WHOLE. NaN: no sample.
"""

import sys
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan

import orjson

WHOLE = ""
"""The place of the charge point as a whole."""
CHANNELS = ("power_w", "energy_wh", "sessions", "connected", "faults", "current_a")
"""`energy_wh` is delivered within the step; the others are means over it."""
ENERGY = CHANNELS.index("energy_wh")

MINUTE_S, QUARTER_S, HOUR_S, DAY_S = 60, 900, 3600, 86_400
BLOCK_S: Mapping[int, int] = {MINUTE_S: HOUR_S, QUARTER_S: DAY_S, HOUR_S: 28 * DAY_S}
"""The seconds that a block of each step covers at most. Blocks end at multiples of it."""
RETENTION_S: Mapping[int, int] = {MINUTE_S: 2 * DAY_S, QUARTER_S: 60 * DAY_S, HOUR_S: 730 * DAY_S}
"""How long blocks of each step are kept."""

_LEVEL = 1
_VERSION = 2
_FIRST_CHANNELS = 5
"""Channels of version 1. Version 2 has the others after those of all places, and a server of version 1 ignores them."""
_ITEM = array("f").itemsize

Channels = list["array[float]"]
"""One array for each of CHANNELS, all of the same length."""


def _empty(count: int) -> Channels:
    return [array("f", [nan]) * count for _ in CHANNELS]


@dataclass(slots=True)
class Block:
    """Samples of one charge point from `start_ts` on, one each `step_s`. `places` has WHOLE and connector ids."""

    cp_id: str
    step_s: int
    start_ts: int
    count: int = 0
    places: dict[str, Channels] = field(default_factory=dict)

    @property
    def until_ts(self) -> int:
        """The end of the last sample."""
        return self.start_ts + self.count * self.step_s

    @property
    def ends_ts(self) -> int:
        """The end of the longest block that begins like this one."""
        length_s = BLOCK_S[self.step_s]
        return (self.start_ts // length_s + 1) * length_s

    def add(self, ts: int, sample: Mapping[str, tuple[float, ...]]) -> None:
        """Add the samples of the step that begins at `ts`, by place; missed steps before it stay NaN."""
        index = (ts - self.start_ts) // self.step_s
        if index < 0:
            return
        self._extend(max(self.count, index + 1))
        for place, values in sample.items():
            channels = self.places.get(place)
            if channels is None:
                channels = self.places[place] = _empty(self.count)
            for channel, value in zip(channels, values, strict=True):
                channel[index] = value

    def overlay(self, other: "Block") -> None:
        """Take over the samples of a block of the same step; NaN does not replace a sample."""
        offset = (other.start_ts - self.start_ts) // self.step_s
        self._extend(max(self.count, min(offset + other.count, (self.ends_ts - self.start_ts) // self.step_s)))
        for place, channels in other.places.items():
            own = self.places.setdefault(place, _empty(self.count))
            for target, source in zip(own, channels, strict=True):
                if offset >= 0 and offset + other.count <= self.count and _is_complete(source):
                    target[offset : offset + other.count] = source
                    continue
                for index, value in enumerate(source, offset):
                    if value == value and 0 <= index < self.count:  # noqa: PLR0124  NaN differs from itself
                        target[index] = value

    def coarser(self, step_s: int) -> "Block":
        """Return a block of a longer step with the sum of energy and the means of the rest, from its own first step."""
        start_ts = self.start_ts // step_s * step_s
        made = Block(self.cp_id, step_s, start_ts)
        made._extend(-(-(self.until_ts - start_ts) // step_s))
        for place, channels in self.places.items():
            totals = made.places[place] = _empty(made.count)
            for number, channel in enumerate(channels):
                mean = number != ENERGY
                for index, (first, last) in enumerate(self._parts(start_ts, step_s, made.count)):
                    totals[number][index] = _total(channel[first:last], mean=mean)
        return made

    def _parts(self, start_ts: int, step_s: int, count: int) -> list[tuple[int, int]]:
        """Return the range of samples within each of `count` longer steps from `start_ts` on."""
        offset, length = (self.start_ts - start_ts) // self.step_s, step_s // self.step_s
        firsts = [max(0, index * length - offset) for index in range(count)]
        return [(first, min(self.count, (index + 1) * length - offset)) for index, first in enumerate(firsts)]

    def until(self, ts: int) -> "Block":
        """Return the part before `ts`, which may be the block itself."""
        count = (ts - self.start_ts) // self.step_s
        if count >= self.count:
            return self
        places = {place: [each[:count] for each in channels] for place, channels in self.places.items()}
        return Block(self.cp_id, self.step_s, self.start_ts, max(0, count), places)

    def since(self, ts: int) -> "Block":
        """Return the part from `ts` on, which may be the block itself."""
        first = -(-(ts - self.start_ts) // self.step_s)
        if first <= 0:
            return self
        places = {place: [each[first:] for each in channels] for place, channels in self.places.items()}
        start_ts = self.start_ts + first * self.step_s
        return Block(self.cp_id, self.step_s, start_ts, max(0, self.count - first), places)

    def copy(self) -> "Block":
        """Return a copy that does not change with this one."""
        places = {place: [array("f", each) for each in channels] for place, channels in self.places.items()}
        return Block(self.cp_id, self.step_s, self.start_ts, self.count, places)

    def _extend(self, count: int) -> None:
        more = count - self.count
        if more > 0:
            filler = array("f", [nan]) * more
            for channels in self.places.values():
                for channel in channels:
                    channel.extend(filler)
            self.count = count


def _is_complete(samples: "array[float]") -> bool:
    total = sum(samples)
    return total == total  # noqa: PLR0124  NaN differs from itself


def _total(samples: "array[float]", *, mean: bool) -> float:
    """Return the sum or the mean of the samples that are there, or NaN."""
    total, count = sum(samples), len(samples)
    if total != total:  # noqa: PLR0124
        there = [value for value in samples if value == value]  # noqa: PLR0124
        total, count = sum(there), len(there)
    if not count:
        return nan
    return total / count if mean else total


def packed(block: Block) -> tuple[bytes, bytes]:
    """Return the columns `whole` and `connectors` of a block's row."""
    whole = {WHOLE: block.places[WHOLE]} if WHOLE in block.places else {}
    connectors = {place: each for place, each in block.places.items() if place != WHOLE}
    return _pack(block.count, whole), _pack(block.count, connectors)


def unpacked(cp_id: str, step_s: int, start_ts: int, *columns: bytes) -> Block:
    """Return the block of a row, with the places of the columns that are given."""
    block = Block(cp_id, step_s, start_ts)
    for column in columns:
        block.count, places = _unpack(column)
        block.places.update(places)
    return block


def _pack(count: int, places: Mapping[str, Channels]) -> bytes:
    head = orjson.dumps([_VERSION, count, list(places)])
    first = [channel for channels in places.values() for channel in channels[:_FIRST_CHANNELS]]
    later = [channel for channels in places.values() for channel in channels[_FIRST_CHANNELS:]]
    arrays = b"".join(_little_endian(channel).tobytes() for channel in first + later)
    return zlib.compress(len(head).to_bytes(4, "little") + head + arrays, _LEVEL)


def _unpack(data: bytes) -> tuple[int, dict[str, Channels]]:
    raw = zlib.decompress(data)
    first = 4 + int.from_bytes(raw[:4], "little")
    version, count, names = orjson.loads(raw[4:first])
    places: dict[str, Channels] = {name: [] for name in names}
    stored = (_FIRST_CHANNELS,) if version == 1 else (_FIRST_CHANNELS, len(CHANNELS) - _FIRST_CHANNELS)
    for channel_count in stored:
        for channels in places.values():
            for _ in range(channel_count):
                channel = array("f", raw[first : first + count * _ITEM])
                channels.append(_little_endian(channel))
                first += count * _ITEM
    if version == 1:
        for channels in places.values():
            channels.extend(_empty(count)[_FIRST_CHANNELS:])
    return count, places


def _little_endian(channel: "array[float]") -> "array[float]":
    if sys.byteorder == "little":
        return channel
    swapped = array("f", channel)
    swapped.byteswap()
    return swapped
