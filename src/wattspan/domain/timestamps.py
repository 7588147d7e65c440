"""Chargers' timestamps as Unix seconds, and back. It judges no clock: 1970 is valid too."""

import re
from datetime import UTC, datetime

_LOOSE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[T ]+"
    r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d*))?)?\s*"
    r"(?:(Z)|([+-])(\d{1,2}):?(\d{2})?)?",
    re.IGNORECASE | re.ASCII,
)
_MILLISECONDS_FROM = 1e11
"""A bare number from here on can only be milliseconds: as seconds it would be the year 5138."""


def charger_ts(value: object) -> float | None:
    """Return a charger's timestamp as Unix seconds; None where it can't be parsed.

    A timestamp without a zone is taken as UTC (OCPP 1.6 §3.15 recommends it). Odd fractions, missing leading zeros and
    bare Unix seconds or milliseconds are accepted.
    """
    if type(value) is str:
        try:
            parsed = datetime.fromisoformat(value)
            return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return _parse_loosely(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MILLISECONDS_FROM * 1000:
        return float(value) if value < _MILLISECONDS_FROM else value / 1000
    return None


def _parse_loosely(text: str) -> float | None:
    found = _LOOSE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 2, 3, 4, 5, 6))
    fraction, _, sign, offset_hours, offset_minutes = found.group(7, 8, 9, 10, 11)
    try:
        whole_s = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    offset_s = 3600.0 * int(offset_hours or 0) + 60.0 * int(offset_minutes or 0)
    return whole_s + float(f"0.{fraction or 0}") - (-offset_s if sign == "-" else offset_s)


def wire_time(ts: float) -> str:
    """Return `ts` as OCPP's dateTime, UTC, milliseconds: 2026-01-31T12:00:00.000Z."""
    return datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def wire_time_or_none(ts: float | None) -> str | None:
    """Return `ts` as `wire_time` does; None for None, and for a time that no calendar has."""
    try:
        return None if ts is None else wire_time(ts)
    except (OverflowError, ValueError, OSError):
        return None
