"""Security events, certificates, and the progress of firmware updates and log uploads, over HTTP."""

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.typing import Subprotocol

from support.central import Csms
from support.certificates import certificate_request
from support.chargers import Charger
from support.operators import Operator, admin, user_of_role
from support.waiting import eventually

ACCEPTED = {"status": "Accepted"}
PROTOCOLS = ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]
AT = "2026-11-21T10:00:00Z"
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1f"}
SHOWN = {"hash_algorithm": "SHA256", "issuer_name_hash": "aa", "issuer_key_hash": "bb", "serial_number": "1f"}


def connected(csms: Csms, protocol: str, cp_id: str = "CP1") -> Charger:
    return csms.charger(cp_id, subprotocols=[Subprotocol(protocol)])


# Security events


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_security_events_are_listed_newest_first_with_filters_and_pages(
    csms: Csms, operator: Operator, protocol: str
) -> None:
    async with connected(csms, protocol) as charger, connected(csms, protocol, "CP2") as other:
        for number in range(5):
            reported = {"type": f"Type{number % 2}", "timestamp": AT, "techInfo": str(number)}
            await charger.call("SecurityEventNotification", reported)
        await other.call("SecurityEventNotification", {"type": "Type1", "timestamp": "nonsense"})
        await csms.durable()
        listed = await operator.ask("GET", "/security-events")
        assert [each["cp_id"] for each in listed["items"]] == ["CP2", *["CP1"] * 5]
        assert (listed["items"][0]["charger_at"], listed["items"][1]["charger_at"][:19]) == (None, AT[:19])
        found: list[str] = []
        query: dict[str, Any] = {"cp_id": "CP1", "type": "Type0", "limit": 2}
        while True:
            page = await operator.ask("GET", "/security-events", params=query)
            found += [each["tech_info"] for each in page["items"]]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert found == ["4", "2", "0"]
        newest = listed["items"][0]["received_at"]
        later = {"from_at": "2099-01-01T00:00:00Z"}
        assert (await operator.ask("GET", "/security-events", params=later))["items"] == []
        assert len((await operator.ask("GET", "/security-events", params={"until_at": newest}))["items"]) <= 5
        await operator.ask("GET", "/security-events", 422, params={"cursor": "nonsense!"})
        await operator.ask("GET", "/security-events", 422, params={"from_at": "yesterday"})


# Certificates


@pytest.mark.parametrize("protocol", PROTOCOLS[1:])
async def test_installed_certificates_of_2x_are_kept_by_type(csms: Csms, operator: Operator, protocol: str) -> None:
    async with connected(csms, protocol) as station:
        before = await operator.ask("GET", "/charge-points/CP1/certificates")
        assert before == {"issued": [], "installed": []}
        reading = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/certificates/read"))
        frame = await station.expect("GetInstalledCertificateIds")
        assert frame[3] == {}
        chain = {
            "certificateType": "V2GCertificateChain",
            "certificateHashData": HASHES,
            "childCertificateHashData": [HASHES, HASHES],
        }
        root = {"certificateType": "CSMSRootCertificate", "certificateHashData": HASHES}
        await station.reply(frame, {**ACCEPTED, "certificateHashDataChain": [chain, root, root]})
        found = {each["type"]: each for each in (await reading)["installed"]}
        assert len(found) >= 5
        assert found["V2GCertificateChain"]["certificates"] == [{**SHOWN, "children": 2}]
        assert len(found["CSMSRootCertificate"]["certificates"]) == 2
        assert found["MORootCertificate"]["certificates"] == []
        assert all(each["reported_at"] for each in found.values())
        # Any command of that name is kept, and only the types that it asked for are replaced.
        path = "/charge-points/CP1/commands/GetInstalledCertificateIds"
        asking = asyncio.create_task(operator.ask("POST", path, json={"certificateType": ["CSMSRootCertificate"]}))
        await station.reply(await station.expect("GetInstalledCertificateIds"), {"status": "NotFound"})
        await asking
        await csms.durable()
    after = {each["type"]: each for each in (await operator.ask("GET", "/charge-points/CP1/certificates"))["installed"]}
    assert after["CSMSRootCertificate"]["certificates"] == []
    assert len(after["V2GCertificateChain"]["certificates"]) == 1


