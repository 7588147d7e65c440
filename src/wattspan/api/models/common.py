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
    """Unix seconds of a time; one without a zone counts as UTC."""
    if at is None:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _storable(text: str) -> str:
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("control characters are not taken")
    return text


At = Annotated[datetime, AfterValidator(_aware), PlainSerializer(_text, return_type=str, when_used="json")]
"""A time: RFC 3339, told in UTC."""
Text = Annotated[str, Field(max_length=500), AfterValidator(_storable)]
"""Some words of a person."""
CpId = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f]+$"), AfterValidator(_storable)]
Token = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$"), AfterValidator(_storable)]
"""An id token: 20 characters in 1.6, up to 255 in 2.1."""
Payload = dict[str, Any]


class Body(BaseModel):
    """What a client sends. A field we do not have is a mistake, and told."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Shown(BaseModel):
    """What we send."""

    model_config = ConfigDict(frozen=True)
