"""Every supported command of OCPP 2.0.1 and 2.1, over a socket; answers are checked against the schemas."""

from datetime import UTC, datetime, timedelta

import pytest

TOKEN = {"idToken": "ME", "type": "ISO14443"}


@pytest.fixture(params=["2.0.1", "2.1"])
def version(request):
    return request.param


@pytest.fixture
def fleet(running, version):
    """Return a context manager that runs one charge point of the version, without cars."""
    return lambda **options: running(versions=(version,), **options)


def profile(limit, *, purpose="TxDefaultProfile", number=1, **more):
    period = {"startPeriod": 0, "limit": limit}
    return {
        "id": number,
        "stackLevel": number,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}],
    } | more


async def start(central, evse_id=1):
    """Start a transaction by command and return its id."""
    call = {"idToken": TOKEN, "evseId": evse_id, "remoteStartId": 7}
    assert (await central.command("RequestStartTransaction", call))["status"] == "Accepted"
    await central.until(lambda: any(reported["evse"]["id"] == evse_id for _, reported in central.open.values()))
    await central.until(lambda: central.transaction_events("Updated", "ChargingStateChanged"))
    return next(name for name, (_, reported) in central.open.items() if reported["evse"]["id"] == evse_id)


async def test_remote_start_and_stop_start_and_stop_a_transaction(central, fleet):
    async with fleet():
        name = await start(central, 2)
        again = {"idToken": TOKEN, "evseId": 2, "remoteStartId": 8}
        assert await central.command("RequestStartTransaction", again) == {"status": "Rejected"}
        running = await central.command("GetTransactionStatus", {"transactionId": name})
        assert running["ongoingIndicator"] is True
        assert (await central.command("RequestStopTransaction", {"transactionId": "X"}))["status"] == "Rejected"
        assert (await central.command("RequestStopTransaction", {"transactionId": name}))["status"] == "Accepted"
        await central.until(lambda: central.stopped_wh)
        await central.until(lambda: central.statuses(2)[-1] == "Available")
        over = await central.command("GetTransactionStatus", {"transactionId": name})
        assert over["ongoingIndicator"] is False
        assert "ongoingIndicator" not in await central.command("GetTransactionStatus", {})
    assert central.transaction_events("Ended")[0]["transactionInfo"]["stoppedReason"] == "Remote"


@pytest.mark.parametrize(("kind", "status"), [("Immediate", "Accepted"), ("OnIdle", "Scheduled")])
async def test_a_reset_comes_at_once_or_when_idle(central, fleet, kind, status):
    async with fleet():
        name = await start(central)
        assert await central.command("Reset", {"type": kind}) == {"status": status}
        if kind == "OnIdle":
            await central.command("RequestStopTransaction", {"transactionId": name})
        await central.until(lambda: len(central.of("BootNotification")) == 2)
    reasons = [call["reason"] for call in central.of("BootNotification")]
    assert reasons == ["PowerUp", "RemoteReset" if kind == "Immediate" else "ScheduledReset"]
    stopped = central.transaction_events("Ended")[0]["transactionInfo"]["stoppedReason"]
    assert stopped == ("ImmediateReset" if kind == "Immediate" else "Remote")


async def test_a_cable_in_use_is_not_unlocked(central, fleet):
    async with fleet():
        await start(central)
        for evse_id, status in ((1, "OngoingAuthorizedTransaction"), (2, "Unlocked"), (9, "UnknownConnector")):
            answer = await central.command("UnlockConnector", {"evseId": evse_id, "connectorId": 1})
            assert answer == {"status": status}


async def test_availability_changes_at_once_or_after_the_session(central, fleet):
    async with fleet():
        name = await start(central)
        out = {"operationalStatus": "Inoperative"}
        assert await central.command("ChangeAvailability", out) == {"status": "Scheduled"}
        await central.until(lambda: central.statuses(2)[-1] == "Unavailable")
        await central.command("RequestStopTransaction", {"transactionId": name})
        await central.until(lambda: central.statuses(1)[-1] == "Unavailable")
        back = {"operationalStatus": "Operative", "evse": {"id": 1}}
        assert await central.command("ChangeAvailability", back) == {"status": "Accepted"}
        await central.until(lambda: central.statuses(1)[-1] == "Available")


def variable(component, name, **more):
    return {"component": {"name": component}, "variable": {"name": name}, **more}


