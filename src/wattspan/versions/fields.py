"""Parsing of fields as chargers send them: text for numbers, numbers for text, or nothing. Nothing here raises."""

from math import isfinite
from typing import Any

MAX_ID = 36
MAX_TEXT = 255
_NO_ID = 1 << (3 * MAX_ID)
"""Larger numbers are no ids, and Python refuses to convert very long ones to text."""

_INT64_LIMIT = 1 << 63


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """Return a text of at most `limit` characters, without NUL, which PostgreSQL rejects; "" for any other type."""
    if isinstance(value, str):
        return value.replace("\0", "")[:limit]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return identifier(value) or ""


def number(value: Any) -> float | None:
    """Return a finite number, also from text, with a decimal point or comma; None for anything else."""
    if isinstance(value, str):
        value = value.strip().replace(",", ".")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def whole(value: Any) -> int | None:
    """Return an integer, also from text; None for anything else, or if it exceeds the 64 bits of a database column."""
    found = value if type(value) is int else number(value)
    if found is None or not -_INT64_LIMIT <= found < _INT64_LIMIT or found != int(found):
        return None
    return int(found)


def identifier(value: Any) -> str | None:
    """Return the id of a connector or transaction as text of at most MAX_ID characters; None if there is none."""
    if type(value) is int:
        return str(value) if -_NO_ID < value < _NO_ID else None
    if isinstance(value, str):
        return value.replace("\0", "").strip()[:MAX_ID] or None
    if isinstance(value, float) and value.is_integer():
        return identifier(int(value))
    return str(value) if isinstance(value, float) and isfinite(value) else None


def word(value: Any) -> str:
    """Return a text without surrounding space; "" for any other type."""
    return value.strip() if isinstance(value, str) else ""
