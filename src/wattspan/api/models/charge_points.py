"""Charge points, their connectors and what an operator says of them."""

from typing import Literal

from pydantic import Field

from wattspan.api.models.common import At, Body, CpId, Shown, Text, moment
from wattspan.csms import pending as csms_pending
from wattspan.csms.commands import Live
from wattspan.csms.security.rotation import Rotated
from wattspan.domain.limits import limit_a
from wattspan.domain.model import ChargePoint as Known
from wattspan.domain.model import Connector as KnownConnector
from wattspan.store.records import Registration

DEFAULT = "default"


class Connector(Shown):
    """A connector (1.6) or EVSE (2.x), as it is now. `transaction` is the number of the one that runs."""

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
    """A charge point in a list."""

    cp_id: str
    connected: bool
    status: str | None
    protocol: str
    vendor: str
    model: str
    firmware: str
    last_message_at: At | None
    transactions: int
    power_w: float


class ChargePoint(ChargePointRow):
    """All that is known of a charge point. `registered_at` null: it turned up by itself."""

    serial_number: str
    firmware_status: str
    log_status: str
    known_since: At | None
    last_heartbeat_at: At | None
    last_transaction_at: At | None
    registered_at: At | None
    has_credentials: bool
    old_credentials_until: At | None
    """Until when the secret before the last rotation works; null: there is none, or no end yet."""
    security_profile: int
    """The OCPP security profile that is required of it, whatever the server asks of everybody."""
    security_profile_now: int | None
    """That of its connection; null: not connected."""
    certificate_expires_at: At | None
    unknown_id_tags: str
    """accept, reject or default: what id tags get here that nobody registered."""
    name: str
    location: str
    note: str
    boots: int
    disconnects: int
    transactions_total: int
    energy_total_wh: float
    errors: dict[str, int]
    connectors: list[Connector]


class Annotations(Body):
    """What the operator says of a charge point; what is not given stays."""

    name: Text | None = None
    location: Text | None = None
    note: Text | None = None
    security_profile: int | None = Field(default=None, ge=0, le=3)
    """Connections by a weaker one are refused from now on; 0: whatever the server asks of everybody."""
    unknown_id_tags: Literal["accept", "reject", "default"] | None = None
    """What id tags get at this charge point that nobody registered."""

    def given(self) -> dict[str, str | int]:
        """The fields that are to be changed, as the books have them."""
        own = {name: getattr(self, name) for name in Annotations.model_fields}
        if own["unknown_id_tags"] == DEFAULT:
            own["unknown_id_tags"] = ""
        return {name: value for name, value in own.items() if value is not None}


class NewChargePoint(Annotations):
    """A charge point to register. `credentials`: whether a secret is made for it, and told this once."""

    cp_id: CpId
    credentials: bool = True


class Credentials(Shown):
    """A charge point's secret, told this once: its Basic password, or AuthorizationKey (1.6 security whitepaper)."""

    cp_id: str
    secret: str | None


class NewCredentials(Body):
    """`secret` null: one is made. Chargers of profile 1 take 16 to 20 bytes."""

    secret: str | None = Field(default=None, min_length=8, max_length=64, pattern=r"^[\x21-\x7e]+$")


class Rotation(Shown):
    """How a rotation went. `applied`: the charge point has the new secret.

    Where it is not applied and `status` is no refusal, both secrets work until the charge point comes with the new one.
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


def pending(waiting: csms_pending.PendingChargePoint) -> PendingChargePoint:
    """One that waits."""
    return PendingChargePoint(
        cp_id=waiting.cp_id,
        since=moment(waiting.since_ts),
        protocol=waiting.protocol,
        address=waiting.source,
        security_profile=waiting.security_profile,
        vendor=waiting.vendor,
        model=waiting.model,
        serial_number=waiting.serial_number,
        firmware=waiting.firmware,
    )


def rotation(cp_id: str, rotated: Rotated) -> Rotation:
    """How it went."""
    return Rotation(
        cp_id=cp_id,
        status=rotated.status,
        applied=rotated.applied,
        old_credentials_until=moment(rotated.old_until_ts),
        trace_id=rotated.trace_id,
    )


def row(cp: Known) -> ChargePointRow:
    """A charge point in a list."""
    return ChargePointRow(**_row(cp))


def whole(cp: Known, registration: Registration | None, now_ts: float, live: Live | None) -> ChargePoint:
    """All that is known of a charge point; `live` None: it is not connected here."""
    filed = registration or Registration(cp_id=cp.cp_id, registered_ts=None, secret=None)
    return ChargePoint(
        **_row(cp),
        serial_number=cp.serial_number,
        firmware_status=cp.firmware_status,
        log_status=cp.log_status,
        known_since=moment(cp.known_since_ts),
        last_heartbeat_at=moment(cp.last_heartbeat_ts),
        last_transaction_at=moment(cp.last_tx_ts),
        registered_at=moment(filed.registered_ts),
        has_credentials=filed.secret is not None,
        old_credentials_until=moment(filed.other_until_ts),
        security_profile=filed.security_profile or 0,
        security_profile_now=None if live is None else live.profile,
        certificate_expires_at=moment(cp.certificate_expires_ts),
        unknown_id_tags=filed.unknown_id_tags or DEFAULT,
        name=filed.name,
        location=filed.location,
        note=filed.note,
        boots=cp.boots,
        disconnects=cp.disconnects,
        transactions_total=cp.tx_total,
        energy_total_wh=cp.energy_total_wh,
        errors=dict(cp.errors),
        connectors=[connector(cp, each, now_ts) for each in cp.connectors.values()],
    )


def connector(cp: Known, each: KnownConnector, now_ts: float) -> Connector:
    """A connector as it is now."""
    running = each.transaction
    return Connector(
        connector_id=each.connector_id,
        status=each.status,
        error_code=each.error_code,
        status_at=moment(each.status_ts),
        current_a=each.current_a,
        power_w=each.power_w,
        limit_a=limit_a(cp, each, now_ts),
        soc_percent=each.soc_percent,
        energy_wh=None if running is None else running.meter.energy_wh,
        transaction=None if running is None else running.number,
    )


def _row(cp: Known) -> dict[str, object]:
    return {
        "cp_id": cp.cp_id,
        "connected": cp.connected,
        "status": cp.status,
        "protocol": cp.protocol,
        "vendor": cp.vendor,
        "model": cp.model,
        "firmware": cp.firmware,
        "last_message_at": moment(cp.last_msg_ts),
        "transactions": len(cp.transactions),
        "power_w": sum(each.power_w or 0.0 for each in cp.connectors.values()),
    }
