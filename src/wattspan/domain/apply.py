"""The state change of each event, and the table of them. Pure: same events, same state.

Transactions and charging profiles have modules of their own; the rest is here.
"""

from collections.abc import Callable
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain import evses
from wattspan.domain import status as status_words
from wattspan.domain.clock_skew import clock_offset
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import NO_TIME, ChargePoint, Connector, when
from wattspan.domain.profiles import profile_set, profiles_cleared, schedule_updated
from wattspan.domain.transactions import v2x, v16

REQUESTED_S = 60.0
"""A status that arrives within this time of the command that requested it is its effect."""
STATUS_TRIGGERS = frozenset({"TriggerMessage", "ExtendedTriggerMessage"})
"""Commands of 1.6 that request StatusNotification, as StatusRequested says."""
ONE_FAULT_S = 60.0
"""A fault reported by status and a problem reported by NotifyEvent within this time are the same fault."""


def apply(fleet: Fleet, event: ev.Event) -> None:
    """Change the state by `event`. A repeat changes nothing."""
    HANDLERS[type(event)](fleet, event)


def _connected(fleet: Fleet, e: ev.ChargePointConnected) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.connected, cp.protocol = True, e.protocol
    cp.unnamed_stops = []
    cp.outage_counted = bool(cp.transactions)
    if e.cp_id in fleet.resumed:
        fleet.resumed.discard(e.cp_id)
    else:
        _came_back(fleet, cp, e.received_ts, "reconnected")
    fleet.seen(cp, e.received_ts)


def _disconnected(fleet: Fleet, e: ev.ChargePointDisconnected) -> None:
    cp = fleet.charge_points.get(e.cp_id)
    if cp is None:
        return  # decommissioned, which closed its connection
    if not e.replaced:
        cp.connected = False
    cp.disconnects += 1
    fleet.changes.charge_points[cp.cp_id] = cp
    fleet.add_timeline_entries(cp.transactions.values(), e.received_ts, "disconnected", {"ws.close_code": e.code})


def _certificate(fleet: Fleet, e: ev.CertificateHeld) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    if cp.certificate_expires_ts != e.expires_ts:
        cp.certificate_expires_ts = e.expires_ts
        fleet.changes.charge_points[cp.cp_id] = cp


def _booted(fleet: Fleet, e: ev.ChargePointBooted) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.boots += 1
    cp.vendor, cp.model, cp.serial_number, cp.firmware = e.vendor, e.model, e.serial_number, e.firmware
    if cp.transactions and not cp.outage_counted:
        cp.outage_counted = True
        _came_back(fleet, cp, e.received_ts, "rebooted")
    for connector in cp.connectors.values():
        if connector.fault_ts is not None:
            connector.fault_ts = None  # what it reports from now on is a fault of this boot
            fleet.changes.connectors[(cp.cp_id, connector.connector_id)] = connector
    fleet.changes.charge_points[cp.cp_id] = cp


def _came_back(fleet: Fleet, cp: ChargePoint, at_ts: float, how: str) -> None:
    if cp.transactions:
        cp.reconnects_during_tx += len(cp.transactions)
        fleet.changes.charge_points[cp.cp_id] = cp
        fleet.add_timeline_entries(cp.transactions.values(), at_ts, how, {})


def _heartbeat(fleet: Fleet, e: ev.HeartbeatReceived) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.last_heartbeat_ts = e.received_ts
    fleet.changes.stale_charge_points[cp.cp_id] = cp


def _status(fleet: Fleet, e: ev.ConnectorStatusChanged) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    connector = cp.connector(e.connector_id)
    is_new = _is_new_fault_16(connector, e) if e.outlet is None else _is_new_fault(connector, e)
    status = e.status if e.outlet is None else evses.update_outlet(connector, e.outlet, e.status)
    at_ts = when(e.charger_ts, e.received_ts)
    if status:
        cp.status = status
        connector.change_status(status, at_ts)
    if is_new:
        connector.error_code = e.error_code
    if e.charger_ts is not None:
        cp.clock_offset = clock_offset(cp.clock_offset, e.charger_ts, e.received_ts)
    fleet.changed(cp, connector)
    transaction = connector.transaction
    if transaction is not None and (phase := status_words.PHASES.get(status)) is not None:
        fleet.add_timeline_entry(transaction, at_ts, phase, {}, phase=True)
    if is_new and e.error_code != status_words.NO_ERROR:
        code = status_words.bounded_error(e.error_code, cp.errors)
        cp.errors[code] = cp.errors.get(code, 0) + 1
        affected = [transaction] if transaction is not None else cp.transactions.values()
        fleet.add_timeline_entries(affected, e.received_ts, "error", {"ocpp.error_code": e.error_code})


