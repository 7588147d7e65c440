"""The operations and their parameters, one frozen dataclass each. No OCPP version, no HTTP.

`connector_id` is the connector number of OCPP 1.6 and the EVSE id of 2.x; 0 is the whole charge point.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

RateUnit = Literal["A", "W"]
LogKind = Literal["diagnostics", "security"]
ListUpdate = Literal["Full", "Differential"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Base of all operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStart(Operation):
    """Start a transaction. `connector_id` None: the charge point chooses."""

    id_tag: str
    connector_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStop(Operation):
    """Stop a transaction. `transaction` is Wattspan's number; None: the only one that is open."""

    transaction: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlock(Operation):
    """Unlock a connector's cable.

    `evse_connector_id` is the connector of the EVSE (OCPP 2.x alone); None: the one in use, or else the first.
    """

    connector_id: int = 1
    evse_connector_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Operation):
    """Restart the charge point. `hard`: at once, even during a transaction."""

    hard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(Operation):
    """Reserve a connector for an id tag.

    `parent_id_tag` None: the group of the id tag on file. `reservation_id` None: a random one.
    """

    id_tag: str
    expires_at: datetime
    connector_id: int = 0
    parent_id_tag: str | None = None
    reservation_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReservation(Operation):
    """Cancel a reservation."""

    reservation_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPeriod:
    """A part of a limit, from `start_s` seconds after its start to the next part. `phases` None: all."""

    start_s: int
    limit: float
    phases: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimit(Operation):
    """Limit current or power from now on: by one `limit`, or by `periods`, of which the first starts at 0.

    `connector_id` 0 caps the whole charge point; any other is the default for each transaction there. `transaction` is
    Wattspan's number of an open transaction, which alone is then limited (TxProfile), wherever it is. `phases` None:
    as many as the charge point has. `duration_s` None: until it is cleared. `profile_id` None: a random one.
    """

    limit: float | None = None
    periods: Sequence[LimitPeriod] = ()
    transaction: int | None = None
    unit: RateUnit = "A"
    connector_id: int = 0
    phases: int | None = None
    stack_level: int = 0
    duration_s: int | None = None
    profile_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearLimit(Operation):
    """Clear the charging profiles that match every criterion given; with none, all of them."""

    profile_id: int | None = None
    connector_id: int | None = None
    stack_level: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAvailability(Operation):
    """Take a connector, or the whole charge point, into or out of service."""

    operative: bool
    connector_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger(Operation):
    """Ask for a message now. `message` is OCPP's name of it."""

    message: str
    connector_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLocalList(Operation):
    """Send the local authorization list.

    `id_tags` None: all on file, otherwise those of them that are on file. A differential update deletes the entries
    of `remove`, and of those `id_tags` that are not on file. `version` None: Unix seconds, which rise.
    """

    update: ListUpdate = "Full"
    id_tags: Sequence[str] | None = None
    remove: Sequence[str] = ()
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetLocalListVersion(Operation):
    """Ask for the version of the local authorization list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetLogs(Operation):
    """Have a log uploaded. `location` None: to this server.

    `retries` is how often the charge point tries again, `retry_interval_s` the pause before; None: as it decides.
    """

    kind: LogKind = "diagnostics"
    location: str | None = None
    from_at: datetime | None = None
    until_at: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFirmware(Operation):
    """Have firmware fetched from `location` and installed. `retrieve_at` None: now.

    `install_at` None: once it is there. `signing_certificate` (PEM) and `signature` (Base64) are given together: the
    charge point then verifies the firmware (1.6: SignedUpdateFirmware). `install_at` without them needs OCPP 2.x.
    `retries` is how often it tries again to fetch it, `retry_interval_s` the pause before; None: as it decides.
    """

    location: str
    retrieve_at: datetime | None = None
    install_at: datetime | None = None
    signing_certificate: str | None = None
    signature: str | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetConfiguration(Operation):
    """Read configuration keys (OCPP 1.6 alone). No `keys`: all of them."""

    keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeConfiguration(Operation):
    """Set a configuration key (OCPP 1.6 alone)."""

    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPassword(Operation):
    """Give the charge point another Basic password."""

    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCertificateRenewal(Operation):
    """Ask the charge point to send a signing request for its client certificate."""
