"""Fields as chargers send them: text for numbers, numbers for text, nothing at all. Nothing here raises."""

from math import isfinite
from typing import Any

MAX_ID = 36
MAX_TEXT = 255
MAX_CSR = 5500
"""Characters of a signing request (OCPP 1.6 security whitepaper §5.24, 2.0.1 SignCertificateRequest)."""
_NO_ID = 1 << (3 * MAX_ID)
"""Numbers from here on are no ids, and Python refuses to write very long ones."""

_TOO_MUCH = 1 << 63


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """A text of at most `limit` characters without NUL, which no database takes; "" for what is none."""
    if isinstance(value, str):
        return value.replace("\0", "")[:limit]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return identifier(value) or ""


def number(value: Any) -> float | None:
    """A finite number, also one written as text, with a decimal comma too; None for what is none."""
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
    """A whole number, also one written as text; None for what is none, or for more than a database's 64 bits hold."""
    found = value if type(value) is int else number(value)
    if found is None or not -_TOO_MUCH <= found < _TOO_MUCH or found != int(found):
        return None
    return int(found)


def identifier(value: Any) -> str | None:
    """An id of a connector or a transaction as text, at most MAX_ID characters; None where there is none."""
    if type(value) is int:
        return str(value) if -_NO_ID < value < _NO_ID else None
    if isinstance(value, str):
        return value.replace("\0", "").strip()[:MAX_ID] or None
    if isinstance(value, float) and value.is_integer():
        return identifier(int(value))
    return str(value) if isinstance(value, float) and isfinite(value) else None
