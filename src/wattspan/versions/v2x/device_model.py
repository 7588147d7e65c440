"""The device model of OCPP 2.0.1 (Part 2 B, N) as events: reports, monitors, values read and set.

Used by commands and requests, and by 2.1. Payloads may break their schema; nothing here raises.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.device_model import Attribute, Characteristics, Monitor, Variable, storable
from wattspan.domain.model import credible
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.base import Payload
from wattspan.versions.fields import identifier, number, text, whole

MAX_NAME = 50
_SET = frozenset({"Accepted", "RebootRequired"})


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list; none if `value` is no list."""
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())


def variable(entry: Payload) -> Variable | None:
    """Return the variable that an entry names; None if its component or variable is missing."""
    component, named = entry.get("component"), entry.get("variable")
    if not isinstance(component, dict) or not isinstance(named, dict):
        return None
    name, variable_name = text(component.get("name"), MAX_NAME), text(named.get("name"), MAX_NAME)
    if not name or not variable_name:
        return None
    place = component.get("evse")
    evse = place if isinstance(place, dict) else {}
    return Variable(
        component=name,
        variable=variable_name,
        component_instance=text(component.get("instance"), MAX_NAME),
        variable_instance=text(named.get("instance"), MAX_NAME),
        evse_id=identifier(evse.get("id")) or "",
        connector_id=identifier(evse.get("connectorId")) or "",
    )


def _reported_ts(timestamp: Any, received_ts: float) -> float:
    """Return the charger's time if it is credible, but not after ours; ours otherwise."""
    reported_ts = credible(charger_ts(timestamp), received_ts)
    return received_ts if reported_ts is None else min(reported_ts, received_ts)


def _value(value: Any) -> str | None:
    return text(value, 2500) if isinstance(value, str | int | float) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _attribute(of: Variable, sent: Payload) -> Attribute:
    mutability = text(sent.get("mutability"), 20) or None
    return Attribute(
        of=of,
        type=text(sent.get("type"), 20) or "Actual",
        value=storable(of, _value(sent.get("value")), mutability),
        mutability=mutability,
        persistent=_boolean(sent.get("persistent")),
        constant=_boolean(sent.get("constant")),
    )


def _characteristics(of: Variable, sent: Payload) -> Characteristics:
    return Characteristics(
        of=of,
        data_type=text(sent.get("dataType"), 20),
        unit=text(sent.get("unit"), 16) or None,
        min_limit=number(sent.get("minLimit")),
        max_limit=number(sent.get("maxLimit")),
        max_elements=whole(sent.get("maxElements")),
        values_list=text(sent.get("valuesList"), 1000) or None,
        supports_monitoring=_boolean(sent.get("supportsMonitoring")),
    )


