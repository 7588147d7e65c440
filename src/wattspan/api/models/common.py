"""What several nouns share."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

LATEST_TS = 253_402_300_799.0
"""The end of the year 9999: what JSON's readers take."""


def moment(ts: float | None) -> datetime | None:
    """Unix seconds as a time in UTC; None for none, and for what no calendar has."""
    if ts is None or not 0.0 <= ts <= LATEST_TS:
        return None
    return datetime.fromtimestamp(ts, UTC)


def seconds(at: datetime | None) -> float | None:
    """Unix seconds of a time in UTC."""
    if at is None:
        return None
    return at.timestamp()


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_utc(at: datetime) -> datetime:
    """Between 1970 and 9999, as `moment` tells it: what lies outside would be taken and then told as none."""
    try:
        found = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("no calendar has that time in UTC") from None
    if not 0.0 <= found.timestamp() <= LATEST_TS:
        raise ValueError("a time is from 1970 on and before the year 10000")
    return found


def storable(text: str) -> str:
    """The text, if every database takes it and every page shows it. Raises ValueError."""
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("control characters are not taken")
    return text


At = Annotated[datetime, AfterValidator(_in_utc), PlainSerializer(_text, return_type=str, when_used="json")]
"""A time: RFC 3339, told in UTC; one without a zone counts as UTC."""
Text = Annotated[str, Field(max_length=500), AfterValidator(storable)]
"""Some words of a person."""
CpId = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f]+$"), AfterValidator(storable)]
Token = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$"), AfterValidator(storable)]
"""An id token: 20 characters in 1.6, up to 255 in 2.1."""
Payload = dict[str, Any]


class Body(BaseModel):
    """What a client sends. A field we do not have is a mistake, and told."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Shown(BaseModel):
    """What we send."""

    model_config = ConfigDict(frozen=True)
