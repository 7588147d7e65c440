"""What a log file says: frames and connections, each with its charge point, time and line. It knows no format."""

from typing import Any, NamedTuple


class Frame(NamedTuple):
    """A message of the log."""

    ts: float
    """Unix seconds; NaN if the line has no time."""
    cp_id: str
    from_charge_point: bool
    data: Any
    """The message: JSON text, or the list if the format had to parse it."""
    protocol: str | None = None
    """The WebSocket subprotocol, if the format names it."""


class Connected(NamedTuple):
    """The charge point connected."""

    ts: float
    cp_id: str
    protocol: str | None = None


class Closed(NamedTuple):
    """The connection was closed. `code` is the WebSocket close code, None if the log does not have it."""

    ts: float
    cp_id: str
    code: int | None = None
    reason: str = ""


class PassedOver(NamedTuple):
    """A message that is not played, because its charge point is not wanted or it cannot be read. Its time counts."""

    ts: float
    cp_id: str


Record = Frame | Connected | Closed | PassedOver


class Located(NamedTuple):
    """A record and where it was read."""

    record: Record
    file: str
    line: int
    """The number of its first line; the first of a file is 1."""
