"""Reads lines that differ from an earlier line in their time and message only, without the parser of their format.

A log has a few thousand different texts before its messages, apart from the time. It owns which of them were seen; what
a line means is known by its format alone.
"""

import re
from collections.abc import Callable
from datetime import tzinfo
from math import isnan
from typing import NamedTuple

from orjson import JSONDecodeError, dumps, loads

from wattspan.replay.formats.base import HEAD_CHARACTERS, TIME, Format, Unreadable, time_in, time_of
from wattspan.replay.records import Frame, PassedOver, Record

MAX_HEADS = 50_000
MAX_TIMES = 5_000
"""Beyond these, what was seen is forgotten."""

_SECOND_CHARACTERS = 19
_MESSAGE_TYPES = frozenset({"2,", "3,", "4,", "5,", "6,"})
_SECOND = re.compile(r"\d{4}[-/]\d\d[-/]\d\d[T\s]\d\d:\d\d:\d\d", re.ASCII)
_REST = re.compile(r'(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?"', re.ASCII)
"""What follows the second of a time in JSON."""
_FRACTION = re.compile(r"[.,](\d{1,9})", re.ASCII)
_new = tuple.__new__
"""Makes a named tuple in half of the time of its own constructor."""

IsWanted = Callable[[str], bool]
"""Whether the messages of a charge point are wanted."""


def wants_all(cp_id: str) -> bool:
    """Return True."""
    return True


class _Head(NamedTuple):
    """What the text around the time says. `seconds` are the Unix seconds of texts with its `offset`."""

    cp_id: str
    from_charge_point: bool
    protocol: str | None
    offset: str
    seconds: dict[str, float]
    is_wanted: bool


class KnownHeads:
    """Parses the lines of one file as `format_` does, with the same result.

    Messages of charge points that `is_wanted` does not want may be `PassedOver`.
    """

    def __init__(self, format_: Format, zone: tzinfo, is_wanted: IsWanted = wants_all) -> None:
        self._is_wanted = is_wanted
        self._format = format_
        self._zone = zone
        self._begin: int | None = None
        """Where the time begins in a line; None: not known yet."""
        self._end = 0
        self._heads: dict[str, _Head] = {}
        self._seconds: dict[str, dict[str, float]] = {}
        """By offset, then by the text of the second."""
        self._fractions: dict[str, float] = {"": 0.0}

    def parse(self, line: str) -> Record | None:
        """Return the record of a line. Returns and raises as `Format.parse` does."""
        begin, end = self._begin, self._end
        if begin is not None:
            at = line.find("[", end, end + HEAD_CHARACTERS)
            if line[at + 1 : at + 3] not in _MESSAGE_TYPES:
                at = _message_begin(line, end)
            head = None if at < 0 else self._heads.get(line[end:at] if begin == 0 else line[:begin] + line[end:at])
            if head is not None and line[-1] == "]":
                second_ts = head.seconds.get(line[begin : begin + _SECOND_CHARACTERS])
                fraction = self._fractions.get(line[begin + _SECOND_CHARACTERS : end])
                if second_ts is None or fraction is None:
                    second_ts, fraction = self._time(line, begin, head)
                if second_ts is not None and fraction is not None:
                    if not head.is_wanted:
                        return _new(PassedOver, (second_ts + fraction, head.cp_id))
                    frame = (second_ts + fraction, head.cp_id, head.from_charge_point, line[at:], head.protocol)
                    return _new(Frame, frame)
        record = self._format.parse(line, self._zone)
        if type(record) is Frame:
            self._learn(line, record)
        return record

    def _time(self, line: str, begin: int, head: _Head) -> tuple[float | None, float | None]:
        """Return the second and the fraction of a line with a known head, and keep them; None for one that is none."""
        second = line[begin : begin + _SECOND_CHARACTERS]
        text = line[begin + _SECOND_CHARACTERS : self._end]
        if _SECOND.fullmatch(second) is None:
            return None, None
        found = _FRACTION.fullmatch(text)
        if found is None and text:
            return None, None
        for times in (head.seconds, self._fractions):
            if len(times) > MAX_TIMES:
                times.clear()
        fraction = self._fractions[text] = float(f"0.{found[1]}") if found else 0.0
        second_ts = head.seconds[second] = time_in(second + head.offset, self._zone)
        return second_ts, fraction

    def _learn(self, line: str, frame: Frame) -> None:
        """Keep the head of a line if it and the time say all that the record has apart from the message."""
        data = frame.data
        found = TIME.search(line, 0, HEAD_CHARACTERS)
        if found is None or type(data) is not str or not line.endswith(data) or not data.endswith("]"):
            return
        if self._begin is None:
            self._begin = found.start()
            self._end = found.end("time") if found["fraction"] is None else found.end("fraction")
        begin, end, at = self._begin, self._end, len(line) - len(data)
        if found.start() != begin or at != _message_begin(line, end):
            return
        between = line[end:at]
        if found.end("time" if found["fraction"] is None else "fraction") != end or between[:1].isdigit():
            return
        head = _Head(
            frame.cp_id,
            frame.from_charge_point,
            frame.protocol,
            found["offset"] or "",
            self._seconds.setdefault(found["offset"] or "", {}),
            not frame.cp_id or self._is_wanted(frame.cp_id),
        )
        second_ts, fraction = self._time(line, begin, head)
        if second_ts is None or fraction is None or second_ts + fraction != frame.ts:
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        self._heads[line[:begin] + between] = head


class _JsonHead(NamedTuple):
    """What a line says apart from its time and message."""

    cp_id: str
    from_charge_point: bool
    protocol: str | None
    is_wanted: bool


