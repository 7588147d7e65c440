"""Requests of OCPP 2.0.1 beside sessions and status: device model, events, limits, charging needs, display messages.

There is no certificate authority for vehicles and no energy planner; a request that needs one gets the status that the
specification defines for that case. Payloads may break their schema.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wattspan.domain import events as ev
from wattspan.domain.status import OTHER, PROBLEMS
from wattspan.versions.base import Answer, ChargePointContext, Observe, Payload, Place, Request, no_place
from wattspan.versions.common import acknowledge, reservation_ended
from wattspan.versions.fields import text
from wattspan.versions.v2x import charging, notifications
from wattspan.versions.v2x import device_model as variables

NOT_ENABLED: Payload = {"reasonCode": "NotEnabled"}
"""StatusInfo of a service that is not configured (OCPP 2.0.1 Part 2, appendix 5)."""
_TRUE = frozenset({"true", "1"})
_STANDARD = frozenset(
    {
        "ACCurrent", "ACVoltage", "Active", "AvailabilityState", "Available", "Complete", "DCCurrent", "DCVoltage",
        "DoorOpen", "Enabled", "FanSpeed", "FirmwareVersion", "Frequency", "Humidity", "Length", "Light", "Opened",
        "Operated", "Power", "Present", "Protecting", "SignalStrength", "State", "StateOfCharge", "StateOfChargeBulk",
        "Storage", "Suspended", "Supply", "Temperature", "Time", "Tries", "Voltage",
    }
)  # fmt: skip
"""Standard variables that alert without anything being broken, such as an open door or a temperature."""


def _at_evse(call: Payload) -> tuple[str | None, str | None]:
    return charging.evse(call), None


def ev_certificate(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer Get15118EVCertificate (OCPP 2.0.1 M01) with Failed: no contract certificate pool is configured."""
    return {"status": "Failed", "statusInfo": NOT_ENABLED, "exiResponse": ""}


def certificate_status(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer GetCertificateStatus (OCPP 2.0.1 M06) with Failed: no OCSP responder is configured."""
    return {"status": "Failed", "statusInfo": NOT_ENABLED}


def charging_needs(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer NotifyEVChargingNeeds (OCPP 2.0.1 K15) with Rejected, "service not available": there is no planner."""
    return {"status": "Rejected", "statusInfo": NOT_ENABLED}


def charging_schedule(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer NotifyEVChargingSchedule (OCPP 2.0.1 K15, K16): Accepted means processed, not approved."""
    return {"status": "Accepted"}


def events_notified(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe NotifyEvent (OCPP 2.0.1 N07): new problems, statuses of connectors, and the values of all events."""
    for entry in variables.objects(call.get("eventData")):
        yield from _status_changed(entry, cp_id, received_ts)
        error_type = _problem(entry)
        if error_type is not None:
            of = variables.variable(entry)
            yield ev.ProblemReported(
                cp_id=cp_id,
                received_ts=received_ts,
                error_type=error_type,
                connector_id=of.evse_id or None if of is not None else None,
                component=of.component if of is not None else "",
                tech_code=text(entry.get("techCode"), 50),
                tech_info=text(entry.get("techInfo"), 500),
            )
    yield from variables.values_notified(call, cp_id, received_ts)


def _status_changed(entry: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Return the status in a connector's AvailabilityState, as StatusNotification has it (2.0.1 G01.FR.08, 2.1 G01)."""
    of = variables.variable(entry)
    if of is None or (of.component, of.variable) != ("Connector", "AvailabilityState"):
        return ()
    status = {
        "connectorStatus": entry.get("actualValue"),
        "evseId": of.evse_id,
        "connectorId": of.connector_id,
        "timestamp": entry.get("timestamp"),
    }
    return notifications.status_changed(status, {}, cp_id, received_ts)


def _problem(entry: Payload) -> str | None:
    """Return the label of a problem: an alert, not cleared, of a problem variable that is true. None: it is no problem.

    A vendor's own variable that alerts as true is "other".
    """
    of = variables.variable(entry)
    if of is None or entry.get("trigger") != "Alerting" or entry.get("cleared") is True:
        return None
    if text(entry.get("actualValue")).strip().casefold() not in _TRUE or of.variable in _STANDARD:
        return None
    return of.variable if of.variable in PROBLEMS else OTHER


@dataclass(frozen=True, slots=True)
class Notice:
    """Observes `action` as a notice to plugins: a settlement, a grid alarm, display messages."""

    action: str

    def __call__(self, call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
        return (ev.NoticeReceived(cp_id=cp_id, received_ts=received_ts, action=self.action, payload=call),)


def request(
    action: str, answer: Answer = acknowledge, observe: Observe | None = None, place: Place = no_place
) -> Request:
    """Return a row of the table of requests. `observe` None: the message is passed to plugins unchanged."""
    return Request(action=action, answer=answer, observe=observe or Notice(action), place=place)


REPORTS: Mapping[str, Request] = {
    row.action: row
    for row in (
        request("ClearedChargingLimit", observe=charging.limit_cleared, place=_at_evse),
        request("Get15118EVCertificate", ev_certificate),
        request("GetCertificateStatus", certificate_status),
        request("NotifyChargingLimit", observe=charging.limit_notified, place=_at_evse),
        request("NotifyCustomerInformation"),
        request("NotifyDisplayMessages"),
        request("NotifyEVChargingNeeds", charging_needs, place=_at_evse),
        request("NotifyEVChargingSchedule", charging_schedule, place=_at_evse),
        request("NotifyEvent", observe=events_notified),
        request("NotifyMonitoringReport", observe=variables.monitors_reported),
        request("NotifyReport", observe=variables.reported),
        request("PublishFirmwareStatusNotification"),
        request("ReportChargingProfiles", observe=charging.profiles_reported, place=_at_evse),
        request("ReservationStatusUpdate", observe=reservation_ended),
    )
}
"""The requests of OCPP 2.0.1 beside those in `v2x.requests`, by action."""