async def test_installed_certificates_of_16_are_read_type_by_type(csms: Csms, operator: Operator) -> None:
    async with connected(csms, "ocpp1.6") as charger:
        reading = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/certificates/read"))
        frame = await charger.expect("GetInstalledCertificateIds")
        assert frame[3] == {"certificateType": "CentralSystemRootCertificate"}
        await charger.reply(frame, {**ACCEPTED, "certificateHashData": [HASHES]})
        frame = await charger.expect("GetInstalledCertificateIds")
        await charger.send_raw(f'[4, "{frame[1]}", "NotSupported", "", {{}}]')
        (found,) = (await reading)["installed"]
        assert (found["type"], len(found["certificates"])) == ("CentralSystemRootCertificate", 1)
        reading = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/certificates/read", 502))
        for _ in range(2):
            frame = await charger.expect("GetInstalledCertificateIds")
            await charger.send_raw(f'[4, "{frame[1]}", "NotSupported", "", {{}}]')
        await reading
    await csms.becomes(0.0, "ocpp_cp_connected", cp_id="CP1")
    await operator.ask("POST", "/charge-points/CP1/certificates/read", 409)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_answer_that_breaks_its_schema_is_kept_as_far_as_it_can_be_read(
    csms: Csms, operator: Operator, protocol: str
) -> None:
    name = "certificateHashData" if protocol == "ocpp1.6" else "certificateHashDataChain"
    body = {"certificateType": "CentralSystemRootCertificate"} if protocol == "ocpp1.6" else {}
    async with connected(csms, protocol) as charger:
        for nonsense in (7, [7, None, {}], [{"certificateHashData": "x", "serialNumber": "a" * 500}] * 300):
            path = "/charge-points/CP1/commands/GetInstalledCertificateIds"
            asking = asyncio.create_task(operator.ask("POST", path, json=body))
            await charger.reply(await charger.expect("GetInstalledCertificateIds"), {**ACCEPTED, name: nonsense})
            await asking
        await csms.durable()
        found = await operator.ask("GET", "/charge-points/CP1/certificates")
    assert all(len(each["certificates"]) <= 200 for each in found["installed"])


async def test_issued_certificates_are_listed_with_their_installation(make_csms: Any, tmp_path: Any) -> None:
    csms = await make_csms(ca_dir=str(tmp_path / "ca"))
    async with admin(csms) as operator, connected(csms, "ocpp1.6") as charger:
        csr = certificate_request("CP1", ec.generate_private_key(ec.SECP256R1()))
        assert (await charger.call("SignCertificate", {"csr": csr}))["status"] == "Accepted"
        frame = await charger.expect("CertificateSigned")
        (issued,) = (await operator.ask("GET", "/charge-points/CP1/certificates"))["issued"]
        assert (issued["installed_at"], issued["expires_at"] > issued["issued_at"]) == (None, True)
        await charger.reply(frame, ACCEPTED)

        async def installed() -> Any:
            return (await operator.ask("GET", "/charge-points/CP1/certificates"))["issued"][0]["installed_at"]

        await eventually(installed)


# Firmware updates and log uploads


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_firmware_update_is_shown_with_its_request_and_every_status(
    csms: Csms, operator: Operator, protocol: str
) -> None:
    notification = "SignedFirmwareStatusNotification" if protocol == "ocpp1.6" else "FirmwareStatusNotification"
    async with connected(csms, protocol) as charger:
        body = {"location": "http://127.0.0.1/fw", "signing_certificate": "PEM", "signature": "c2ln"}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/firmware", json=body))
        frame = await charger.expect("SignedUpdateFirmware" if protocol == "ocpp1.6" else "UpdateFirmware")
        await charger.reply(frame, ACCEPTED)
        await asking
        for status in ("Downloading", "Downloaded", "Installing", "Installed"):
            await charger.call(notification, {"status": status, "requestId": frame[3]["requestId"]})
        await charger.call(notification, {"status": "Downloading", "requestId": 5})
        await csms.durable()
        newest, first = await operator.ask("GET", "/charge-points/CP1/transfers")
    assert (newest["request_id"], newest["status"]) == (5, "Downloading")
    assert (first["kind"], first["request_id"], first["status"]) == ("firmware", frame[3]["requestId"], "Installed")
    assert [each["status"] for each in first["statuses"]] == [
        "Accepted",
        "Downloading",
        "Downloaded",
        "Installing",
        "Installed",
    ]
    assert [each["is_answer"] for each in first["statuses"]] == [True, False, False, False, False]
    times = [each["at"] for each in first["statuses"]]
    assert times == sorted(times)
    assert first["updated_at"] == times[-1]


