"""Operations over HTTP, as chargers of each OCPP version receive them."""

import asyncio
from typing import Any

import pytest
from websockets.typing import Subprotocol

from support.central import Csms
from support.chargers import START, Charger
from support.operators import Operator
from support.stations import event, status_2x

ACCEPTED = {"status": "Accepted"}
PROTOCOLS = ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]
VERSION_FIELD = {"ocpp1.6": "listVersion", "ocpp2.0.1": "versionNumber", "ocpp2.1": "versionNumber"}


def connected(csms: Csms, protocol: str) -> Charger:
    return csms.charger("CP1", subprotocols=[Subprotocol(protocol)])


def names(payload: dict[str, Any], *, with_info: bool) -> list[str]:
    """The tokens of a local list that have, or have not, an info."""
    found = []
    for entry in payload.get("localAuthorizationList", []):
        token = entry["idToken"]["idToken"] if "idToken" in entry else entry["idTag"]
        if ("idTagInfo" in entry or "idTokenInfo" in entry) is with_info:
            found.append(token)
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_differential_local_list_deletes_entries(csms: Csms, operator: Operator, protocol: str) -> None:
    await operator.ask("PUT", "/id-tags/KEPT", json={})
    await operator.ask("PUT", "/id-tags/LEFT", json={})
    async with connected(csms, protocol) as charger:
        body = {"update": "Differential", "id_tags": ["KEPT", "ERASED"], "remove": ["LEFT"]}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/local-list", json=body))
        frame = await charger.expect("SendLocalList")
        assert frame[3]["updateType"] == "Differential"
        assert names(frame[3], with_info=True) == ["KEPT"]
        assert names(frame[3], with_info=False) == ["LEFT", "ERASED"]
        await charger.reply(frame, ACCEPTED)
        assert (await asking)["accepted"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", ["VersionMismatch", "Failed"])
async def test_a_refused_differential_list_is_followed_by_the_full_one(
    csms: Csms, operator: Operator, protocol: str, status: str
) -> None:
    """OCPP 1.6 §5.15: the central system should then send the full list; its version must be a greater one."""
    for tag in ("A", "B"):
        await operator.ask("PUT", f"/id-tags/{tag}", json={})
    async with connected(csms, protocol) as charger:
        body = {"update": "Differential", "id_tags": ["A"], "version": 5}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/local-list", json=body))
        frame = await charger.expect("SendLocalList")
        assert frame[3][VERSION_FIELD[protocol]] == 5
        await charger.reply(frame, {"status": status})
        await charger.reply(await charger.expect("GetLocalListVersion"), {VERSION_FIELD[protocol]: 41})
        frame = await charger.expect("SendLocalList")
        assert (frame[3]["updateType"], frame[3][VERSION_FIELD[protocol]]) == ("Full", 42)
        assert names(frame[3], with_info=True) == ["A", "B"]
        await charger.reply(frame, ACCEPTED)
        answer = await asking
        assert (answer["action"], answer["status"], answer["accepted"]) == ("SendLocalList", "Accepted", True)


async def test_a_full_list_is_sent_again_only_for_its_version_and_only_once(csms: Csms, operator: Operator) -> None:
    async with connected(csms, "ocpp1.6") as charger:
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/local-list", json={"version": 3}))
        await charger.reply(await charger.expect("SendLocalList"), {"status": "VersionMismatch"})
        frame = await charger.expect("GetLocalListVersion")
        await charger.send_raw(f'[4, "{frame[1]}", "NotSupported", "", {{}}]')
        frame = await charger.expect("SendLocalList")
        assert (frame[3]["updateType"], frame[3]["listVersion"]) == ("Full", 4)
        await charger.reply(frame, {"status": "VersionMismatch"})
        assert (await asking)["status"] == "VersionMismatch"
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/local-list", json={}))
        await charger.reply(await charger.expect("SendLocalList"), {"status": "Failed"})
        assert (await asking)["status"] == "Failed"


async def test_the_versions_of_two_lists_within_a_second_differ(csms: Csms, operator: Operator) -> None:
    versions = []
    async with connected(csms, "ocpp1.6") as charger:
        for _ in range(3):
            asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/local-list", json={}))
            frame = await charger.expect("SendLocalList")
            versions.append(frame[3]["listVersion"])
            await charger.reply(frame, ACCEPTED)
            await asking
    assert versions == sorted(set(versions))


@pytest.mark.parametrize(
    "body",
    [
        {"remove": ["A"]},
        {"update": "Differential", "id_tags": ["a"], "remove": ["A"]},
        {"update": "Differential", "remove": [""]},
    ],
)
async def test_a_local_list_that_contradicts_itself_is_422(csms: Csms, operator: Operator, body: Any) -> None:
    async with connected(csms, "ocpp1.6"):
        answer = await operator.ask("POST", "/charge-points/CP1/local-list", 422, json=body)
    assert "remove" in str(answer["errors"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_reservation_is_sent_with_the_tags_group(csms: Csms, operator: Operator, protocol: str) -> None:
    await operator.ask("PUT", "/id-tags/CHILD", json={"parent": "FAMILY"})
    async with connected(csms, protocol) as charger:
        body = {"id_tag": "child", "connector_id": 1, "expires_at": "2031-01-01T00:00:00Z", "reservation_id": 7}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/reserve", json=body))
        frame = await charger.expect("ReserveNow")
        group = frame[3].get("parentIdTag") or frame[3]["groupIdToken"]["idToken"]
        assert group == "FAMILY"
        await charger.reply(frame, ACCEPTED)
        await asking
        await csms.durable()
        (shown,) = await operator.ask("GET", "/reservations")
    assert shown["reservation_id"] == 7


@pytest.mark.parametrize("protocol", PROTOCOLS[1:])
async def test_unlocking_an_evse_names_its_occupied_connector(csms: Csms, operator: Operator, protocol: str) -> None:
    async with connected(csms, protocol) as station:
        await station.call("StatusNotification", status_2x("Available", 1, 1))
        await station.call("StatusNotification", status_2x("Occupied", 1, 2))
        for more, connector in (({}, 2), ({"evse_connector_id": 1}, 1)):
            asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/unlock", json=more))
            frame = await station.expect("UnlockConnector")
            assert frame[3] == {"evseId": 1, "connectorId": connector}
            await station.reply(frame, {"status": "Unlocked"})
            await asking


async def test_a_connector_of_an_evse_is_422_in_16(csms: Csms, operator: Operator) -> None:
    async with connected(csms, "ocpp1.6") as charger:
        answer = await operator.ask("POST", "/charge-points/CP1/unlock", 422, json={"evse_connector_id": 1})
        assert answer["errors"][0]["path"] == "/evse_connector_id"
        assert charger.unread == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_one_session_is_limited_by_several_periods(csms: Csms, operator: Operator, protocol: str) -> None:
    async with connected(csms, protocol) as charger:
        if protocol == "ocpp1.6":
            ocpp_id = (await charger.call("StartTransaction", START))["transactionId"]
        else:
            await charger.call("TransactionEvent", event("Started", 0, state="Charging"))
            ocpp_id = "T-1"
        await csms.durable()
        (session,) = (await operator.ask("GET", "/transactions"))["items"]
        periods = [{"start_s": 0, "limit": 16}, {"start_s": 600, "limit": 8, "phases": 1}]
        body = {"transaction": session["number"], "periods": periods, "lasts_s": 3600}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/limit", json=body))
        frame = await charger.expect("SetChargingProfile")
        profile = frame[3].get("csChargingProfiles") or frame[3]["chargingProfile"]
        assert (profile["chargingProfilePurpose"], profile["transactionId"]) == ("TxProfile", ocpp_id)
        assert frame[3].get("connectorId", frame[3].get("evseId")) == 1
        schedule = profile["chargingSchedule"]
        schedule = schedule[0] if isinstance(schedule, list) else schedule
        assert schedule["chargingSchedulePeriod"] == [
            {"startPeriod": 0, "limit": 16.0},
            {"startPeriod": 600, "limit": 8.0, "numberPhases": 1},
        ]
        await charger.reply(frame, ACCEPTED)
        assert (await asking)["accepted"]
        shown = await operator.ask("GET", "/charge-points/CP1/connectors/1/composite-schedule")
        assert [each["limit_a"] for each in shown["periods"]] == [16.0, 8.0, None]
        answer = await operator.ask("POST", "/charge-points/CP1/limit", 409, json={"transaction": 99, "limit": 6})
        assert "no such transaction" in answer["detail"]


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "/limit"),
        ({"limit": 6, "periods": [{"start_s": 0, "limit": 6}]}, "/limit"),
        ({"periods": [{"start_s": 5, "limit": 6}]}, "/periods/0/start_s"),
        ({"periods": [{"start_s": 0, "limit": 6}, {"start_s": 0, "limit": 8}]}, "/periods/1/start_s"),
        ({"periods": [{"start_s": 0, "limit": 6}, {"start_s": 60, "limit": 8}], "lasts_s": 60}, "/periods/1/start_s"),
    ],
)
async def test_periods_that_do_not_fit_together_are_422(csms: Csms, operator: Operator, body: Any, at: str) -> None:
    async with connected(csms, "ocpp1.6") as charger:
        answer = await operator.ask("POST", "/charge-points/CP1/limit", 422, json=body)
        assert [each["path"] for each in answer["errors"]] == [at]
        assert charger.unread == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_firmware_is_sent_with_retries_and_its_signature(csms: Csms, operator: Operator, protocol: str) -> None:
    async with connected(csms, protocol) as charger:
        body = {"location": "http://127.0.0.1/fw", "retries": 3, "retry_interval_s": 60}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/firmware", json=body))
        frame = await charger.expect("UpdateFirmware")
        assert (frame[3]["retries"], frame[3]["retryInterval"]) == (3, 60)
        await charger.reply(frame, {} if protocol == "ocpp1.6" else ACCEPTED)
        await asking
        signed = {**body, "signing_certificate": "PEM", "signature": "c2ln", "install_at": "2031-01-01T00:00:00Z"}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/firmware", json=signed))
        frame = await charger.expect("SignedUpdateFirmware" if protocol == "ocpp1.6" else "UpdateFirmware")
        assert frame[3]["firmware"]["signature"] == "c2ln"
        assert frame[3]["firmware"]["installDateTime"] == "2031-01-01T00:00:00.000Z"
        await charger.reply(frame, ACCEPTED)
        assert (await asking)["accepted"]
        answer = await operator.ask("POST", "/charge-points/CP1/firmware", 422, json={**body, "signature": "c2ln"})
        assert answer["errors"][0]["path"] == "/signing_certificate"


async def test_an_installation_time_needs_a_signature_in_16(csms: Csms, operator: Operator) -> None:
    async with connected(csms, "ocpp1.6"):
        body = {"location": "http://127.0.0.1/fw", "install_at": "2031-01-01T00:00:00Z"}
        answer = await operator.ask("POST", "/charge-points/CP1/firmware", 422, json=body)
    assert answer["errors"][0]["path"] == "/install_at"
