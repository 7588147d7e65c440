"""The whole fleet in one answer: what the console's list, matrix and overview show. Events keep it up to date."""

from collections.abc import Mapping
from typing import Any

from wattspan.api.filters import real_connectors, status_counts, worst_status
from wattspan.api.fleet_sums import is_stale
from wattspan.api.models.charge_points import ChargePointRow
from wattspan.api.models.common import At, Shown
from wattspan.domain.model import ChargePoint as Known
from wattspan.domain.model import Connector as KnownConnector
from wattspan.domain.timestamps import wire_time_or_none
from wattspan.store.queries.sites import Place


class FleetConnector(Shown):
    """A connector (1.6) or EVSE (2.x), as it is now. `transaction` is the number of the open one."""

    connector_id: str
    status: str | None
    error_code: str
    status_at: At | None
    power_w: float | None
    soc_percent: float | None
    energy_wh: float | None
    transaction: int | None


class FleetChargePoint(ChargePointRow):
    """A charge point with its connectors."""

    certificate_expires_at: At | None
    boots: int
    connectors: list[FleetConnector]


class Fleet(Shown):
    """All charge points, in no particular order."""

    charge_points: list[FleetChargePoint]


def charge_point(cp: Known, place: Place, now_ts: float) -> Mapping[str, Any]:
    """Return a `FleetChargePoint` as plain JSON: models of ten thousand connectors would take a second."""
    return {
        "cp_id": cp.cp_id,
        "name": place.name,
        "location": place.location,
        "site_id": place.site_id,
        "labels": place.labels,
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
        "last_message_at": wire_time_or_none(cp.last_msg_ts),
        "transactions": len(cp.transactions),
        "power_w": sum(each.power_w or 0.0 for each in cp.connectors.values()),
        "certificate_expires_at": wire_time_or_none(cp.certificate_expires_ts),
        "boots": cp.boots,
        "connectors": [_connector(each) for each in cp.connectors.values()],
    }


def _connector(each: KnownConnector) -> Mapping[str, Any]:
    running = each.transaction
    return {
        "connector_id": each.connector_id,
        "status": each.status,
        "error_code": each.error_code,
        "status_at": wire_time_or_none(each.status_ts),
        "power_w": each.power_w,
        "soc_percent": each.soc_percent,
        "energy_wh": None if running is None else running.meter.energy_wh,
        "transaction": None if running is None else running.number,
    }
