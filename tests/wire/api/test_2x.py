"""The operations with charge points of OCPP 2.x, and their device model."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.central import Csms
from support.chargers import Charger
from support.operators import Operator

ACCEPTED = {"status": "Accepted"}
COMMANDS = {
    "Reset": ({"type": "Immediate"}, ACCEPTED),
    "ClearCache": ({}, ACCEPTED),
    "GetVariables": (
        {"getVariableData": [{"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}]},
        {
            "getVariableResult": [
                {
                    "attributeStatus": "Accepted",
                    "attributeValue": "60",
                    "component": {"name": "OCPPCommCtrlr"},
                    "variable": {"name": "HeartbeatInterval"},
                }
            ]
        },
    ),
    "GetBaseReport": ({"requestId": 1, "reportBase": "FullInventory"}, ACCEPTED),
    "TriggerMessage": ({"requestedMessage": "Heartbeat"}, {"status": "NotImplemented"}),
}


@pytest.fixture(params=["ocpp2.0.1", "ocpp2.1"])
async def charger(request: pytest.FixtureRequest, csms: Csms) -> AsyncIterator[Charger]:
    async with csms.charger("CP1", subprotocols=[request.param]) as charger:
        yield charger


async def test_commands_go_out_as_they_came_in_and_answers_come_back(charger: Charger, operator: Operator) -> None:
    for action, (payload, reply) in COMMANDS.items():
        asking = asyncio.create_task(operator.command("CP1", action, payload))
        frame = await charger.expect(action)
        assert frame[3] == payload
        await charger.reply(frame, reply)
        assert (await asking)["payload"] == reply


async def test_an_operation_is_sent_as_2x_defines_it(charger: Charger, operator: Operator) -> None:
    path = "/charge-points/CP1/start"
    asking = asyncio.create_task(operator.ask("POST", path, json={"id_tag": "TAG1", "connector_id": 2}))
    frame = await charger.expect("RequestStartTransaction")
    assert (frame[3]["idToken"], frame[3]["evseId"]) == ({"idToken": "TAG1", "type": "Central"}, 2)
    await charger.reply(frame, ACCEPTED)
    assert (await asking)["accepted"] is True


async def test_a_limit_is_kept_and_shown_as_schedule(charger: Charger, operator: Operator) -> None:
    status = {"timestamp": "2026-11-21T10:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
    await charger.call("StatusNotification", status)
    body = {"limit": 10, "connector_id": 1, "lasts_s": 3600}
    asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/limit", json=body))
    await charger.reply(await charger.expect("SetChargingProfile"), ACCEPTED)
    await asking
    schedule = await operator.ask("GET", "/charge-points/CP1/connectors/1/composite-schedule")
    assert [period["limit_a"] for period in schedule["periods"]] == [10.0, None]


async def test_the_device_model_comes_in_pages(charger: Charger, csms: Csms, operator: Operator) -> None:
    data = [
        {
            "component": {"name": "Controller"},
            "variable": {"name": f"V{number}"},
            "variableAttribute": [{"value": str(number)}],
        }
        for number in range(5)
    ]
    report = {"requestId": 1, "generatedAt": "2026-11-21T10:00:00Z", "seqNo": 0, "reportData": data}
    await charger.call("NotifyReport", report)
    await csms.durable()
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 2, "component": "Controller"}
    while True:
        page = await operator.ask("GET", "/charge-points/CP1/device-model", params=query)
        seen += [each["variable"] for each in page["items"]]
        assert all(each["told_at"] == each["reported_at"] is not None for each in page["items"])
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert seen == [f"V{number}" for number in range(5)]


async def test_configuration_keys_are_of_1_6_alone(charger: Charger, operator: Operator) -> None:
    problem = await operator.ask("GET", "/charge-points/CP1/configuration", 404)
    assert "device model" in problem["detail"]
