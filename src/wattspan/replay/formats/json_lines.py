"""JSON Lines: our audit log, CitrineOS's stored messages and webhooks, and other programs' lines with similar keys."""

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from itertools import product
from math import isnan
from typing import Any, NamedTuple

import orjson

from wattspan.replay.formats.base import DIRECTIONS as DIRECTION_WORDS
from wattspan.replay.formats.base import MILLISECONDS_FROM, Unreadable, direction, time_of
from wattspan.replay.records import Closed, Connected, Frame, Record

TIMES = ("ts", "timestamp", "time", "@timestamp", "at", "date", "createdAt", "created_at", "received_at")
IDS: tuple[str, ...] = (
    "cp_id",
    "ocppConnectionName",
    "stationId",
    "station_id",
    "chargePointId",
    "charge_point_id",
    "chargeBoxId",
)
IDS += ("identity", "charger", "charger_id", "station", "cp", "id")
DIRECTIONS = ("direction", "dir", "origin", "from_charge_point", "fromChargePoint", "source", "type")
SENT = "frame"
FRAMES = (SENT, "message", "msg", "data", "payload", "raw", "ocpp")
PROTOCOLS = ("protocol", "subprotocol", "ocpp_version", "version")
EVENTS: Mapping[str, type[Connected] | type[Closed]] = {
    "connected": Connected,
    "connect": Connected,
    "disconnected": Closed,
    "disconnect": Closed,
    "closed": Closed,
    "close": Closed,
}


class JsonLines:
    """One JSON object a line. Keys and words are those that programs commonly use; see docs/replay.md.

    The lines may also be those of one JSON array, with commas at their ends.
    """

    name = "json"
    description = "JSON Lines: Wattspan's audit log, CitrineOS's messages and webhooks, other logs with such keys"
    is_json = True

    def parse(self, line: str, zone: tzinfo) -> Record | None:
        if line[:1] != "{" or line[-1:] != "}":
            line = line.strip(" \t[],")
            if not line.startswith("{"):
                return None
        try:
            entry: dict[str, Any] = orjson.loads(line)
        except orjson.JSONDecodeError as fault:
            raise Unreadable(f"not JSON: {fault}") from None
        return _usual(entry) or _record(entry, zone)


def _record(entry: dict[str, Any], zone: tzinfo) -> Record | None:
    """Return the record of a line, or None if it has none. Raises Unreadable."""
    ts = time_of(_first(entry, TIMES), zone)
    if isnan(ts) and isinstance(info := entry.get("info"), dict):  # CitrineOS's webhooks
        ts = time_of(_first(info, TIMES), zone)
    cp_id, protocol = _first(entry, IDS), _protocol(_first(entry, PROTOCOLS))
    if cp_id is None:
        return None
    data = _frame(entry)
    if data is not None:
        from_charge_point = next(
            (found for key in DIRECTIONS if key in entry and (found := direction(entry[key])) is not None), None
        )
        if from_charge_point is None:
            raise Unreadable("the message has no direction")
        return Frame(ts, str(cp_id), from_charge_point, data, protocol)
    event = EVENTS.get(str(entry.get("event", entry.get("is", ""))).casefold())
    if event is None:
        return None
    if event is Connected:
        return Connected(ts, str(cp_id), protocol)
    code = entry.get("code")
    return Closed(ts, str(cp_id), code if isinstance(code, int) else None, str(entry.get("reason", "")))


class _Keys(NamedTuple):
    """The keys of a message's line."""

    time: str
    cp_id: str
    direction: str
    message: str


_USUAL_KEYS: Mapping[tuple[str, ...], _Keys] = {
    (time, cp_id, direction, SENT): _Keys(time, cp_id, direction, SENT)
    for time, cp_id, direction in product(TIMES, IDS, DIRECTIONS)
}
"""By the keys of a line in their order: those that our audit log writes, and names like them."""
_new = tuple.__new__
"""Makes a named tuple in half of the time of its own constructor."""


def _usual(entry: dict[str, Any]) -> Frame | None:
    """Return the message of a line with usual keys and values, as `_record` does; None for any other line."""
    keys = _USUAL_KEYS.get(tuple(entry))
    if keys is None:
        return None
    ts, cp_id = entry[keys.time], entry[keys.cp_id]
    word, message = entry[keys.direction], entry[keys.message]
    if (
        type(ts) is float
        and ts < MILLISECONDS_FROM
        and type(cp_id) is str
        and type(word) is str
        and word in DIRECTION_WORDS
        and type(message) is list
        and len(message) > 2  # noqa: PLR2004  as in `_frame`
    ):
        return _new(Frame, (ts, cp_id, DIRECTION_WORDS[word], message, None))
    return None


def _frame(entry: dict[str, Any]) -> Any:
    """Return the message: a list, or a text that looks like one; None if the entry has none.

    A text under the key `frame` is what was sent, even if it is no message.
    """
    for key in FRAMES:
        value = entry.get(key)
        if isinstance(value, str) and key == SENT:
            return value
        if isinstance(value, list) and len(value) > 2:  # noqa: PLR2004  a type, an id and more
            return value
        if isinstance(value, str) and value.lstrip().startswith("["):
            return value
    return None


def _first(entry: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((entry[key] for key in keys if entry.get(key) is not None), None)


def _protocol(name: Any) -> str | None:
    """Return "1.6", "ocpp1.6" or "OCPP 1.6J" as a subprotocol; None if it is not one of ours."""
    text = str(name or "").casefold().removeprefix("ocpp").strip(" -_").rstrip("j")
    return f"ocpp{text}" if text in ("1.6", "2.0.1", "2.1") else None
