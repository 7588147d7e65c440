"""OCPP 2.0.1: what charging stations report beside their sessions: device model, events, limits, needs, messages.

What needs a certificate authority or an energy planner, which we have none of, gets the status that the
specification has for that. Payloads may break their schema.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wattspan.domain import events as ev
from wattspan.domain.status import OTHER, PROBLEMS
from wattspan.versions.base import Answer, ChargePointContext, Observe, Payload, Place, Request, nowhere
from wattspan.versions.fields import text
from wattspan.versions.v2x import charging, notifications
from wattspan.versions.v2x import device_model as variables

NOT_ENABLED: Payload = {"reasonCode": "NotEnabled"}
"""StatusInfo of what is not configured (OCPP 2.0.1 Part 2, appendix 5)."""
_TRUE = frozenset({"true", "1"})
_STANDARD = frozenset(
    {
        "ACCurrent", "ACVoltage", "Active", "AvailabilityState", "Available", "Complete", "DCCurrent", "DCVoltage",
        "DoorOpen", "Enabled", "FanSpeed", "FirmwareVersion", "Frequency", "Humidity", "Length", "Light", "Opened",
        "Operated", "Power", "Present", "Protecting", "SignalStrength", "State", "StateOfCharge", "StateOfChargeBulk",
        "Storage", "Suspended", "Supply", "Temperature", "Time", "Tries", "Voltage",
    }
)  # fmt: skip
"""Variables of OCPP's own that alert without anything being broken: a door was opened, it became warm."""


def _at_evse(call: Payload) -> tuple[str | None, str | None]:
    return charging.evse(call), None


def ev_certificate(call: Payload, cp: ChargePointContext) -> Payload:
    """Get15118EVCertificate (OCPP 2.0.1 M01): no contract certificate pool is configured."""
    return {"status": "Failed", "statusInfo": NOT_ENABLED, "exiResponse": ""}


def certificate_status(call: Payload, cp: ChargePointContext) -> Payload:
    """GetCertificateStatus (OCPP 2.0.1 M06): no OCSP responder is asked."""
    return {"status": "Failed", "statusInfo": NOT_ENABLED}


def charging_needs(call: Payload, cp: ChargePointContext) -> Payload:
    """NotifyEVChargingNeeds (OCPP 2.0.1 K15): no planner makes schedules, so "service not available"."""
    return {"status": "Rejected", "statusInfo": NOT_ENABLED}


def charging_schedule(call: Payload, cp: ChargePointContext) -> Payload:
    """NotifyEVChargingSchedule (OCPP 2.0.1 K15, K16): that it could be read, which approves of nothing."""
    return {"status": "Accepted"}


def events_notified(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """NotifyEvent (OCPP 2.0.1 N07): problems that begin, connectors' states, and the values of all events."""
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
    """A connector's AvailabilityState is a StatusNotification in other words (OCPP 2.0.1 G01.FR.08, 2.1 G01)."""
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
    """The label of an event that means trouble: it alerts, was not cleared, and names a problem variable as true.

    A vendor's own variable that alerts as true counts too, as "other".
    """
    of = variables.variable(entry)
    if of is None or entry.get("trigger") != "Alerting" or entry.get("cleared") is True:
        return None
    if text(entry.get("actualValue")).strip().casefold() not in _TRUE or of.variable in _STANDARD:
        return None
    return of.variable if of.variable in PROBLEMS else OTHER


@dataclass(frozen=True, slots=True)
class Carried:
    """Observes `action` as a notice for others: a settlement, an alarm of the grid, messages on a display."""

    action: str

    def __call__(self, call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
        return (ev.NoticeReceived(cp_id=cp_id, received_ts=received_ts, action=self.action, payload=call),)


def request(
    action: str, answer: Answer = notifications.noted, observe: Observe | None = None, place: Place = nowhere
) -> Request:
    """A row of the table. What is of no meaning to us (`observe` None) reaches plugins as it came."""
    return Request(action=action, answer=answer, observe=observe or Carried(action), place=place)


NOTICES: Mapping[str, Request] = {
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
        request("ReservationStatusUpdate", observe=charging.reservation_ended),
    )
}
"""Every message of OCPP 2.0.1 to us that `v201` itself does not tell of sessions and the station's life."""
