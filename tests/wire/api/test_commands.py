"""Commands by HTTP: the right frame on the wire, the right status back, and one trace."""

import asyncio
from typing import Any

import pytest

from support.central import Csms
from support.chargers import Charger
from support.operators import Operator, anonymous
from wattspan.versions import VERSIONS

AT = "2026-11-21T12:00:00Z"
PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
        "startSchedule": AT,
    },
}
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c"}
LOG = {"remoteLocation": "http://127.0.0.1/up"}
FIRMWARE = {"location": "http://127.0.0.1/fw", "retrieveDateTime": AT, "signingCertificate": "c", "signature": "s"}

ACCEPTED = {"status": "Accepted"}
# action: (payload, what the charger answers, the status in the API's answer)
COMMANDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "CancelReservation": ({"reservationId": 1}, ACCEPTED, "Accepted"),
    "CertificateSigned": ({"certificateChain": "PEM"}, ACCEPTED, "Accepted"),
    "ChangeAvailability": ({"connectorId": 1, "type": "Operative"}, {"status": "Scheduled"}, "Scheduled"),
    "ChangeConfiguration": ({"key": "HeartbeatInterval", "value": "60"}, ACCEPTED, "Accepted"),
    "ClearCache": ({}, ACCEPTED, "Accepted"),
    "ClearChargingProfile": ({"id": 1}, ACCEPTED, "Accepted"),
    "DataTransfer": ({"vendorId": "Acme"}, ACCEPTED, "Accepted"),
    "DeleteCertificate": ({"certificateHashData": HASH}, ACCEPTED, "Accepted"),
    "ExtendedTriggerMessage": ({"requestedMessage": "Heartbeat"}, ACCEPTED, "Accepted"),
    "GetCompositeSchedule": ({"connectorId": 1, "duration": 60}, ACCEPTED, "Accepted"),
    "GetConfiguration": ({"key": ["HeartbeatInterval"]}, {"configurationKey": [], "unknownKey": []}, ""),
    "GetDiagnostics": ({"location": "http://127.0.0.1/up"}, {"fileName": "log.zip"}, ""),
    "GetInstalledCertificateIds": ({"certificateType": "CentralSystemRootCertificate"}, ACCEPTED, "Accepted"),
    "GetLocalListVersion": ({}, {"listVersion": 3}, ""),
    "GetLog": ({"logType": "DiagnosticsLog", "requestId": 1, "log": LOG}, ACCEPTED, "Accepted"),
    "InstallCertificate": (
        {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"},
        ACCEPTED,
        "Accepted",
    ),
    "RemoteStartTransaction": ({"idTag": "TAG1", "connectorId": 1}, ACCEPTED, "Accepted"),
    "RemoteStopTransaction": ({"transactionId": 1}, {"status": "Rejected"}, "Rejected"),
    "ReserveNow": (
        {"connectorId": 1, "expiryDate": "2031-01-01T00:00:00Z", "idTag": "TAG1", "reservationId": 1},
        ACCEPTED,
        "Accepted",
    ),
    "Reset": ({"type": "Soft"}, ACCEPTED, "Accepted"),
    "SendLocalList": ({"listVersion": 1, "updateType": "Full"}, ACCEPTED, "Accepted"),
    "SetChargingProfile": ({"connectorId": 1, "csChargingProfiles": PROFILE}, ACCEPTED, "Accepted"),
    "SignedUpdateFirmware": ({"requestId": 1, "firmware": FIRMWARE}, ACCEPTED, "Accepted"),
    "TriggerMessage": ({"requestedMessage": "Heartbeat"}, {"status": "NotImplemented"}, "NotImplemented"),
    "UnlockConnector": ({"connectorId": 1}, {"status": "Unlocked"}, "Unlocked"),
    "UpdateFirmware": ({"location": "http://127.0.0.1/fw", "retrieveDate": AT}, {}, ""),
}