def _is_new_fault_16(connector: Connector, e: ev.ConnectorStatusChanged) -> bool:
    """Return whether the status of 1.6 reports a fault that was not counted yet, or no fault.

    A standing fault is in every status, also in one that we requested. It is another one after no error, another error
    or a boot, and in a status that nobody requested and that is dated later.
    """
    requested_ts, connector.status_requested_ts = connector.status_requested_ts, None
    if e.error_code == status_words.NO_ERROR:
        connector.fault_ts = None
        return True
    fault_ts = NO_TIME if e.charger_ts is None else e.charger_ts
    if connector.fault_ts is not None and connector.error_code == e.error_code:
        is_requested = requested_ts is not None and e.received_ts - requested_ts <= REQUESTED_S
        is_later = fault_ts > connector.fault_ts
        connector.fault_ts = max(fault_ts, connector.fault_ts)
        return is_later and not is_requested
    connector.fault_ts = fault_ts
    return True


def _is_new_fault(connector: Connector, e: ev.ConnectorStatusChanged) -> bool:
    """Return whether the status of 2.x reports a fault that was not counted yet, or no fault.

    2.x reports a fault by a status without a kind and, before or after it, the kind by a NotifyEvent; it counts once.
    So this is False where the connector was faulted already, and where a NotifyEvent has just reported it.
    """
    if e.error_code == status_words.NO_ERROR:
        return True
    if connector.problem is not None and e.received_ts - connector.problem[1] <= ONE_FAULT_S:
        connector.error_code = connector.problem[0]
        return False
    return connector.outlets.get(e.outlet or "") != e.status


def _authorized(fleet: Fleet, e: ev.Authorized) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.authorizations[e.status] = cp.authorizations.get(e.status, 0) + 1
    fleet.changes.stale_charge_points[cp.cp_id] = cp


def _protocol_fault(fleet: Fleet, e: ev.ProtocolFaulted) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.errors[e.code] = cp.errors.get(e.code, 0) + 1
    fleet.changes.stale_charge_points[cp.cp_id] = cp


def _problem(fleet: Fleet, e: ev.ProblemReported) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    code = status_words.bounded_problem(e.error_type)
    connector = cp.connectors.get(e.connector_id or "")
    if connector is not None and connector.error_code in (status_words.UNSPECIFIED_FAULT, code):
        connector.error_code = code  # the kind of the fault that its status reported, counted then; or told again
        fleet.changed(cp, connector)
    else:
        cp.errors[code] = cp.errors.get(code, 0) + 1
        fleet.changes.charge_points[cp.cp_id] = cp
    if connector is not None:
        connector.problem = (code, e.received_ts)
    affected = [tx for tx in cp.transactions.values() if e.connector_id in (None, tx.connector_id)]
    fleet.add_timeline_entries(affected, e.received_ts, "error", {"ocpp.error_code": code})


def _ignored(fleet: Fleet, e: ev.NoticeReceived) -> None:
    """Change nothing: the event is for plugins only."""


def _version_mixed(fleet: Fleet, e: ev.VersionMixed) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.mixed_versions[e.action] = cp.mixed_versions.get(e.action, 0) + 1
    fleet.changes.stale_charge_points[cp.cp_id] = cp


def _schema_fault(fleet: Fleet, e: ev.SchemaFaulted) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.schema_faults[e.action] = cp.schema_faults.get(e.action, 0) + 1
    fleet.changes.stale_charge_points[cp.cp_id] = cp


def _status_requested(fleet: Fleet, e: ev.StatusRequested) -> None:
    _expect_status(fleet, e, e.received_ts)


def _expect_status(
    fleet: Fleet, e: ev.StatusRequested | ev.CommandAnswered | ev.CommandFailed, ts: float | None
) -> None:
    """Set when the status was requested that the connectors of a command are to report; None: none is to come."""
    cp = fleet.charge_points.get(e.cp_id)
    if cp is not None:
        for connector in cp.connectors.values():
            if e.connector_id in (None, connector.connector_id):
                connector.status_requested_ts = ts


