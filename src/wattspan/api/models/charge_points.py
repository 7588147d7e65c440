"""Charge points, their connectors, and the fields that an operator sets."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from wattspan.api.filters import real_connectors, status_counts, worst_status
from wattspan.api.fleet_sums import FleetSums, is_stale
from wattspan.api.fleet_view import Connected
from wattspan.api.models.common import At, Body, CpId, Shown, Text, datetime_of, storable
from wattspan.api.models.sites import Labels
from wattspan.csms.pending import PendingChargePoint as Pending
from wattspan.csms.security.rotation import Rotated
from wattspan.domain.limits import limit_a
from wattspan.domain.model import ChargePoint as Known
from wattspan.domain.model import Connector as KnownConnector
from wattspan.store.queries.sites import Place
from wattspan.store.records import Registration
from wattspan.store.records import SigningRequest as StoredRequest

DEFAULT = "default"


class Connector(Shown):
    """A connector (1.6) or EVSE (2.x), as it is now.

    `status_at` is since when it has its status. `transaction` is the number of the open one.
    """

    connector_id: str
    status: str | None
    error_code: str
    status_at: At | None
    current_a: float | None
    power_w: float | None
    limit_a: float | None
    soc_percent: float | None
    energy_wh: float | None
    transaction: int | None


class ChargePointRow(Shown):
    """A charge point in a list. `status` is the one it reported last, `worst` stands for all of its connectors.

    `worst` is the first of Faulted, Unavailable, Charging, SuspendedEVSE, SuspendedEV, Preparing, Finishing, Reserved
    and Available that a connector or the charge point as a whole has. `statuses` counts connectors by status. `stale`:
    it is connected, but has sent nothing for an hour.
    """

    cp_id: str
    name: str
    location: str
    site_id: str | None
    labels: dict[str, str]
    connected: bool
    stale: bool
    status: str | None
    worst: str | None
    statuses: dict[str, int]
    connector_states: list[str | None]
    """The statuses of its connectors, in the order of their ids."""
    protocol: str
    vendor: str
    model: str
    firmware: str
    last_message_at: At | None
    transactions: int
    power_w: float


class SigningRequest(Shown):
    """The newest request of a charge point for a certificate of a type, and whether its certificate was delivered."""

    certificate_type: str
    """certificateType of OCPP 2.x; "" in 1.6."""
    state: Literal["pending", "refused", "failed", "installed"]
    """`pending`: signed or sent; `refused` by the charge point; `failed`: not signed or not answered."""
    reason: str
    """Why the last try failed, as the charge point gave it."""
    tries: int
    """How many times CertificateSigned was sent."""
    requested_at: At | None
    next_try_at: At | None
    """When CertificateSigned is sent again, if the charge point is connected then; null: it is not."""


class ChargePoint(ChargePointRow):
    """A charge point with its connectors. `registered_at` null: it connected without being registered."""

    serial_number: str
    """As the charge point reports it, unverified."""
    registered_serial: str
    """The serial number that its client certificate may name instead of its identity."""
    firmware_status: str
    log_status: str
    known_since: At | None
    last_heartbeat_at: At | None
    last_transaction_at: At | None
    registered_at: At | None
    has_credentials: bool
    old_credentials_until: At | None
    """Until when the secret before the last rotation works; null: there is none, or its end is not known yet."""
    security_profile: int
    """The OCPP security profile that is required of it, besides the server's minimum."""
    pending_security_profile: int | None
    """The security profile that a command set and that it has not used yet; it is required once it was used."""
    security_profile_now: int | None
    """The security profile of its connection; null: not connected."""
    certificate_expires_at: At | None
    signing_requests: list[SigningRequest]
    unknown_id_tags: str
    """accept, reject or default: the answer to id tags that are not on file."""
    note: str
    boots: int
    disconnects: int
    transactions_total: int
    energy_total_wh: float
    errors: dict[str, int]
    connectors: list[Connector]


