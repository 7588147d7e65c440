"""The device model of OCPP 2.0.1 (Part 2 B, N) as the domain's events: reports, monitors, values read and set.

Shared by commands and notices, and by 2.1. Payloads may break their schema; nothing here raises.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from wattspan.domain import events as ev
from wattspan.domain.device_model import Attribute, Characteristics, Monitor, Variable, kept
from wattspan.domain.model import credible
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.base import Payload
from wattspan.versions.fields import identifier, number, text, whole

MAX_NAME = 50
_TAKEN = frozenset({"Accepted", "RebootRequired"})


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; none for what is no list."""
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())


def variable(entry: Payload) -> Variable | None:
    """What `component` and `variable` of an entry name; None where either is missing."""
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


def _told_ts(told: Any, received_ts: float) -> float:
    moment = credible(charger_ts(told), received_ts)
    return received_ts if moment is None else min(moment, received_ts)


def _value(told: Any) -> str | None:
    return text(told, 2500) if isinstance(told, str | int | float) else None


def _truth(told: Any) -> bool | None:
    return told if isinstance(told, bool) else None


def _attribute(of: Variable, told: Payload) -> Attribute:
    mutability = text(told.get("mutability"), 20) or None
    return Attribute(
        of=of,
        type=text(told.get("type"), 20) or "Actual",
        value=kept(of, _value(told.get("value")), mutability),
        mutability=mutability,
        persistent=_truth(told.get("persistent")),
        constant=_truth(told.get("constant")),
    )


def _characteristics(of: Variable, told: Payload) -> Characteristics:
    return Characteristics(
        of=of,
        data_type=text(told.get("dataType"), 20),
        unit=text(told.get("unit"), 16) or None,
        min_limit=number(told.get("minLimit")),
        max_limit=number(told.get("maxLimit")),
        max_elements=whole(told.get("maxElements")),
        values_list=text(told.get("valuesList"), 1000) or None,
        supports_monitoring=_truth(told.get("supportsMonitoring")),
    )


def reported(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """NotifyReport (OCPP 2.0.1 B07, B08): one of the parts that a report comes in."""
    attributes: list[Attribute] = []
    characteristics: list[Characteristics] = []
    for entry in objects(call.get("reportData")):
        of = variable(entry)
        if of is not None:
            attributes += [_attribute(of, told) for told in objects(entry.get("variableAttribute"))]
            told = entry.get("variableCharacteristics")
            if isinstance(told, dict):
                characteristics.append(_characteristics(of, told))
    if not attributes and not characteristics:
        return ()
    return (
        ev.DeviceModelReported(
            cp_id=cp_id,
            received_ts=received_ts,
            told_ts=_told_ts(call.get("generatedAt"), received_ts),
            attributes=tuple(attributes),
            characteristics=tuple(characteristics),
        ),
    )


def monitors_reported(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """NotifyMonitoringReport (OCPP 2.0.1 N02)."""
    monitors = [
        monitor
        for entry in objects(call.get("monitor"))
        if (of := variable(entry)) is not None
        for told in objects(entry.get("variableMonitoring"))
        if (monitor := _monitor(of, told)) is not None
    ]
    return _monitored(cp_id, received_ts, _told_ts(call.get("generatedAt"), received_ts), monitors)


def monitors_set(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """SetVariableMonitoring (OCPP 2.0.1 N04): what was accepted; the id is the charger's, the rest was asked for."""
    asked = {_asked_for(entry): entry for entry in objects(call.get("setMonitoringData"))}
    monitors = []
    for result in objects(answer.get("setMonitoringResult")):
        of = variable(result)
        if of is not None and result.get("status") == "Accepted":
            monitor = _monitor(of, {**asked.get(_asked_for(result), {}), **result})
            if monitor is not None:
                monitors.append(monitor._replace(kind="CustomMonitor"))
    return _monitored(cp_id, received_ts, received_ts, monitors)


def monitors_cleared(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """ClearVariableMonitoring (OCPP 2.0.1 N06)."""
    gone = [
        monitor_id
        for result in objects(answer.get("clearMonitoringResult"))
        if result.get("status") == "Accepted" and (monitor_id := whole(result.get("id"))) is not None
    ]
    if not gone:
        return ()
    return (
        ev.DeviceModelReported(cp_id=cp_id, received_ts=received_ts, told_ts=received_ts, cleared_monitors=tuple(gone)),
    )


def _asked_for(entry: Payload) -> tuple[Variable | None, str, int | None]:
    return variable(entry), text(entry.get("type"), 30), whole(entry.get("severity"))


def _monitor(of: Variable, told: Payload) -> Monitor | None:
    monitor_id = whole(told.get("id"))
    if monitor_id is None:
        return None
    return Monitor(
        of=of,
        monitor_id=monitor_id,
        type=text(told.get("type"), 30),
        value=number(told.get("value")),
        severity=whole(told.get("severity")),
        transaction=_truth(told.get("transaction")),
        kind=text(told.get("eventNotificationType"), 30),
    )


def _monitored(cp_id: str, received_ts: float, told_ts: float, monitors: list[Monitor]) -> Iterable[ev.Event]:
    if not monitors:
        return ()
    return (ev.DeviceModelReported(cp_id=cp_id, received_ts=received_ts, told_ts=told_ts, monitors=tuple(monitors)),)


def variables_read(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """GetVariables (OCPP 2.0.1 B06): the values of what was accepted."""
    return _valued(
        cp_id,
        received_ts,
        received_ts,
        [
            Attribute(of=of, type=_type(result), value=kept(of, _value(result.get("attributeValue"))))
            for result in objects(answer.get("getVariableResult"))
            if result.get("attributeStatus") == "Accepted" and (of := variable(result)) is not None
        ],
    )


def variables_set(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """SetVariables (OCPP 2.0.1 B05): the results name variables, the values are those we asked for."""
    asked = {
        (variable(entry), _type(entry)): _value(entry.get("attributeValue"))
        for entry in objects(call.get("setVariableData"))
    }
    return _valued(
        cp_id,
        received_ts,
        received_ts,
        [
            Attribute(of=of, type=_type(result), value=kept(of, asked[of, _type(result)]))
            for result in objects(answer.get("setVariableResult"))
            if result.get("attributeStatus") in _TAKEN
            and (of := variable(result)) is not None
            and (of, _type(result)) in asked
        ],
    )


def values_notified(call: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """The values that NotifyEvent tells (OCPP 2.0.1 N07), each of its own time; of one variable the newest."""
    newest: dict[Variable, tuple[float, str]] = {}
    for entry in objects(call.get("eventData")):
        of, value = variable(entry), _value(entry.get("actualValue"))
        if of is not None and value is not None:
            told_ts = _told_ts(entry.get("timestamp") or call.get("generatedAt"), received_ts)
            if of not in newest or newest[of][0] <= told_ts:
                newest[of] = told_ts, value
    for of, (told_ts, value) in newest.items():
        yield from _valued(cp_id, received_ts, told_ts, [Attribute(of=of, value=kept(of, value))])


def _type(entry: Payload) -> str:
    return text(entry.get("attributeType"), 20) or "Actual"


def _valued(cp_id: str, received_ts: float, told_ts: float, attributes: list[Attribute]) -> Iterable[ev.Event]:
    if not attributes:
        return ()
    return (
        ev.DeviceModelReported(cp_id=cp_id, received_ts=received_ts, told_ts=told_ts, attributes=tuple(attributes)),
    )
