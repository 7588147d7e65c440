"""Reads a log file line by line: its format, records of several lines, lines that cannot be read, missing times.

It owns what a line means as part of a file, not what a message means.
"""

import gzip
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import chain
from math import isnan
from pathlib import Path
from typing import IO

from wattspan.errors import WattspanError
from wattspan.replay.formats import FORMATS
from wattspan.replay.formats.base import Format, IncompleteFrame, Unreadable, time_in
from wattspan.replay.records import Frame, Located, Record
from wattspan.versions import VERSIONS

STDIN = "-"
CALL = 2
GUESS_LINES = 2_000
"""The format and the side of a log are guessed from its first lines."""
MAX_LINE_BYTES = 64 << 20
"""A longer line is read in parts, which are unreadable."""
MAX_LINES_OF_A_MESSAGE = 20_000
SHOWN = 5
"""Unreadable lines that are kept with their reason."""

_CHARGE_POINT_ACTIONS = frozenset(action for version in VERSIONS.values() for action in version.requests) - frozenset(
    action for version in VERSIONS.values() for action in version.commands
)
_ACTION = re.compile(r'\[\s*2\s*,\s*"?[^",]*"?\s*,\s*"(\w+)"')
_TIME_WITHIN = re.compile(r'"(?:currentTime|timestamp)"\s*:\s*"([^"]{10,40})"')


class LogError(WattspanError):
    """A log cannot be read."""


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
    untimed: int = 0
    """Messages without a time; they have the time of their content or of the line before."""
    formats: dict[str, str] = field(default_factory=dict)
    """The format of each file."""
    first_unreadable: list[UnreadableLine] = field(default_factory=list)


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

    Files ending in .gz are decompressed; "-" is standard input.
    """

    def __init__(self, *, format_: Format | None = None, zone: tzinfo = UTC) -> None:
        self.counts = ReadCounts()
        self._format = format_
        self._zone = zone

    def read(self, path: str) -> Iterator[Located]:
        """Yield the records of a file in its order. Raises LogError if it cannot be opened or no format fits."""
        with _opened(path) as file:
            lines = self._lines(file)
            head = [line for line, _ in zip(lines, range(GUESS_LINES), strict=False)]
            format_ = self._format or self._guess(path, head)
            self.counts.formats[path] = format_.name
            flipped = self._is_log_of_a_charge_point(format_, head)
            last_ts = self._first_time(format_, head) or _changed_ts(path)
            for number, record in self._records(path, format_, chain(head, lines)):
                read = record
                if isinstance(read, Frame):
                    if flipped:
                        read = read._replace(from_charge_point=not read.from_charge_point)
                    if not read.cp_id:
                        read = read._replace(cp_id=_id_of(path))
                if isnan(read.ts):
                    read = read._replace(ts=max(last_ts, self._time_within(read) or last_ts))
                    self.counts.untimed += 1
                last_ts = read.ts
                self.counts.records += 1
                yield Located(read, path, number)

    def _lines(self, file: IO[bytes]) -> Iterator[str]:
        counts = self.counts
        for raw in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
            counts.lines += 1
            counts.bytes += len(raw)
            yield raw.rstrip(b"\r\n").decode("utf-8", "replace")

    def _guess(self, path: str, head: list[str]) -> Format:
        counted = [(sum(_reads(each, line, self._zone) for line in head), each) for each in FORMATS]
        count, best = max(counted, key=lambda one: one[0])
        if count == 0:
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

    def _records(self, path: str, format_: Format, lines: Iterator[str]) -> Iterator[tuple[int, Record]]:
        """Yield records with the number of their first line; join lines of one message."""
        begun: _Begun | None = None
        for number, line in enumerate(lines, 1):
            try:
                record = format_.parse(line, self._zone)
            except IncompleteFrame:
                self._no_end(path, begun)
                begun = _Begun(line, number)
                continue
            except Unreadable as fault:
                self._unreadable(path, number, str(fault))
                continue
            if record is not None:
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

    def _unreadable(self, path: str, line: int, reason: str) -> None:
        self.counts.unreadable += 1
        if len(self.counts.first_unreadable) < SHOWN:
            self.counts.first_unreadable.append(UnreadableLine(path, line, reason))

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


def _reads(format_: Format, line: str, zone: tzinfo) -> bool:
    try:
        return isinstance(format_.parse(line, zone), Frame)
    except IncompleteFrame:
        return True
    except Unreadable:
        return False


def _action(frame: Frame) -> str | None:
    """Return the action of a CALL."""
    if isinstance(frame.data, list):
        kind, _, action, *_ = frame.data
        return action if kind == CALL and isinstance(action, str) else None
    found = _ACTION.match(frame.data)
    return found[1] if found else None


def _changed_ts(path: str) -> float:
    """Return when the log was written, for one without any time."""
    return time.time() if path == STDIN else Path(path).stat().st_mtime


def _id_of(path: str) -> str:
    """Return the charge point that a file is named after: logs without identities are often one file a charger."""
    return "unknown" if path == STDIN else Path(path).name.split(".")[0]


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    opener: Callable[[str, str], IO[bytes]] = gzip.open if path.endswith(".gz") else open  # type: ignore[assignment]
    try:
        with opener(path, "rb") as file:
            yield file
    except (OSError, EOFError) as fault:
        raise LogError(f"{path}: {fault.strerror or fault}") from fault  # type: ignore[union-attr]