def reported(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe NotifyReport (OCPP 2.0.1 B07, B08): one part of a report."""
    attributes: list[Attribute] = []
    characteristics: list[Characteristics] = []
    for entry in objects(call.get("reportData")):
        of = variable(entry)
        if of is not None:
            attributes += [_attribute(of, each) for each in objects(entry.get("variableAttribute"))]
            described = entry.get("variableCharacteristics")
            if isinstance(described, dict):
                characteristics.append(_characteristics(of, described))
    if not attributes and not characteristics:
        return ()
    return (
        ev.DeviceModelReported(
            cp_id=cp_id,
            received_ts=received_ts,
            reported_ts=_reported_ts(call.get("generatedAt"), received_ts),
            attributes=tuple(attributes),
            characteristics=tuple(characteristics),
        ),
    )


def monitors_reported(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe NotifyMonitoringReport (OCPP 2.0.1 N02)."""
    monitors = [
        monitor
        for entry in objects(call.get("monitor"))
        if (of := variable(entry)) is not None
        for each in objects(entry.get("variableMonitoring"))
        if (monitor := _monitor(of, each)) is not None
    ]
    return _monitored(cp_id, received_ts, _reported_ts(call.get("generatedAt"), received_ts), monitors)


def monitors_set(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe SetVariableMonitoring (OCPP 2.0.1 N04): accepted monitors, with the charger's id and our other fields."""
    requested = {_requested(entry): entry for entry in objects(call.get("setMonitoringData"))}
    monitors = []
    for result in objects(answer.get("setMonitoringResult")):
        of = variable(result)
        if of is not None and result.get("status") == "Accepted":
            monitor = _monitor(of, {**requested.get(_requested(result), {}), **result})
            if monitor is not None:
                monitors.append(monitor._replace(kind="CustomMonitor"))
    return _monitored(cp_id, received_ts, received_ts, monitors)


def monitors_cleared(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe ClearVariableMonitoring (OCPP 2.0.1 N06)."""
    gone = [
        monitor_id
        for result in objects(answer.get("clearMonitoringResult"))
        if result.get("status") == "Accepted" and (monitor_id := whole(result.get("id"))) is not None
    ]
    if not gone:
        return ()
    return (
        ev.DeviceModelReported(
            cp_id=cp_id, received_ts=received_ts, reported_ts=received_ts, cleared_monitors=tuple(gone)
        ),
    )


def _requested(entry: Payload) -> tuple[Variable | None, str, int | None]:
    return variable(entry), text(entry.get("type"), 30), whole(entry.get("severity"))


def _monitor(of: Variable, sent: Payload) -> Monitor | None:
    monitor_id = whole(sent.get("id"))
    if monitor_id is None:
        return None
    return Monitor(
        of=of,
        monitor_id=monitor_id,
        type=text(sent.get("type"), 30),
        value=number(sent.get("value")),
        severity=whole(sent.get("severity")),
        transaction=_boolean(sent.get("transaction")),
        kind=text(sent.get("eventNotificationType"), 30),
    )


def _monitored(cp_id: str, received_ts: float, reported_ts: float, monitors: list[Monitor]) -> Iterable[ev.Event]:
    if not monitors:
        return ()
    return (
        ev.DeviceModelReported(cp_id=cp_id, received_ts=received_ts, reported_ts=reported_ts, monitors=tuple(monitors)),
    )


def variables_read(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe GetVariables (OCPP 2.0.1 B06): the values that were accepted."""
    return _valued(
        cp_id,
        received_ts,
        received_ts,
        [
            Attribute(of=of, type=_type(result), value=storable(of, _value(result.get("attributeValue"))))
            for result in objects(answer.get("getVariableResult"))
            if result.get("attributeStatus") == "Accepted" and (of := variable(result)) is not None
        ],
    )


def variables_set(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe SetVariables (OCPP 2.0.1 B05): the results name variables, the values are in our request."""
    requested = {
        (variable(entry), _type(entry)): _value(entry.get("attributeValue"))
        for entry in objects(call.get("setVariableData"))
    }
    return _valued(
        cp_id,
        received_ts,
        received_ts,
        [
            Attribute(of=of, type=_type(result), value=storable(of, requested[of, _type(result)]))
            for result in objects(answer.get("setVariableResult"))
            if result.get("attributeStatus") in _SET
            and (of := variable(result)) is not None
            and (of, _type(result)) in requested
        ],
    )


def values_notified(call: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Return the values in a NotifyEvent (OCPP 2.0.1 N07), each with its own time; of a variable the newest."""
    newest: dict[Variable, tuple[float, str]] = {}
    for entry in objects(call.get("eventData")):
        of, value = variable(entry), _value(entry.get("actualValue"))
        if of is not None and value is not None:
            reported_ts = _reported_ts(entry.get("timestamp") or call.get("generatedAt"), received_ts)
            if of not in newest or newest[of][0] <= reported_ts:
                newest[of] = reported_ts, value
    for of, (reported_ts, value) in newest.items():
        yield from _valued(cp_id, received_ts, reported_ts, [Attribute(of=of, value=storable(of, value))])


def _type(entry: Payload) -> str:
    return text(entry.get("attributeType"), 20) or "Actual"


def _valued(cp_id: str, received_ts: float, reported_ts: float, attributes: list[Attribute]) -> Iterable[ev.Event]:
    if not attributes:
        return ()
    return (
        ev.DeviceModelReported(
            cp_id=cp_id, received_ts=received_ts, reported_ts=reported_ts, attributes=tuple(attributes)
        ),
    )
