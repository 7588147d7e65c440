"""Lines of other formats inside the lines of whatever collected them: Docker, containerd, journald and others."""

from datetime import tzinfo
from math import isnan
from typing import Any

import orjson

from wattspan.replay.formats.base import HEAD_CHARACTERS, Format, Unreadable, time_in, time_of
from wattspan.replay.formats.json_lines import TIMES, JsonLines
from wattspan.replay.formats.plain_text import PlainText
from wattspan.replay.formats.python_ocpp import PythonOcpp
from wattspan.replay.formats.steve import SteVe
from wattspan.replay.records import Record

TEXTS = ("log", "MESSAGE", "message", "msg", "line", "text", "body")
"""Keys of the line inside."""
ENVELOPE_TIMES = ("__REALTIME_TIMESTAMP", *TIMES)
_INNER: tuple[Format, ...] = (JsonLines(), SteVe(), PythonOcpp(), PlainText())


class Envelopes:
    """JSON objects with a line of another format as text, and JSON Lines that follow something else on their line.

    The time is that of the line inside, or else the collector's.
    """

    name = "envelope"
    description = "lines of another format in those of Docker, containerd or journald (`-o json`)"
    is_json = False

    def parse(self, line: str, zone: tzinfo) -> Record | None:
        at = line.find("{", 0, HEAD_CHARACTERS)
        if at < 0:
            return None
        try:
            entry = orjson.loads(line[at:])
        except orjson.JSONDecodeError:
            return None
        if type(entry) is not dict:
            return None
        inner = next((entry[key] for key in TEXTS if type(entry.get(key)) is str), line[at:] if at else None)
        record = None if inner is None else _inner(inner.rstrip("\r\n"), zone)
        if record is None or not isnan(record.ts):
            return record
        return record._replace(ts=_time(entry, line[:at], zone))


def _inner(line: str, zone: tzinfo) -> Record | None:
    """Return the record of the line inside. Raises Unreadable if a format knows the line but cannot read it."""
    unreadable: Unreadable | None = None
    for each in _INNER:
        try:
            record = each.parse(line, zone)
        except Unreadable as fault:
            unreadable = Unreadable(str(fault))  # an IncompleteFrame would go on with the next line of the collector
            continue
        if record is not None:
            return record
    if unreadable is not None:
        raise unreadable
    return None


def _time(entry: dict[str, Any], before: str, zone: tzinfo) -> float:
    """Return the collector's time."""
    found = next((entry[key] for key in ENVELOPE_TIMES if entry.get(key) is not None), None)
    return time_in(before, zone) if found is None else time_of(found, zone)