async def test_updates_of_16_have_no_request_id_and_are_separated_by_their_ends(csms: Csms, operator: Operator) -> None:
    async with connected(csms, "ocpp1.6") as charger:
        await charger.call("FirmwareStatusNotification", {"status": "Idle"})
        for end in ("InstallationFailed", "Installed"):
            body = {"location": "http://127.0.0.1/fw"}
            asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/firmware", json=body))
            await charger.reply(await charger.expect("UpdateFirmware"), {})
            await asking
            await charger.call("FirmwareStatusNotification", {"status": "Downloading"})
            await charger.call("DiagnosticsStatusNotification", {"status": "Uploading"})
            await charger.call("FirmwareStatusNotification", {"status": end})
        await charger.call("FirmwareStatusNotification", {"status": "Downloading"})  # by somebody else
        await csms.durable()
        found = await operator.ask("GET", "/charge-points/CP1/transfers")
    shown = [(each["kind"], [one["status"] for one in each["statuses"]]) for each in found]
    assert shown == [
        ("firmware", ["Downloading"]),
        ("firmware", ["Requested", "Downloading", "Installed"]),
        ("log", ["Uploading", "Uploading"]),
        ("firmware", ["Requested", "Downloading", "InstallationFailed"]),
        ("firmware", ["Idle"]),
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_log_upload_is_shown_and_survives_a_restart(csms: Csms, protocol: str) -> None:
    async with admin(csms) as operator, connected(csms, protocol) as charger:
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/logs", json={"kind": "security"}))
        frame = await charger.expect("GetLog")
        await charger.reply(frame, {"status": "AcceptedCanceled", "filename": "log"})
        await asking
        status = {"status": "UploadFailure", "requestId": frame[3]["requestId"]}
        await charger.call("LogStatusNotification", status)
    await csms.restart()
    async with admin(csms) as operator:
        (found,) = await operator.ask("GET", "/charge-points/CP1/transfers")
    assert (found["kind"], found["request_id"], found["status"]) == ("log", frame[3]["requestId"], "UploadFailure")
    assert [each["status"] for each in found["statuses"]] == ["AcceptedCanceled", "UploadFailure"]


async def test_only_the_newest_statuses_of_a_charge_point_are_kept(csms: Csms, operator: Operator) -> None:
    async with connected(csms, "ocpp2.0.1") as station, connected(csms, "ocpp2.0.1", "CP2") as other:
        await other.call("LogStatusNotification", {"status": "Uploaded", "requestId": 1})
        for number in range(230):
            await station.call("LogStatusNotification", {"status": "Uploading", "requestId": number})
        await csms.durable()
        found = await operator.ask("GET", "/charge-points/CP1/transfers")
        assert (len(found), found[0]["request_id"], found[-1]["request_id"]) == (200, 229, 30)
        assert len(await operator.ask("GET", "/charge-points/CP2/transfers")) == 1
        await operator.ask("DELETE", "/charge-points/CP1", 204)
        await csms.durable()
        await operator.ask("GET", "/charge-points/CP1/transfers", 404)


async def test_a_viewer_reads_them_and_asks_no_charge_point(csms: Csms) -> None:
    async with connected(csms, "ocpp2.0.1"), user_of_role(csms, "viewer") as viewer:
        for path in ("/security-events", "/charge-points/CP1/certificates", "/charge-points/CP1/transfers"):
            await viewer.ask("GET", path)
        await viewer.ask("POST", "/charge-points/CP1/certificates/read", 403)
