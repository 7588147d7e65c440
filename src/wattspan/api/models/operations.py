"""What an operator may ask of a charge point, whatever OCPP version it speaks. `connector_id` is 2.x's EVSE id."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattspan.api.models.common import At, Body, Token

Connector = Annotated[int, Field(ge=0, le=2**31 - 1)]
Int32 = Annotated[int, Field(ge=0, le=2**31 - 1)]
Url = Annotated[str, Field(max_length=512, pattern=r"^[a-z][a-z0-9+.-]*://[\x21-\x7e]+$")]


class RateUnit(StrEnum):
    """Of a limit."""

    A = "A"
    W = "W"


class LogKind(StrEnum):
    """Which log is wanted."""

    DIAGNOSTICS = "diagnostics"
    SECURITY = "security"


class ListUpdate(StrEnum):
    """How a local list is sent."""

    FULL = "Full"
    DIFFERENTIAL = "Differential"


class Start(Body):
    """Start charging. `connector_id` null: the charger chooses."""

    id_tag: Token
    connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class Stop(Body):
    """Stop charging. `transaction` is our number; null: the only one that runs."""

    transaction: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class Unlock(Body):
    """Let the cable go."""

    connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1


class Reset(Body):
    """Restart. `hard`: at once, whatever runs."""

    hard: bool = False


class Reserve(Body):
    """Keep a connector for an id tag. `reservation_id` null: one is drawn."""

    id_tag: Token
    parent_id_tag: Token | None = None
    connector_id: Connector = 0
    expires_at: At
    reservation_id: Int32 | None = None


class CancelReservation(Body):
    """Give it free again."""

    reservation_id: Int32


class Limit(Body):
    """A limit from now on: `connector_id` 0 caps the whole charge point, any other each session there.

    `phases` null: the charger's own count. `lasts_s` null: until it is cleared.
    """

    limit: Annotated[float, Field(ge=0, le=1_000_000, multiple_of=0.1)]
    unit: RateUnit = RateUnit.A
    connector_id: Connector = 0
    phases: Annotated[int, Field(ge=1, le=3)] | None = None
    stack_level: Annotated[int, Field(ge=0, le=1000)] = 0
    lasts_s: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    profile_id: Int32 | None = None


class ClearLimit(Body):
    """Clear charging profiles: of one id, or all that match; nothing given: all."""

    profile_id: Int32 | None = None
    connector_id: Connector | None = None
    stack_level: Annotated[int, Field(ge=0, le=1000)] | None = None


class Availability(Body):
    """Take it into service or out of it; `connector_id` 0 is the whole charge point."""

    operative: bool
    connector_id: Connector = 0


class Trigger(Body):
    """Have it send a message now; `message` is OCPP's name of it."""

    message: Annotated[str, Field(max_length=50, pattern="^[A-Za-z0-9]+$")]
    connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class SendLocalList(Body):
    """Send the id tags on file, or only those named. `version` null: by the clock, so that it rises."""

    update: ListUpdate = ListUpdate.FULL
    id_tags: Annotated[list[Token], Field(max_length=10_000)] | None = None
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class Logs(Body):
    """Have it upload a log. `location` null: to this server, which keeps it (`/diagnostics`)."""

    kind: LogKind = LogKind.DIAGNOSTICS
    location: Url | None = None
    from_at: At | None = None
    until_at: At | None = None


class Firmware(Body):
    """Have it fetch and install firmware: one that was uploaded here (`firmware_id`), or from a `location`."""

    firmware_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    location: Url | None = None
    retrieve_at: At | None = None
