"""The device model of 2.x chargers: what they report, what is read and set, and what is never kept."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from wattspan.domain.device_model import Variable

AT = "2026-11-21T10:00:00Z"
LATER = "2026-11-21T10:05:00Z"
TEMPERATURE = {
    "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 2}},
    "variable": {"name": "Temperature"},
}
PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
KEY = {"component": {"name": "VendorCtrlr"}, "variable": {"name": "Pin"}}
INTERVAL = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}


def report(*data, at=AT, **more):
    return {"requestId": 1, "generatedAt": at, "seqNo": 0, "reportData": list(data), **more}


def notify(entry, value, *, trigger="Alerting", at=AT, **more):
    event = {
        **entry,
        "eventId": 1,
        "timestamp": at,
        "trigger": trigger,
        "actualValue": value,
        "eventNotificationType": "HardWiredNotification",
        **more,
    }
    return {"generatedAt": at, "seqNo": 0, "eventData": [event]}


def variable(name, component="Controller", **evse):
    return {"component": {"name": component, **({"evse": evse} if evse else {})}, "variable": {"name": name}}


@pytest.fixture(params=["ocpp2.0.1", "ocpp2.1"])
async def charger(request, csms):
    async with csms.charger("CP1", subprotocols=[request.param]) as charger:
        yield charger


async def value(csms, component, name, kind="Actual"):
    """What the store has of a variable's attribute."""
    found = await csms.store.device_model("CP1", component=component, variable=name)
    return {attribute.type: attribute.value for each in found for attribute in each.attributes}.get(kind)


async def command(csms, charger, action, payload, answer):
    waiting = asyncio.create_task(csms.central.commands.send_payload("CP1", action, payload))
    await charger.reply(await charger.expect(action), answer)
    return await waiting


async def test_a_report_in_several_parts_is_kept_over_a_restart(csms, charger):
    """OCPP 2.0.1 B07: NotifyReport, `tbc` until the last."""
    characteristics = {"dataType": "decimal", "unit": "Celsius", "maxLimit": 90.5, "supportsMonitoring": True}
    attributes = [{"value": "41.5", "mutability": "ReadOnly"}, {"type": "MaxSet", "value": "90", "persistent": True}]
    first = {**TEMPERATURE, "variableAttribute": attributes, "variableCharacteristics": characteristics}
    await charger.call("NotifyReport", report(first, tbc=True))
    await charger.call("NotifyReport", report({**INTERVAL, "variableAttribute": [{"value": "60"}]}, seqNo=1))
    await csms.restart()
    temperature, interval = await csms.store.device_model("CP1")
    assert interval.of == Variable(component="OCPPCommCtrlr", variable="HeartbeatInterval")
    assert interval.characteristics is None
    of = Variable(component="Connector", variable="Temperature", evse_id="1", connector_id="2")
    assert temperature.of == of
    assert [(each.type, each.value, each.mutability, each.persistent) for each in temperature.attributes] == [
        ("Actual", "41.5", "ReadOnly", None),
        ("MaxSet", "90", None, True),
    ]
    assert (temperature.characteristics.unit, temperature.characteristics.max_limit) == ("Celsius", 90.5)
    assert temperature.characteristics.supports_monitoring is True


async def test_values_that_are_read_or_set_are_kept_and_refused_ones_are_not(csms, charger):
    asked = {"setVariableData": [{**INTERVAL, "attributeValue": "90"}, {**TEMPERATURE, "attributeValue": "1"}]}
    answer = {
        "setVariableResult": [
            {**INTERVAL, "attributeStatus": "RebootRequired"},
            {**TEMPERATURE, "attributeStatus": "Rejected"},
        ]
    }
    result = await command(csms, charger, "SetVariables", asked, answer)
    assert (result.status, result.accepted) == ("Rejected", False)
    labels = {"cp_id": "CP1", "action": "SetVariables", "status": "Rejected"}
    assert await csms.metric("ocpp_central_call_rejected_total", **labels) == 1
    read = {
        "getVariableResult": [{**KEY, "attributeStatus": "Accepted", "attributeType": "Target", "attributeValue": "7"}]
    }
    result = await command(
        csms, charger, "GetVariables", {"getVariableData": [{**KEY, "attributeType": "Target"}]}, read
    )
    assert result.accepted
    await csms.durable()
    assert await value(csms, "OCPPCommCtrlr", "HeartbeatInterval") == "90"
    assert await value(csms, "Connector", "Temperature") is None
    assert await value(csms, "VendorCtrlr", "Pin", "Target") == "7"