class Annotations(Body):
    """The fields that an operator sets; what is not given stays."""

    name: Text | None = None
    location: Text | None = None
    note: Text | None = None
    security_profile: int | None = Field(default=None, ge=0, le=3)
    """Connections with a lower one are refused from now on; 0: the server's minimum.

    It rises by itself once the charge point has connected with profile 2 or 3. Only this field lowers it.
    """
    registered_serial: Annotated[str, Field(max_length=64), AfterValidator(storable)] | None = None
    """The serial number that its client certificate may name instead of its identity; "": none."""
    unknown_id_tags: Literal["accept", "reject", "default"] | None = None
    """The answer to id tags that are not on file."""

    site_id: Annotated[str, Field(max_length=64)] | None = None
    """The site; "": none."""
    labels: Labels | None = None
    """Free labels, which replace all of those that it has."""

    def given(self) -> dict[str, str | int]:
        """Return the fields to change that are columns of the charge point."""
        own = {name: getattr(self, name) for name in Annotations.model_fields if name not in ("site_id", "labels")}
        if own["unknown_id_tags"] == DEFAULT:
            own["unknown_id_tags"] = ""
        return {name: value for name, value in own.items() if value is not None}


class NewChargePoint(Annotations):
    """A charge point to register. `credentials`: whether to generate a secret, which only this answer contains."""

    cp_id: CpId
    credentials: bool = True


class Credentials(Shown):
    """A charge point's secret: its Basic password, which 1.6 calls AuthorizationKey. No other answer contains it."""

    cp_id: str
    secret: str | None


class NewCredentials(Body):
    """`secret` null: a random one. Charge points of 1.6 take 16 to 20 bytes."""

    secret: str | None = Field(default=None, min_length=8, max_length=64, pattern=r"^[\x21-\x7e]+$")


class Rotation(Shown):
    """The outcome of a rotation. `applied`: the charge point has the new secret.

    If it is neither applied nor rejected by `status`, both secrets work until the new one is used.
    """

    cp_id: str
    status: str
    applied: bool
    old_credentials_until: At | None
    trace_id: str


class PendingChargePoint(Shown):
    """A charge point that waits for approval; texts are empty until its boot message."""

    cp_id: str
    since: At | None
    protocol: str
    address: str
    security_profile: int
    vendor: str
    model: str
    serial_number: str
    firmware: str


def pending(each: Pending) -> PendingChargePoint:
    """Return the JSON of a pending charge point."""
    return PendingChargePoint(
        cp_id=each.cp_id,
        since=datetime_of(each.since_ts),
        protocol=each.protocol,
        address=each.source,
        security_profile=each.security_profile,
        vendor=each.vendor,
        model=each.model,
        serial_number=each.serial_number,
        firmware=each.firmware,
    )


def rotation(cp_id: str, rotated: Rotated) -> Rotation:
    """Return the JSON of a rotation's outcome."""
    return Rotation(
        cp_id=cp_id,
        status=rotated.status,
        applied=rotated.applied,
        old_credentials_until=datetime_of(rotated.old_until_ts),
        trace_id=rotated.trace_id,
    )


class FleetSummary(Shown):
    """Counts of charge points and connectors.

    `worst` counts charge points by their worst status, connected or not; `statuses` counts connectors of connected
    ones. `faulted`, `offline` and `stale` count charge points that need attention: a connector is faulted, without a
    connection, without a message for an hour.
    """

    charge_points: int
    connected: int
    connectors: int
    worst: dict[str, int]
    statuses: dict[str, int]
    sessions: int
    power_w: float
    faulted: int
    offline: int
    stale: int


def summary(sums: FleetSums) -> FleetSummary:
    """Return the JSON of the counts of charge points."""
    return FleetSummary(
        charge_points=sums.charge_points,
        connected=sums.connected,
        connectors=sums.connectors,
        worst={status or "unknown": count for status, count in sums.worst.items()},
        statuses=dict(sums.statuses_connected),
        sessions=sums.sessions,
        power_w=sums.power_w,
        faulted=sums.worst["Faulted"],
        offline=sums.charge_points - sums.connected,
        stale=sums.stale,
    )