def _command_answered(fleet: Fleet, e: ev.CommandAnswered) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    if not e.accepted:
        key = (e.action, e.status)
        cp.call_rejections[key] = cp.call_rejections.get(key, 0) + 1
        if e.action in STATUS_TRIGGERS:
            _expect_status(fleet, e, None)
    _add_command_entry(fleet, cp, e, {"ocpp.action": e.action, "ocpp.status": e.status})


def _command_failed(fleet: Fleet, e: ev.CommandFailed) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    key = (e.action, status_words.bounded_call_error(e.error_type))
    cp.call_errors[key] = cp.call_errors.get(key, 0) + 1
    if e.action in STATUS_TRIGGERS:
        _expect_status(fleet, e, None)
    _add_command_entry(fleet, cp, e, {"ocpp.action": e.action, "error.type": e.error_type})


def _add_command_entry(
    fleet: Fleet, cp: ChargePoint, e: ev.CommandAnswered | ev.CommandFailed, attributes: dict[str, Any]
) -> None:
    fleet.changes.charge_points[cp.cp_id] = cp
    if e.trace_id:
        attributes |= {"ocpp.command.trace_id": e.trace_id, "ocpp.command.span_id": e.span_id}
    affected = [tx for tx in cp.transactions.values() if e.connector_id in (None, "0", tx.connector_id)]
    fleet.add_timeline_entries(affected, e.received_ts, "command", attributes)


def _firmware(fleet: Fleet, e: ev.FirmwareStatusChanged) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.firmware_status = e.status
    fleet.changes.charge_points[cp.cp_id] = cp
    fleet.changes.notes.append(e)


def _log(fleet: Fleet, e: ev.LogStatusChanged) -> None:
    cp = fleet.charge_point(e.cp_id, e.received_ts)
    cp.log_status = e.status
    fleet.changes.charge_points[cp.cp_id] = cp
    fleet.changes.notes.append(e)


def _note(fleet: Fleet, e: Any) -> None:
    fleet.charge_point(e.cp_id, e.received_ts)
    fleet.changes.notes.append(e)


def _decommissioned(fleet: Fleet, e: ev.ChargePointDecommissioned) -> None:
    if fleet.charge_points.pop(e.cp_id, None) is not None:
        for pending in (fleet.changes.charge_points, fleet.changes.stale_charge_points):
            pending.pop(e.cp_id, None)
        for connectors in (fleet.changes.connectors, fleet.changes.stale_connectors):
            for place in [place for place in connectors if place[0] == e.cp_id]:
                del connectors[place]
        fleet.changes.decommissioned.append(e.cp_id)


HANDLERS: dict[type[ev.Event], Callable[[Fleet, Any], None]] = {
    ev.ChargePointConnected: _connected,
    ev.ChargePointDisconnected: _disconnected,
    ev.ChargePointBooted: _booted,
    ev.CertificateHeld: _certificate,
    ev.HeartbeatReceived: _heartbeat,
    ev.ConnectorStatusChanged: _status,
    ev.Authorized: _authorized,
    ev.TransactionStarted: v16.started,
    ev.MeterValuesReceived: v16.meter_values,
    ev.TransactionStopped: v16.stopped,
    ev.TransactionEventReceived: v2x.transaction_event,
    ev.ProtocolFaulted: _protocol_fault,
    ev.SchemaFaulted: _schema_fault,
    ev.StatusRequested: _status_requested,
    ev.CommandAnswered: _command_answered,
    ev.CommandFailed: _command_failed,
    ev.ChargingProfileSet: profile_set,
    ev.ChargingProfilesCleared: profiles_cleared,
    ev.FirmwareStatusChanged: _firmware,
    ev.LogStatusChanged: _log,
    ev.FileTransferRequested: _note,
    ev.InstalledCertificatesReported: _note,
    ev.SecurityEventReported: _note,
    ev.DynamicScheduleUpdated: schedule_updated,
    ev.ProblemReported: _problem,
    ev.NoticeReceived: _ignored,
    ev.VersionMixed: _version_mixed,
    ev.DeviceModelReported: _note,
    ev.EventStreamOpened: _note,
    ev.EventStreamClosed: _note,
    ev.EventStreamReceived: _note,
    ev.ReservationMade: _note,
    ev.ReservationCancelled: _note,
    ev.ChargePointDecommissioned: _decommissioned,
}
"""The state change of each event: what `apply` looks up, for callers that save its call."""