async def test_passwords_and_what_may_only_be_written_never_reach_the_database(csms, charger, tmp_path):
    hidden = "HIDDEN-VALUE"
    only_written = {**KEY, "variableAttribute": [{"value": hidden, "mutability": "WriteOnly"}]}
    shown = {**PASSWORD, "variableAttribute": [{"value": hidden, "mutability": "ReadWrite"}]}
    await charger.call("NotifyReport", report(only_written, shown))
    asked = {"setVariableData": [{**KEY, "attributeValue": hidden}, {**PASSWORD, "attributeValue": hidden}]}
    results = [{**KEY, "attributeStatus": "Accepted"}, {**PASSWORD, "attributeStatus": "Accepted"}]
    assert (await command(csms, charger, "SetVariables", asked, {"setVariableResult": results})).accepted
    await charger.call("NotifyEvent", notify(KEY, hidden, at=LATER))
    await charger.call("NotifyEvent", notify(PASSWORD, hidden, at=LATER))
    await csms.durable()
    kept = {each.of.variable: each.attributes[0] for each in await csms.store.device_model("CP1")}
    assert {name: attribute.value for name, attribute in kept.items()} == {"BasicAuthPassword": None, "Pin": None}
    assert kept["Pin"].mutability == "WriteOnly"
    with closing(sqlite3.connect(tmp_path / "fleet.db")) as connection:
        assert hidden not in "".join(connection.iterdump())


async def test_monitors_are_reported_set_and_cleared(csms, charger):
    monitoring = {"id": 1, "transaction": False, "value": 80, "type": "UpperThreshold", "severity": 2}
    monitoring["eventNotificationType"] = "HardWiredMonitor"
    if charger.socket.subprotocol == "ocpp2.0.1":
        del monitoring["eventNotificationType"]
    monitor = {**TEMPERATURE, "variableMonitoring": [monitoring]}
    await charger.call("NotifyMonitoringReport", {"requestId": 1, "seqNo": 0, "generatedAt": AT, "monitor": [monitor]})
    asked = {"setMonitoringData": [{**TEMPERATURE, "value": 60, "type": "UpperThreshold", "severity": 5}]}
    told = {**TEMPERATURE, "id": 2, "status": "Accepted", "type": "UpperThreshold", "severity": 5}
    assert (await command(csms, charger, "SetVariableMonitoring", asked, {"setMonitoringResult": [told]})).accepted
    await csms.durable()
    (found,) = await csms.store.device_model("CP1")
    assert [(each.monitor_id, each.type, each.value, each.severity) for each in found.monitors] == [
        (1, "UpperThreshold", 80, 2),
        (2, "UpperThreshold", 60, 5),
    ]
    cleared = {"clearMonitoringResult": [{"id": 1, "status": "Accepted"}, {"id": 2, "status": "NotFound"}]}
    result = await command(csms, charger, "ClearVariableMonitoring", {"id": [1, 2]}, cleared)
    assert (result.status, result.accepted) == ("NotFound", False)
    await csms.durable()
    (found,) = await csms.store.device_model("CP1")
    assert [each.monitor_id for each in found.monitors] == [2]


async def test_an_event_s_value_is_kept_unless_a_later_one_was_told_before(csms, charger):
    await charger.call("NotifyEvent", notify(TEMPERATURE, "60", trigger="Delta", at=LATER))
    await charger.call("NotifyEvent", notify(TEMPERATURE, "50", trigger="Delta", at=AT))
    await csms.durable()
    assert await value(csms, "Connector", "Temperature") == "60"


ALERTS = [
    (notify(variable("Problem"), "true"), {"Problem": 1}),
    (notify(variable("Tripped", "ElectricalFeed"), "True"), {"Tripped": 1}),
    (notify(variable("AcmeMeltdown"), "true"), {"other": 1}),
    (notify(variable("Problem"), "true", cleared=True), {}),
    (notify(variable("Problem"), "false"), {}),
    (notify(variable("Problem"), "true", trigger="Periodic"), {}),
    (notify(variable("Temperature"), "95"), {}),
    (notify(variable("DoorOpen"), "true"), {}),
]


async def test_alerts_that_name_a_problem_are_errors_of_a_bounded_kind(csms, charger):
    """chargers.md: count events that alert, are not cleared and name a problem variable."""
    expected: dict[str, int] = {}
    for payload, added in ALERTS:
        await charger.call("NotifyEvent", payload)
        for name, count in added.items():
            expected[name] = expected.get(name, 0) + count
        assert await csms.counts("ocpp_cp_errors_total", "error_type", cp_id="CP1") == expected


async def test_a_connector_s_state_may_come_as_an_event(csms, charger):
    state = variable("AvailabilityState", "Connector", id=2, connectorId=1)
    await charger.call("NotifyEvent", notify(state, "Unavailable", trigger="Delta"))
    assert await csms.metric("ocpp_connector_status", cp_id="CP1", connector_id="2") == 7


async def test_a_decommissioned_charger_leaves_nothing(csms, charger):
    await charger.call("NotifyReport", report({**INTERVAL, "variableAttribute": [{"value": "60"}]}))
    await csms.central.remove_charge_point("CP1")
    await csms.durable()
    assert list(await csms.store.device_model("CP1")) == []