def row(cp: Known, place: Place, now_ts: float) -> ChargePointRow:
    """Return the JSON of a charge point in a list."""
    return ChargePointRow(**_row(cp, place, now_ts))


def whole(
    cp: Known,
    place: Place,
    registration: Registration | None,
    now_ts: float,
    connection: Connected | None,
    requests: Sequence[StoredRequest] = (),
) -> ChargePoint:
    """Return the JSON of a charge point with its connectors; `connection` None: it is not connected.

    `requests`: its signing requests.
    """
    filed = registration or Registration(cp_id=cp.cp_id, registered_ts=None, secret=None)
    return ChargePoint(
        **_row(cp, place, now_ts),
        serial_number=cp.serial_number,
        registered_serial=filed.registered_serial,
        firmware_status=cp.firmware_status,
        log_status=cp.log_status,
        known_since=datetime_of(cp.known_since_ts),
        last_heartbeat_at=datetime_of(cp.last_heartbeat_ts),
        last_transaction_at=datetime_of(cp.last_tx_ts),
        registered_at=datetime_of(filed.registered_ts),
        has_credentials=filed.secret is not None,
        old_credentials_until=datetime_of(filed.other_until_ts),
        security_profile=filed.security_profile or 0,
        pending_security_profile=filed.pending_profile,
        security_profile_now=None if connection is None else connection.security_profile,
        certificate_expires_at=datetime_of(cp.certificate_expires_ts),
        signing_requests=[signing_request(each) for each in requests],
        unknown_id_tags=filed.unknown_id_tags or DEFAULT,
        note=filed.note,
        boots=cp.boots,
        disconnects=cp.disconnects,
        transactions_total=cp.tx_total,
        energy_total_wh=cp.energy_total_wh,
        errors=dict(cp.errors),
        connectors=[connector(cp, each, now_ts) for each in cp.connectors.values()],
    )


def signing_request(each: StoredRequest) -> SigningRequest:
    """Return the JSON of a signing request."""
    return SigningRequest.model_validate(
        {
            "certificate_type": each.kind,
            "state": each.state,
            "reason": each.reason,
            "tries": each.tries,
            "requested_at": datetime_of(each.requested_ts),
            "next_try_at": datetime_of(each.next_try_ts) if each.tries else None,
        }
    )


def connector(cp: Known, each: KnownConnector, now_ts: float) -> Connector:
    """Return the JSON of a connector."""
    running = each.transaction
    return Connector(
        connector_id=each.connector_id,
        status=each.status,
        error_code=each.error_code,
        status_at=datetime_of(each.status_ts),
        current_a=each.current_a,
        power_w=each.power_w,
        limit_a=limit_a(cp, each, now_ts),
        soc_percent=each.soc_percent,
        energy_wh=None if running is None else running.meter.energy_wh,
        transaction=None if running is None else running.number,
    )


def _row(cp: Known, place: Place, now_ts: float) -> dict[str, Any]:
    return {
        "cp_id": cp.cp_id,
        "name": place.name,
        "location": place.location,
        "site_id": place.site_id,
        "labels": dict(place.labels),
        "connected": cp.connected,
        "stale": is_stale(cp, now_ts),
        "status": cp.status,
        "worst": worst_status(cp),
        "statuses": status_counts(cp),
        "connector_states": [each.status for each in sorted(real_connectors(cp), key=lambda each: each.connector_id)],
        "protocol": cp.protocol,
        "vendor": cp.vendor,
        "model": cp.model,
        "firmware": cp.firmware,
        "last_message_at": datetime_of(cp.last_msg_ts),
        "transactions": len(cp.transactions),
        "power_w": sum(each.power_w or 0.0 for each in cp.connectors.values()),
    }