async def test_variables_are_read_and_set(central, fleet):
    asked = [
        (variable("SampledDataCtrlr", "TxUpdatedInterval"), "Accepted"),
        (variable("SecurityCtrlr", "BasicAuthPassword"), "Rejected"),
        (variable("OCPPCommCtrlr", "Nonsense"), "UnknownVariable"),
        (variable("CoffeeCtrlr", "Strength"), "UnknownComponent"),
        (variable("TxCtrlr", "EVConnectionTimeOut", attributeType="Target"), "NotSupportedAttributeType"),
    ]
    async with fleet() as simulation:
        read = await central.command("GetVariables", {"getVariableData": [one for one, _ in asked]})
        assert [one["attributeStatus"] for one in read["getVariableResult"]] == [status for _, status in asked]
        assert read["getVariableResult"][0]["attributeValue"] == "60"
        changes = [
            (variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="5"), "Accepted"),
            (variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="soon"), "Rejected"),
            (variable("SmartChargingCtrlr", "ProfileStackLevel", attributeValue="3"), "Rejected"),
            (variable("OCPPCommCtrlr", "WebSocketPingInterval", attributeValue="9"), "RebootRequired"),
            (variable("SecurityCtrlr", "BasicAuthPassword", attributeValue="new"), "Accepted"),
        ]
        done = await central.command("SetVariables", {"setVariableData": [one for one, _ in changes]})
        assert [one["attributeStatus"] for one in done["setVariableResult"]] == [status for _, status in changes]
        assert simulation.fleet[0].meter_interval_s() == 5


async def test_a_base_report_comes_in_parts(central, fleet):
    async with fleet():
        whole = {"requestId": 4, "reportBase": "FullInventory"}
        assert await central.command("GetBaseReport", whole) == {"status": "Accepted"}
        await central.until(lambda: any(not call["tbc"] for call in central.of("NotifyReport")))
    parts = central.of("NotifyReport")
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert len(parts) > 1
    assert {part["requestId"] for part in parts} == {4}
    entries = {
        (entry["component"]["name"], entry["variable"]["name"]): entry["variableAttribute"][0]
        for part in parts
        for entry in part["reportData"]
    }
    assert entries["SecurityCtrlr", "BasicAuthPassword"] == {"mutability": "WriteOnly"}
    assert entries["SampledDataCtrlr", "TxUpdatedInterval"]["value"] == "60"


def current(event):
    samples = event["meterValue"][0]["sampledValue"]
    return max(s["value"] for s in samples if s["measurand"] == "Current.Import")


async def test_a_profile_limits_the_current_until_it_is_cleared(central, fleet):
    async with fleet():
        name = await start(central)
        limit = {"evseId": 1, "chargingProfile": profile(7, purpose="TxProfile", transactionId=name)}
        assert await central.command("SetChargingProfile", limit) == {"status": "Accepted"}
        reported = len(central.transaction_events("Updated", "MeterValuePeriodic"))
        await central.until(lambda: len(central.transaction_events("Updated", "MeterValuePeriodic")) >= reported + 3)
        assert current(central.transaction_events("Updated", "MeterValuePeriodic")[-1]) < 7.5
        schedule = (await central.command("GetCompositeSchedule", {"evseId": 1, "duration": 60}))["schedule"]
        assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 7}]
        asked = {"requestId": 3, "evseId": 1, "chargingProfile": {"chargingProfilePurpose": "TxProfile"}}
        assert await central.command("GetChargingProfiles", asked) == {"status": "Accepted"}
        await central.until(lambda: central.of("ReportChargingProfiles"))
        (report,) = central.of("ReportChargingProfiles")
        assert report["chargingProfile"] == [limit["chargingProfile"]]
        gone = {"chargingProfileCriteria": {"chargingProfilePurpose": "TxProfile", "evseId": 1}}
        assert await central.command("ClearChargingProfile", gone) == {"status": "Accepted"}
        assert await central.command("ClearChargingProfile", gone) == {"status": "Unknown"}
        assert await central.command("GetChargingProfiles", asked) == {"status": "NoProfiles"}
        unknown_evse = {"evseId": 9, "chargingProfile": profile(7)}
        assert await central.command("SetChargingProfile", unknown_evse) == {"status": "Rejected"}


async def test_a_profile_comes_with_a_remote_start(central, fleet):
    call = {"idToken": TOKEN, "remoteStartId": 1, "chargingProfile": profile(6, purpose="TxProfile")}
    async with fleet():
        assert (await central.command("RequestStartTransaction", call))["status"] == "Accepted"
        await central.until(lambda: len(central.transaction_events("Updated", "MeterValuePeriodic")) > 2)
    assert max(current(event) for event in central.transaction_events("Updated", "MeterValuePeriodic")) < 6.5