class KnownJsonHeads:
    """Parses the lines of one file of JSON objects as `format_` does, with the same result.

    Of a line that differs from an earlier one in its time and message only, the message alone is decoded. Messages of
    charge points that `is_wanted` does not want may be `PassedOver`. If the times are numbers, the format parses all
    lines: to decode a whole line takes less time then.
    """

    def __init__(self, format_: Format, zone: tzinfo, is_wanted: IsWanted = wants_all) -> None:
        self._format = format_
        self._zone = zone
        self._is_wanted = is_wanted
        self._has_numbers = False
        self._time_key = ""
        """The key of the time with its quotes and colon; "": not known yet."""
        self._heads: dict[str, _JsonHead] = {}
        """By what a line has apart from time and message: it is JSON only with both at their places."""
        self._seconds: dict[str, dict[str, float]] = {}
        """By offset, then by the text of the second."""
        self._rests: dict[str, tuple[float, dict[str, float]]] = {}
        """By what follows the second: the fraction, and the Unix seconds of texts with the offset."""

    def parse(self, line: str) -> Record | None:
        """Return the record of a line. Returns and raises as `Format.parse` does."""
        if self._has_numbers:
            return self._format.parse(line, self._zone)
        time_key = self._time_key  # as `_parts`, without the call
        begin = line.find(time_key, 0, HEAD_CHARACTERS) + len(time_key)
        end = line.find(",", begin, begin + HEAD_CHARACTERS)
        at, message_end = line.find("[", end, end + HEAD_CHARACTERS), line.rfind("]") + 1
        head = self._heads.get(line[:begin] + line[end:at] + line[message_end:])
        if head is None or line[at + 1 : at + 3] not in _MESSAGE_TYPES:
            record = self._format.parse(line, self._zone)
            if type(record) is Frame and type(record.data) is list:
                self._learn(line, record)
            return record
        ts = self._time(line[begin:end])
        if ts is None:
            return self._format.parse(line, self._zone)
        cp_id, from_charge_point, protocol, is_wanted = head
        if not is_wanted:
            return _new(PassedOver, (ts, cp_id))
        try:
            message = loads(line[at:message_end])
        except JSONDecodeError:
            message = ()
        if len(message) > 2:  # noqa: PLR2004  else it is no message for the format
            return _new(Frame, (ts, cp_id, from_charge_point, message, protocol))
        try:
            return self._format.parse(line, self._zone)
        except Unreadable as fault:
            fault.passed = PassedOver(ts, cp_id)
            raise

    def _parts(self, line: str) -> tuple[int, int, int, int]:
        """Return where the time begins and ends, and where the message does. -1 as its begin: it is not there."""
        begin = line.find(self._time_key, 0, HEAD_CHARACTERS) + len(self._time_key)
        end = line.find(",", begin, begin + HEAD_CHARACTERS)
        return begin, end, line.find("[", end, end + HEAD_CHARACTERS), line.rfind("]") + 1

    def _time(self, text: str) -> float | None:
        """Return the time that a line has as text; None for one that is none, or in an unusual form."""
        second, rest = text[1 : 1 + _SECOND_CHARACTERS], text[1 + _SECOND_CHARACTERS :]
        known = self._rests.get(rest)
        second_ts = None if known is None else known[1].get(second)
        if known is None or second_ts is None:
            found = _REST.fullmatch(rest)
            if found is None or _SECOND.fullmatch(second) is None:
                return None
            fraction, offset = found.groups(default="")
            seconds = self._seconds.setdefault(offset, {})
            for times in (self._rests, seconds):
                if len(times) > MAX_TIMES:
                    times.clear()
            known = self._rests[rest] = (float(f"0{fraction}"), seconds)
            second_ts = seconds[second] = time_in(second + offset, self._zone)
        ts = second_ts + known[0]
        return None if isnan(ts) else ts

    def _learn(self, line: str, frame: Frame) -> None:
        """Keep the head of a line, if a line with another time and message has the same record apart from these."""
        if not (line.startswith("{") and line.endswith("}")):  # one of a JSON array
            return
        if not self._time_key:
            self._time_key, self._has_numbers = self._time_key_of(line, frame.ts)
        begin, end, at, message_end = self._parts(line)
        if not self._time_key or at < 0 or self._time(line[begin:end]) != frame.ts:
            return
        parts = (line[:begin], line[end:at], line[message_end:])
        try:
            other = self._format.parse(f'{parts[0]}1{parts[1]}[2,"",""]{parts[2]}', self._zone)
        except Unreadable:
            return
        if other != frame._replace(ts=1.0, data=[2, "", ""]):
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        is_wanted = not frame.cp_id or self._is_wanted(frame.cp_id)
        self._heads["".join(parts)] = _JsonHead(frame.cp_id, frame.from_charge_point, frame.protocol, is_wanted)

    def _time_key_of(self, line: str, ts: float) -> tuple[str, bool]:
        """Return the key of the time as the line has it, "" if it is not known; and whether the time is a number."""
        for key, value in loads(line).items():
            for text in (f"{dumps(key).decode()}:", f"{dumps(key).decode()}: "):
                if time_of(value, self._zone) == ts and f"{text}{dumps(value).decode()}" in line:
                    return text, type(value) is not str
        return "", False


def _message_begin(line: str, after: int) -> int:
    """Return where the message begins: at the first or second bracket, before a message type; -1: not there."""
    at = line.find("[", after, after + HEAD_CHARACTERS)
    if at >= 0 and line[at + 1 : at + 3] not in _MESSAGE_TYPES:
        at = line.find("[", at + 1, after + HEAD_CHARACTERS)
        if line[at + 1 : at + 3] not in _MESSAGE_TYPES:
            return -1
    return at