async def answering(charger: Charger, action: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Answer the command that comes next; its payload."""
    frame = await charger.expect(action)
    await charger.reply(frame, answer)
    payload: dict[str, Any] = frame[3]
    return payload


def test_every_command_of_1_6_is_tried_here() -> None:
    assert COMMANDS.keys() == VERSIONS["ocpp1.6"].commands.keys()


async def test_every_command_of_1_6_goes_out_as_it_came_in_and_its_answer_comes_back(
    csms: Csms, operator: Operator
) -> None:
    async with csms.charger("CP1") as charger:
        for action, (payload, answer, status) in COMMANDS.items():
            asked = asyncio.create_task(answering(charger, action, answer))
            sent = await operator.command("CP1", action, payload)
            assert await asked == payload
            assert (sent["action"], sent["status"], sent["payload"]) == (action, status, answer)
            assert sent["duration_s"] > 0
            assert len(sent["trace_id"]) == 32
    assert await csms.metric("ocpp_central_call_seconds_count", action="Reset") == 1
    rejected = {"cp_id": "CP1", "action": "RemoteStopTransaction", "status": "Rejected"}
    assert await csms.metric("ocpp_central_call_rejected_total", **rejected) == 1


async def test_an_unknown_charge_point_is_404_and_one_that_is_away_409(csms: Csms, operator: Operator) -> None:
    await operator.command("NOBODY", "Reset", {"type": "Soft"}, 404)
    async with csms.charger("CP1"):
        pass
    await csms.becomes(0.0, "ocpp_cp_connected", cp_id="CP1")
    problem = await operator.command("CP1", "Reset", {"type": "Soft"}, 409)
    assert problem["type"] == "urn:wattspan:not-connected"
    labels = {"cp_id": "CP1", "action": "Reset", "error_type": "NotConnected"}
    assert await csms.metric("ocpp_central_call_errors_total", **labels) == 1


async def test_a_payload_that_breaks_its_schema_is_422_and_says_where(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        problem = await operator.command("CP1", "Reset", {"type": "Tomorrow"}, 422)
        assert [fault["path"] for fault in problem["errors"]] == ["/type"]
        assert "Tomorrow" not in str(problem)
        assert charger.unread == []
        await operator.command("CP1", "Explode", {}, 404)


async def test_a_callerror_is_502_with_its_code(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        asking = asyncio.create_task(operator.command("CP1", "Reset", {"type": "Soft"}, 502))
        frame = await charger.expect("Reset")
        await charger.send_raw(f'[4, "{frame[1]}", "SecurityError", "no", {{}}]')
        assert (await asking)["code"] == "SecurityError"


async def test_no_answer_is_504_and_a_late_one_disturbs_nothing(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        path = "/charge-points/CP1/commands/Reset?timeout_s=1"
        asking = asyncio.create_task(operator.ask("POST", path, 504, json={"type": "Soft"}))
        late = await charger.expect("Reset")
        await asking
        await charger.reply(late, ACCEPTED)
        answer = asyncio.create_task(answering(charger, "ClearCache", {"status": "Rejected"}))
        assert (await operator.command("CP1", "ClearCache", {}))["status"] == "Rejected"
        await answer
        await csms.becomes(1.0, "ocpp_central_unasked_results_total")


async def test_a_second_and_a_wrong_answer_change_nothing(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        asking = asyncio.create_task(operator.command("CP1", "ClearCache", {}))
        frame = await charger.expect("ClearCache")
        await charger.send_raw('[3, "somebody-else", {"status": "Rejected"}]')
        await charger.reply(frame, ACCEPTED)
        await charger.reply(frame, {"status": "Rejected"})
        assert (await asking)["status"] == "Accepted"
        await csms.becomes(2.0, "ocpp_central_unasked_results_total")


async def test_a_connection_that_is_lost_meanwhile_is_502(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        asking = asyncio.create_task(operator.command("CP1", "Reset", {"type": "Soft"}, 502))
        await charger.expect("Reset")
        charger.vanish()
        assert (await asking)["type"] == "urn:wattspan:connection-lost"


async def test_commands_of_two_operators_go_out_one_after_another_and_none_is_lost(
    csms: Csms, operator: Operator
) -> None:
    count = 20
    async with csms.charger("CP1") as charger, anonymous(csms) as other:
        assert csms.first_password is not None
        await other.log_in("admin", csms.first_password)
        asking = [
            asyncio.create_task(who.command("CP1", "DataTransfer", {"vendorId": "V", "data": f"{name}{number}"}))
            for number in range(count)
            for name, who in (("a", operator), ("b", other))
        ]
        seen = []
        for _ in asking:
            frame = await charger.expect("DataTransfer")
            assert charger.unread == []
            seen.append(frame[3]["data"])
            await charger.reply(frame, {"status": "Accepted", "data": frame[3]["data"]})
        answers = [(await each)["payload"]["data"] for each in asking]
    assert sorted(seen) == sorted(answers)
    assert answers == [f"{name}{number}" for number in range(count) for name in "ab"]


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "{", ""])
async def test_a_body_that_is_no_object_is_422(csms: Csms, operator: Operator, body: str) -> None:
    async with csms.charger("CP1"):
        headers = {"Content-Type": "application/json"}
        path = "/charge-points/CP1/commands/Reset"
        answer = await operator.send("POST", path, content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
