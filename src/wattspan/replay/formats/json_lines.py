"""JSON Lines: our audit log, CitrineOS's stored messages and webhooks, and other programs' lines with similar keys."""

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from math import isnan
from typing import Any

import orjson

from wattspan.replay.formats.base import Unreadable, direction, time_of
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
    """One JSON object a line. Keys and words are those that programs commonly use; see docs/replay.md."""

    name = "json"
    description = "JSON Lines: Wattspan's audit log, CitrineOS's messages and webhooks, other logs with such keys"

    def parse(self, line: str, zone: tzinfo) -> Record | None:
        if not line.startswith("{"):
            return None
        try:
            entry: dict[str, Any] = orjson.loads(line)
        except orjson.JSONDecodeError as fault:
            raise Unreadable(f"not JSON: {fault}") from None
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