@pytest.mark.parametrize(
    ("message", "comes"),
    [
        ("BootNotification", "BootNotification"),
        ("Heartbeat", "Heartbeat"),
        ("MeterValues", "MeterValues"),
        ("StatusNotification", "StatusNotification"),
        ("TransactionEvent", "TransactionEvent"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
        ("LogStatusNotification", "LogStatusNotification"),
        ("SignChargingStationCertificate", "SignCertificate"),
    ],
)
async def test_a_trigger_sends_the_requested_message(central, fleet, message, comes):
    async with fleet():
        await start(central)
        before = len(central.of(comes))
        call = {"requestedMessage": message, "evse": {"id": 1}}
        assert await central.command("TriggerMessage", call) == {"status": "Accepted"}
        await central.until(lambda: len(central.of(comes)) > before)
        assert await central.command("TriggerMessage", call | {"evse": {"id": 9}}) == {"status": "Rejected"}
        unknown = {"requestedMessage": "SignV2GCertificate"}
        assert await central.command("TriggerMessage", unknown) == {"status": "NotImplemented"}


async def test_a_reservation_keeps_the_evse_for_its_card(central, fleet):
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    call = {"id": 5, "expiryDateTime": expires, "idToken": TOKEN, "evseId": 1}
    async with fleet():
        assert await central.command("ReserveNow", call) == {"status": "Accepted"}
        await central.until(lambda: central.statuses(1)[-1] == "Reserved")
        assert await central.command("ReserveNow", call | {"id": 6}) == {"status": "Occupied"}
        stranger = {"idToken": TOKEN | {"idToken": "YOU"}, "evseId": 1, "remoteStartId": 1}
        assert (await central.command("RequestStartTransaction", stranger))["status"] == "Rejected"
        await start(central)
        assert central.transaction_events("Started")[0]["reservationId"] == 5
        assert await central.command("CancelReservation", {"reservationId": 5}) == {"status": "Rejected"}


async def test_logs_and_firmware_report_each_step(central, fleet):
    log = {"logType": "SecurityLog", "requestId": 7, "log": {"remoteLocation": "ftp://nowhere"}}
    firmware = {"location": "x", "retrieveDateTime": datetime.now(UTC).isoformat(), "signature": "x"}
    async with fleet():
        assert (await central.command("GetLog", log))["status"] == "Accepted"
        await central.until(lambda: len(central.of("LogStatusNotification")) == 2)
        update = {"requestId": 3, "firmware": firmware}
        assert await central.command("UpdateFirmware", update) == {"status": "Accepted"}
        await central.until(lambda: len(central.of("BootNotification")) == 2)
    reported = [call["status"] for call in central.of("FirmwareStatusNotification")]
    assert reported == ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"]
    last = central.of("BootNotification")[-1]
    assert (last["reason"], last["chargingStation"]["firmwareVersion"]) == ("FirmwareUpdate", "1.0.1")


async def test_the_local_list_is_kept(central, fleet):
    def entry(tag, **info):
        return {"idToken": {"idToken": tag, "type": "ISO14443"}, **info}

    good = {"idTokenInfo": {"status": "Accepted"}}
    full = {"versionNumber": 4, "updateType": "Full", "localAuthorizationList": [entry("A", **good)]}
    change = {
        "versionNumber": 5,
        "updateType": "Differential",
        "localAuthorizationList": [entry("A"), entry("C", **good)],
    }
    async with fleet() as simulation:
        assert await central.command("SendLocalList", full) == {"status": "Accepted"}
        assert await central.command("SendLocalList", change) == {"status": "Accepted"}
        assert await central.command("SendLocalList", change) == {"status": "VersionMismatch"}
        assert await central.command("GetLocalListVersion", {}) == {"versionNumber": 5}
        assert simulation.fleet[0].local_list == {"C": "Accepted"}


async def test_certificates_are_installed_listed_and_deleted(central, fleet):
    root = {"certificateType": "CSMSRootCertificate"}
    async with fleet():
        assert await central.command("GetInstalledCertificateIds", {}) == {"status": "NotFound"}
        assert await central.command("InstallCertificate", root | {"certificate": "PEM"}) == {"status": "Accepted"}
        found = await central.command("GetInstalledCertificateIds", {"certificateType": ["CSMSRootCertificate"]})
        gone = {"certificateHashData": found["certificateHashDataChain"][0]["certificateHashData"]}
        assert await central.command("DeleteCertificate", gone) == {"status": "Accepted"}
        assert await central.command("DeleteCertificate", gone) == {"status": "NotFound"}
        assert await central.command("CertificateSigned", {"certificateChain": "PEM"}) == {"status": "Accepted"}


async def test_unknown_and_invalid_commands_get_a_callerror(central, fleet):
    async with fleet():
        assert await central.command("ClearCache", {}) == {"status": "Accepted"}
        assert await central.command("DataTransfer", {"vendorId": "Acme"}) == {"status": "UnknownVendorId"}
        assert (await central.raw_command("RemoteStopTransaction", {"transactionId": 1}))[2] == "NotImplemented"
        assert (await central.raw_command("Reset", {"type": "Gentle"}))[2] == "FormatViolation"
        assert (await central.raw_command("Reset", ["Hard"]))[2] == "FormatViolation"
        no_schedule = {"evseId": 1, "chargingProfile": profile(6) | {"chargingSchedule": []}}
        assert (await central.raw_command("SetChargingProfile", no_schedule))[2] == "FormatViolation"


async def test_21_answers_that_it_has_no_tariffs(central, running):
    async with running(versions=("2.1",)):
        assert await central.command("GetTariffs", {"evseId": 0}) == {"status": "NoTariff"}
