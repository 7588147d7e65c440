"""Reads a log file line by line: its format, records of several lines, lines that cannot be read, missing times.

It owns what a line means as part of a file, not what a message means.
"""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import chain, islice
from math import isnan
from pathlib import Path
from typing import IO

from wattspan.replay.files import STDIN, DamagedFile, LogError, opened, text_lines, utf8
from wattspan.replay.formats import FORMATS
from wattspan.replay.formats.base import Format, IncompleteFrame, Unreadable, time_in
from wattspan.replay.formats.known_heads import IsWanted, KnownHeads, KnownJsonHeads, wants_all
from wattspan.replay.records import Frame, Located, PassedOver, Record
from wattspan.versions import VERSIONS

CALL = 2
GUESS_LINES = 2_000
"""The format and the side of a log are guessed from its first lines."""
MAX_LINE_BYTES = 64 << 20
"""A longer line is read in parts, which are unreadable."""
MAX_LINES_OF_A_MESSAGE = 20_000
BLOCK_BYTES = 1 << 20
SHOWN = 5
"""Unreadable lines of a file that are kept with their reason."""

_CHARGE_POINT_ACTIONS = frozenset(action for version in VERSIONS.values() for action in version.requests) - frozenset(
    action for version in VERSIONS.values() for action in version.commands
)
_ACTION = re.compile(r'\[\s*2\s*,\s*"?[^",]*"?\s*,\s*"(\w+)"')
_TIME_WITHIN = re.compile(r'"(?:currentTime|timestamp)"\s*:\s*"([^"]{10,40})"')
TURNED_BACK_S = 60.0
"""Local times that go back by more than this when clocks are turned back are those of the second hour."""
_new = tuple.__new__
"""Makes a named tuple in half of the time of its own constructor."""


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A line that belongs to no message, though its format says that it should."""

    file: str
    line: int
    reason: str


@dataclass(slots=True)
class ReadCounts:
    """What was read so far, from all files."""

    lines: int = 0
    bytes: int = 0
    records: int = 0
    ignored: int = 0
    """Lines that are not about messages or connections."""
    unreadable: int = 0
    """Unreadable lines whose charge point is not known; every reader of the file finds them."""
    unreadable_of_wanted: int = 0
    """Unreadable lines of the wanted charge points."""
    repeated: int = 0
    """Lines that are the same as the one before, time included; they are left out."""
    untimed: int = 0
    """Messages without a time; they have the time of their content or of the line before."""
    formats: dict[str, str] = field(default_factory=dict)
    """The format of each file."""
    first_unreadable: dict[str, list[UnreadableLine]] = field(default_factory=dict)
    """By file."""


class _Begun:
    """A message of several lines, as far as it was read. `depth` is the number of brackets that are open."""

    def __init__(self, text: str, line: int) -> None:
        self.lines: list[str] = []
        self.line = line
        self.depth = 0
        self.add(text)

    def add(self, text: str) -> bool:
        """Add a line, and return whether the message has ended."""
        self.lines.append(text)
        self.depth += text.count("[") - text.count("]")
        return self.depth <= 0 or len(self.lines) >= MAX_LINES_OF_A_MESSAGE

    def record(self, format_: Format, zone: tzinfo) -> Record | None:
        """Return the whole record; None if it is none."""
        try:
            return format_.parse("\n".join(self.lines), zone)
        except Unreadable:
            return None


class LogReader:
    """Reads log files. `zone` applies to times without an offset; `format_` None: guessed for each file.

    Messages of charge points that `is_wanted` does not want are `PassedOver` where that takes less time. Files in gzip
    are decompressed; "-" is standard input.
    """

    def __init__(self, *, format_: Format | None = None, zone: tzinfo = UTC, is_wanted: IsWanted = wants_all) -> None:
        self.counts = ReadCounts()
        self._is_wanted = is_wanted
        self._format = format_
        self._zone = zone

    def read(self, path: str) -> Iterator[Located]:
        """Yield the records of a file in its order. Raises LogError if it cannot be opened or no format fits."""
        counts = self.counts
        with opened(path) as file:
            lines = self._lines(path, file)
            head = list(islice(lines, GUESS_LINES))
            if not any(head):
                head += lines  # an empty file, as logs are that were rotated before anything happened
            if not any(head):
                return
            format_ = self._format or self._guess(path, head)
            counts.formats[path] = format_.name
            flipped = self._is_log_of_a_charge_point(format_, head)
            last_ts = self._first_time(format_, head) or changed_ts(path)
            for number, record in self._records(path, format_, chain(head, lines)):
                read, ts = record, record[0]
                if type(read) is Frame and (flipped or not read.cp_id):
                    read = read._replace(
                        from_charge_point=read.from_charge_point is not flipped, cp_id=read.cp_id or _id_of(path)
                    )
                if ts != ts:  # noqa: PLR0124  it is NaN
                    ts = max(last_ts, self._time_within(read) or last_ts)
                    read = read._replace(ts=ts)
                    counts.untimed += 1
                elif ts < last_ts - TURNED_BACK_S and self._zone is not UTC:
                    ts = self._in_second_hour(ts, last_ts)
                    read = read._replace(ts=ts)
                last_ts = ts
                counts.records += type(read) is not PassedOver
                yield _new(Located, (read, path, number))

    def _in_second_hour(self, ts: float, last_ts: float) -> float:
        """Return the time an hour later if the local time occurs twice, as when clocks are turned back in autumn."""
        at = datetime.fromtimestamp(ts, self._zone)
        later_ts = at.replace(fold=1).timestamp()
        return later_ts if later_ts > ts and later_ts >= last_ts - TURNED_BACK_S else ts

    def _lines(self, path: str, file: IO[bytes]) -> Iterator[str]:
        """Yield the lines without their ends. A line of more than MAX_LINE_BYTES is cut."""
        counts, rest, damage = self.counts, b"", ""
        try:
            for block in utf8(self._blocks(file), BLOCK_BYTES):
                rest += block
                end = rest.rfind(b"\n") + 1
                if end == 0 and len(rest) >= MAX_LINE_BYTES:
                    end = len(rest)
                if end:
                    lines = text_lines(rest[:end])
                    rest = rest[end:]
                    counts.lines += len(lines)
                    yield from lines
        except DamagedFile as fault:
            damage = str(fault)
        if rest:
            counts.lines += 1
            yield from text_lines(rest)
        if damage:
            self._unreadable(path, counts.lines + 1, damage)

    def _blocks(self, file: IO[bytes]) -> Iterator[bytes]:
        while block := file.read(BLOCK_BYTES):
            self.counts.bytes += len(block)
            yield block

    def _guess(self, path: str, head: list[str]) -> Format:
        counted = [(_read_lines(each, head, self._zone), each) for each in FORMATS]
        count, best = max(counted, key=lambda one: one[0])
        if count == (0, 0):
            names = ", ".join(each.name for each in FORMATS)
            raise LogError(f"{path}: no format reads its first lines; choose one of {names} with --format")
        return best

    def _is_log_of_a_charge_point(self, format_: Format, head: list[str]) -> bool:
        """Return whether "received" means received by the charge point: the direction of its own requests says so."""
        votes = 0
        for line in head:
            try:
                record = format_.parse(line, self._zone)
            except Unreadable:
                continue
            if isinstance(record, Frame) and _action(record) in _CHARGE_POINT_ACTIONS:
                votes += 1 if record.from_charge_point else -1
        return votes < 0

    def _records(  # noqa: C901  a branch for each kind of line
        self, path: str, format_: Format, lines: Iterator[str]
    ) -> Iterator[tuple[int, Record]]:
        """Yield records with the number of their first line; join lines of one message."""
        begun: _Begun | None = None
        heads = KnownJsonHeads if format_.is_json else KnownHeads
        parse = heads(format_, self._zone, self._is_wanted).parse
        last_line = ""
        for number, line in enumerate(lines, 1):
            if line == last_line:  # a program whose logger has two handlers writes each line twice
                self.counts.repeated += 1
                continue
            try:
                record = parse(line)
            except IncompleteFrame:
                self._no_end(path, begun)
                begun = _Begun(line, number)
                continue
            except Unreadable as fault:
                self._unreadable(path, number, str(fault), is_of_wanted=fault.passed is not None)
                if fault.passed is not None:
                    last_line = line
                    yield number, fault.passed
                continue
            if record is not None:
                last_line = line
                if begun is not None:
                    self._no_end(path, begun)
                    begun = None
                yield number, record
            elif begun is None:
                self.counts.ignored += 1
            elif begun.add(line):
                record = begun.record(format_, self._zone)
                self._no_end(path, begun if record is None else None)
                if record is not None:
                    yield begun.line, record
                begun = None
        self._no_end(path, begun)

    def _no_end(self, path: str, begun: "_Begun | None") -> None:
        """Count a message that began and never ended."""
        if begun is not None:
            self._unreadable(path, begun.line, "the message has no end")

    def _unreadable(self, path: str, line: int, reason: str, *, is_of_wanted: bool = False) -> None:
        if is_of_wanted:
            self.counts.unreadable_of_wanted += 1
        else:
            self.counts.unreadable += 1
        shown = self.counts.first_unreadable.setdefault(path, [])
        if len(shown) < SHOWN:
            shown.append(UnreadableLine(path, line, reason))

    def _first_time(self, format_: Format, head: list[str]) -> float | None:
        for line in head:
            try:
                record = format_.parse(line, self._zone)
            except Unreadable:
                continue
            if record is not None and (ts := self._time_within(record) if isnan(record.ts) else record.ts):
                return ts
        return None

    def _time_within(self, record: Record) -> float | None:
        """Return the latest time that the message itself has; None if it has none."""
        if not isinstance(record, Frame) or not isinstance(record.data, str):
            return None
        within = [time_in(text, self._zone) for text in _TIME_WITHIN.findall(record.data)]
        return max((ts for ts in within if not isnan(ts)), default=None)


def _read_lines(format_: Format, lines: Iterable[str], zone: tzinfo) -> tuple[int, int]:
    """Return how many lines have a message, and how many the beginning of one, by this format."""
    whole = begun = 0
    for line in lines:
        try:
            whole += isinstance(format_.parse(line, zone), Frame)
        except IncompleteFrame:
            begun += 1
        except Unreadable:
            pass
    return whole, begun


def _action(frame: Frame) -> str | None:
    """Return the action of a CALL."""
    if isinstance(frame.data, list):
        kind, _, action, *_ = frame.data
        return action if kind == CALL and isinstance(action, str) else None
    found = _ACTION.match(frame.data)
    return found[1] if found else None


def changed_ts(path: str) -> float:
    """Return when the log was written, for one without any time."""
    return time.time() if path == STDIN else Path(path).stat().st_mtime


def _id_of(path: str) -> str:
    """Return the charge point that a file is named after: logs without identities are often one file a charger."""
    return "unknown" if path == STDIN else Path(path).name.split(".")[0]
