"""Types that several resources share."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from wattspan.domain.timestamps import wire_time

LATEST_TS = 253_402_300_799.0
"""The end of the year 9999, the last that RFC 3339 can express."""


def datetime_of(ts: float | None) -> datetime | None:
    """Return Unix seconds as a time in UTC; None for None, and for a time before 1970 or after 9999."""
    if ts is None or not 0.0 <= ts <= LATEST_TS:
        return None
    return datetime.fromtimestamp(ts, UTC)


def seconds(at: datetime | None) -> float | None:
    """Return the Unix seconds of a time, or None for None."""
    if at is None:
        return None
    return at.timestamp()


def _text(at: datetime) -> str:
    return wire_time(at.timestamp())


def _in_utc(at: datetime) -> datetime:
    """Return the time in UTC. Raises ValueError outside of 1970 to 9999, which `datetime_of` would show as null."""
    try:
        found = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range in UTC") from None
    if not 0.0 <= found.timestamp() <= LATEST_TS:
        raise ValueError("the time must lie between 1970 and 9999")
    return found


def storable(text: str) -> str:
    """Return the text if every database accepts it and every page can show it. Raises ValueError."""
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("must not contain control characters")
    return text


At = Annotated[datetime, AfterValidator(_in_utc), PlainSerializer(_text, return_type=str, when_used="json")]
"""A time as RFC 3339 in UTC; one without a zone counts as UTC."""
Text = Annotated[str, Field(max_length=500), AfterValidator(storable)]
"""A note by a person."""
CpId = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f]+$"), AfterValidator(storable)]
Token = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$"), AfterValidator(storable)]
"""An id token: 20 characters in 1.6, up to 255 in 2.1."""
Payload = dict[str, Any]


class Body(BaseModel):
    """Base of request bodies. Unknown fields are faults."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Shown(BaseModel):
    """Base of response bodies."""

    model_config = ConfigDict(frozen=True)


def masked(id_tag: str) -> str:
    """Return an id token masked, for those who may not see it."""
    return f"…{id_tag[-2:]}" if len(id_tag) > 4 else "…"  # noqa: PLR2004
