"""`EventLog`: a log record for each event of a charge point that a runbook looks for.

It owns names and fields of these records. What a record is about has happened already: it changes nothing. It must not
know who writes or exports records.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.fleet import Fleet
from wattspan.domain.status import NO_ERROR
from wattspan.domain.timestamps import wire_time
from wattspan.telemetry import catalogue as c
from wattspan.telemetry.causes import Causes
from wattspan.telemetry.evidence import MAX_TEXT
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

NS = 1_000_000_000
RECENT_S = 60.0
ENDS_SOON_S = 14 * 86_400.0
"""From then on the alert on the certificate fires."""

Fields = dict[str, object]
Write = Callable[["EventLog", Any], None]


class EventLog:
    """Writes a record of each event as it is applied. A sink of the plugin host; nothing is queued.

    A charge point can cause these events at will, so the records of each kind are limited to one a second.
    """

    events: tuple[type[ev.Event], ...]

    def __init__(self, fleet: Fleet, causes: Causes, clock_ns: Callable[[], int]) -> None:
        self._fleet = fleet
        self._causes = causes
        self._clock_ns = clock_ns

    def put(self, event: ev.Event) -> None:
        """Write the record of an event, if it is worth one."""
        _WRITERS[type(event)](self, event)

    def booted(self, e: ev.ChargePointBooted) -> None:
        """Write what booted, and the command that caused it if there was one."""
        cause = self._causes.boots.get(e.cp_id)
        fields = {c.OCPP_FIRMWARE: e.firmware, c.VENDOR: e.vendor, c.MODEL: e.model}
        if cause is not None and e.received_ts <= cause.until_ts:
            fields[c.OCPP_CAUSE] = cause.action
        text = "%s booted with firmware %s"
        self._write(e, c.BOOT_EVENT, fields, logging.INFO, text, e.cp_id, e.firmware or "unknown")

    def status(self, e: ev.ConnectorStatusChanged) -> None:
        """Write a fault, and a clock that is off."""
        if e.error_code != NO_ERROR:
            self._fault(e, e.connector_id, e.error_code, e.vendor_error_code, e.info)
        cp = self._fleet.charge_points.get(e.cp_id)
        offset = None if cp is None else cp.clock_offset
        if offset is not None and offset.is_certain and e.charger_ts is not None:
            text = "the clock of %s is %.0f s ahead of ours"
            fields: Fields = {c.CLOCK_OFFSET: round(offset.ahead_s, 1)}
            self._write(e, c.CLOCK_EVENT, fields, logging.WARNING, text, e.cp_id, offset.ahead_s)

    def problem(self, e: ev.ProblemReported) -> None:
        """Write the kind of a fault (2.x)."""
        self._fault(e, e.connector_id or "", e.error_type, e.tech_code, e.tech_info or e.component)

    def firmware(self, e: ev.FirmwareStatusChanged) -> None:
        """Write how an update of the firmware proceeds."""
        self._write(
            e, c.FIRMWARE_EVENT, {c.OCPP_STATUS: e.status}, logging.INFO, "firmware of %s: %s", e.cp_id, e.status
        )

    def started(self, e: ev.TransactionStarted) -> None:
        """Write that a transaction began, without its id token."""
        fields: Fields = {c.CONNECTOR_ID: e.connector_id, c.OCPP_TRANSACTION_ID: e.transaction_id}
        text = "transaction %s began at %s, connector %s"
        self._write(e, c.TRANSACTION_EVENT, fields, logging.INFO, text, e.transaction_id, e.cp_id, e.connector_id)

    def profile(self, e: ev.ChargingProfileSet) -> None:
        """Write the first limit of a charging profile."""
        limit, unit = _first_limit(e.profile)
        purpose = str(e.profile.get("chargingProfilePurpose", ""))
        fields: Fields = {
            c.CONNECTOR_ID: e.connector_id,
            c.PROFILE_PURPOSE: purpose,
            c.PROFILE_LIMIT: limit,
            c.PROFILE_UNIT: unit,
        }
        text = "%s took a %s for connector %s: %s %s"
        self._write(e, c.PROFILE_EVENT, fields, logging.INFO, text, e.cp_id, purpose, e.connector_id, limit, unit)

    def failed(self, e: ev.CommandFailed) -> None:
        """Write why a command failed."""
        fields: Fields = {c.OCPP_ACTION: e.action, c.FAILURE: e.error_type}
        text = "%s to %s failed: %s"
        self._write(e, c.COMMAND_FAILED_EVENT, fields, logging.WARNING, text, e.action, e.cp_id, e.error_type)

    def answered(self, e: ev.CommandAnswered) -> None:
        """Write the answer to a command that was not accepted."""
        if not e.accepted:
            fields: Fields = {c.OCPP_ACTION: e.action, c.OCPP_STATUS: e.status}
            text = "%s answered %s with %s"
            self._write(e, c.COMMAND_REJECTED_EVENT, fields, logging.INFO, text, e.cp_id, e.action, e.status)

    def authorized(self, e: ev.Authorized) -> None:
        """Write that an id token was not accepted, without the token."""
        if e.status != "Accepted":
            text = "an id token at %s was not accepted: %s"
            self._write(e, c.AUTHORIZATION_EVENT, {c.OCPP_STATUS: e.status}, logging.INFO, text, e.cp_id, e.status)

    def certificate(self, e: ev.CertificateHeld) -> None:
        """Write that the client certificate with which a charge point connected ends soon."""
        if e.expires_ts - e.received_ts < ENDS_SOON_S:
            ends = wire_time(e.expires_ts)
            text = "the client certificate of %s ends at %s"
            self._write(e, c.CERTIFICATE_ENDS_EVENT, {c.CLIENT_NOT_AFTER: ends}, logging.WARNING, text, e.cp_id, ends)

    def _fault(self, e: ev.Event, connector_id: str, code: str, vendor_code: str, info: str) -> None:
        fields: Fields = {
            c.CONNECTOR_ID: connector_id,
            c.OCPP_ERROR_CODE: code[:MAX_TEXT],
            c.VENDOR_ERROR_CODE: vendor_code[:MAX_TEXT],
            c.ERROR_INFO: info[:MAX_TEXT],
        }
        text = "%s reported %s at connector %s: %s"
        detail = (vendor_code or info or "no further detail")[:MAX_TEXT]
        self._write(e, c.FAULT_EVENT, fields, logging.WARNING, text, e.cp_id, code[:MAX_TEXT], connector_id, detail)

    def _write(
        self, e: ev.Event, name: str, fields: Mapping[str, object], level: int, text: str, *args: object
    ) -> None:
        """Write one record, unless it is about the past (`record_past`). Empty fields are left out."""
        if e.received_ts < self._clock_ns() / NS - RECENT_S:
            return
        known = {key: value for key, value in fields.items() if value not in ("", None)}
        limited(log, level, name, text, *args, fields={c.EVENT_NAME: name, c.CP_ID: e.cp_id, **known})


def _first_limit(profile: ev.Payload) -> tuple[float | None, str]:
    """Return the limit and the unit of the first period of a profile, which may be invalid; None and "" without."""
    schedule = profile.get("chargingSchedule")
    if isinstance(schedule, list):  # 2.x
        schedule = schedule[0] if schedule else None
    if not isinstance(schedule, dict):
        return None, ""
    periods = schedule.get("chargingSchedulePeriod")
    period = periods[0] if isinstance(periods, list) and periods else None
    limit = period.get("limit") if isinstance(period, dict) else None
    return (float(limit) if isinstance(limit, int | float) else None), str(schedule.get("chargingRateUnit", ""))


_WRITERS: dict[type[ev.Event], Write] = {
    ev.ChargePointBooted: EventLog.booted,
    ev.ConnectorStatusChanged: EventLog.status,
    ev.ProblemReported: EventLog.problem,
    ev.FirmwareStatusChanged: EventLog.firmware,
    ev.TransactionStarted: EventLog.started,
    ev.ChargingProfileSet: EventLog.profile,
    ev.CommandFailed: EventLog.failed,
    ev.CommandAnswered: EventLog.answered,
    ev.Authorized: EventLog.authorized,
    ev.CertificateHeld: EventLog.certificate,
}
EventLog.events = tuple(_WRITERS)
