"""Every command of OCPP 1.6 and its security extension, over a socket; answers are checked against the schemas."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from wattspan.simulator import FaultRates


def profile(limit, *, purpose="TxDefaultProfile", unit="A", number=1, **more):
    return {
        "chargingProfileId": number,
        "stackLevel": number,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        },
    } | more


async def start(central, connector_id=1):
    """Start a transaction by command and return its id."""
    answer = await central.command("RemoteStartTransaction", {"idTag": "ME", "connectorId": connector_id})
    assert answer == {"status": "Accepted"}
    await central.until(lambda: any(call["connectorId"] == connector_id for _, call in central.open.values()))
    await central.until(lambda: "Charging" in central.statuses(connector_id))
    return max(central.open)


async def test_remote_start_and_stop_start_and_stop_a_transaction(central, running):
    async with running() as simulation:
        number = await start(central, 2)
        assert central.open[number][1]["idTag"] == "ME"
        assert await central.command("RemoteStartTransaction", {"idTag": "ME", "connectorId": 2}) == {
            "status": "Rejected"
        }
        assert await central.command("RemoteStopTransaction", {"transactionId": 99}) == {"status": "Rejected"}
        assert await central.command("RemoteStopTransaction", {"transactionId": number}) == {"status": "Accepted"}
        await central.until(lambda: central.stopped_wh)
        await central.until(lambda: central.statuses(2)[-1] == "Available")
    assert central.of("StopTransaction")[0]["reason"] == "Remote"
    assert simulation.ledger.total.commands["RemoteStopTransaction"] == 2


async def test_a_stop_that_arrives_together_with_the_answer_to_the_start_is_accepted(central, running):
    take, stopped = central._take, asyncio.get_running_loop().create_future()

    async def take_and_stop(socket, cp_id, frame):
        await take(socket, cp_id, frame)
        if frame[2] == "StartTransaction":
            central.answered["stop"] = stopped
            (number,) = central.open
            await socket.send(json.dumps([2, "stop", "RemoteStopTransaction", {"transactionId": number}]))

    central._take = take_and_stop
    async with running():
        await central.command("RemoteStartTransaction", {"idTag": "ME", "connectorId": 1})
        assert await stopped == [3, "stop", {"status": "Accepted"}]
        await central.until(lambda: central.stopped_wh)


@pytest.mark.parametrize("kind", ["Hard", "Soft"])
async def test_a_reset_stops_transactions_and_boots_again(central, running, kind):
    async with running() as simulation:
        await start(central)
        assert await central.command("Reset", {"type": kind}) == {"status": "Accepted"}
        await central.until(lambda: len(central.of("BootNotification")) == 2)
    assert central.of("StopTransaction")[0]["reason"] == f"{kind}Reset"
    assert simulation.ledger.total.boots == 2
    assert simulation.ledger.total.connections == central.connections == 2


async def test_unlocking_ends_the_session(central, running):
    async with running():
        await start(central)
        assert await central.command("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
        assert await central.command("UnlockConnector", {"connectorId": 9}) == {"status": "NotSupported"}
        await central.until(lambda: central.stopped_wh)
    assert central.of("StopTransaction")[0]["reason"] == "UnlockCommand"


async def test_availability_changes_at_once_or_after_the_session(central, running):
    async with running():
        number = await start(central)
        out = {"connectorId": 0, "type": "Inoperative"}
        assert await central.command("ChangeAvailability", out) == {"status": "Scheduled"}
        await central.until(lambda: central.statuses(2)[-1] == "Unavailable")
        assert "Unavailable" not in central.statuses(1)
        await central.command("RemoteStopTransaction", {"transactionId": number})
        await central.until(lambda: central.statuses(1)[-1] == "Unavailable")
        assert (await central.command("RemoteStartTransaction", {"idTag": "ME"}))["status"] == "Rejected"
        back = {"connectorId": 1, "type": "Operative"}
        assert await central.command("ChangeAvailability", back) == {"status": "Accepted"}
        await central.until(lambda: central.statuses(1)[-1] == "Available")


async def test_configuration_is_read_and_changed(central, running):
    async with running() as simulation:
        got = await central.command("GetConfiguration", {"key": ["NumberOfConnectors", "Nonsense"]})
        assert got["configurationKey"] == [{"key": "NumberOfConnectors", "readonly": True, "value": "2"}]
        assert got["unknownKey"] == ["Nonsense"]
        everything = await central.command("GetConfiguration", {})
        assert "AuthorizationKey" not in {entry["key"] for entry in everything["configurationKey"]}
        for key, value, status in (
            ("MeterValueSampleInterval", "5", "Accepted"),
            ("MeterValueSampleInterval", "soon", "Rejected"),
            ("NumberOfConnectors", "3", "Rejected"),
            ("WebSocketPingInterval", "10", "RebootRequired"),
            ("Nonsense", "1", "NotSupported"),
        ):
            assert (await central.command("ChangeConfiguration", {"key": key, "value": value}))["status"] == status
        assert simulation.fleet[0].meter_interval_s() == 5


async def test_a_profile_limits_the_current_until_it_is_cleared(central, running):
    def current(call):
        samples = call["meterValue"][0]["sampledValue"]
        return max(float(s["value"]) for s in samples if s["measurand"] == "Current.Import")

    async with running():
        await start(central)
        limit = {"connectorId": 1, "csChargingProfiles": profile(7, purpose="TxProfile")}
        assert await central.command("SetChargingProfile", limit) == {"status": "Accepted"}
        reported = len(central.of("MeterValues"))
        await central.until(lambda: len(central.of("MeterValues")) >= reported + 3)
        assert 0 < current(central.of("MeterValues")[-1]) <= 7.2
        schedule = await central.command("GetCompositeSchedule", {"connectorId": 1, "duration": 600})
        assert schedule["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 7.0}]
        assert await central.command("ClearChargingProfile", {"id": 1}) == {"status": "Accepted"}
        assert await central.command("ClearChargingProfile", {"id": 1}) == {"status": "Unknown"}
        await central.until(lambda: current(central.of("MeterValues")[-1]) > 7.5)


async def test_a_limit_of_nothing_suspends_and_a_lifted_one_resumes(central, running):
    async with running():
        await start(central)
        nothing = {"connectorId": 0, "csChargingProfiles": profile(0, purpose="ChargePointMaxProfile", unit="W")}
        assert await central.command("SetChargingProfile", nothing) == {"status": "Accepted"}
        await central.until(lambda: central.statuses(1)[-1] == "SuspendedEVSE")
        await central.command("ClearChargingProfile", {})
        await central.until(lambda: central.statuses(1)[-1] != "SuspendedEVSE")


async def test_profiles_in_the_wrong_place_are_rejected(central, running):
    async with running():
        for connector_id, purpose in (
            (1, "TxProfile"),
            (0, "TxProfile"),
            (1, "ChargePointMaxProfile"),
            (9, "TxDefaultProfile"),
        ):
            call = {"connectorId": connector_id, "csChargingProfiles": profile(7, purpose=purpose)}
            assert await central.command("SetChargingProfile", call) == {"status": "Rejected"}
        frame = await central.raw_command("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {}})
        assert frame[2] == "FormationViolation"


@pytest.mark.parametrize(
    ("requested", "comes"),
    [
        ("BootNotification", "BootNotification"),
        ("Heartbeat", "Heartbeat"),
        ("MeterValues", "MeterValues"),
        ("StatusNotification", "StatusNotification"),
        ("DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
    ],
)
async def test_a_trigger_sends_the_requested_message(central, running, requested, comes):
    async with running():
        await central.until(lambda: len(central.of("StatusNotification")) == 3)
        before = len(central.of(comes))
        assert await central.command("TriggerMessage", {"requestedMessage": requested}) == {"status": "Accepted"}
        await central.until(lambda: len(central.of(comes)) > before)


async def test_an_extended_trigger_sends_the_requested_message(central, running):
    async with running():
        for requested, comes in (
            ("LogStatusNotification", "LogStatusNotification"),
            ("SignChargePointCertificate", "SignCertificate"),
        ):
            answer = await central.command("ExtendedTriggerMessage", {"requestedMessage": requested})
            assert answer == {"status": "Accepted"}
            await central.until(lambda comes=comes: central.of(comes))
        nowhere = {"requestedMessage": "MeterValues", "connectorId": 9}
        assert await central.command("ExtendedTriggerMessage", nowhere) == {"status": "Rejected"}


async def test_a_reservation_keeps_the_connector_for_its_card(central, running):
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    call = {"connectorId": 1, "expiryDate": expires, "idTag": "ME", "reservationId": 5}
    async with running():
        assert await central.command("ReserveNow", call | {"connectorId": 0}) == {"status": "Rejected"}
        assert await central.command("ReserveNow", call) == {"status": "Accepted"}
        await central.until(lambda: central.statuses(1)[-1] == "Reserved")
        assert await central.command("ReserveNow", call | {"reservationId": 6}) == {"status": "Occupied"}
        stranger = {"idTag": "YOU", "connectorId": 1}
        assert await central.command("RemoteStartTransaction", stranger) == {"status": "Rejected"}
        await start(central)
        assert next(iter(central.open.values()))[1]["reservationId"] == 5
        assert await central.command("CancelReservation", {"reservationId": 5}) == {"status": "Rejected"}


async def test_a_reservation_is_cancelled_or_expires(central, running):
    call = {"connectorId": 1, "idTag": "ME", "reservationId": 5}
    async with running():
        for expires_in_s in (3_600, 0):
            reported = len(central.statuses(1))
            expires = (datetime.now(UTC) + timedelta(seconds=expires_in_s)).isoformat()
            assert await central.command("ReserveNow", call | {"expiryDate": expires}) == {"status": "Accepted"}
            if expires_in_s:
                assert await central.command("CancelReservation", {"reservationId": 5}) == {"status": "Accepted"}
            await central.until(lambda reported=reported: central.statuses(1)[reported:] == ["Reserved", "Available"])


async def test_diagnostics_and_logs_report_each_step(central, running):
    async with running():
        assert "fileName" in await central.command("GetDiagnostics", {"location": "ftp://nowhere"})
        log = {"logType": "SecurityLog", "requestId": 7, "log": {"remoteLocation": "ftp://nowhere"}}
        assert (await central.command("GetLog", log))["status"] == "Accepted"
        await central.until(lambda: len(central.of("DiagnosticsStatusNotification")) == 2)
        await central.until(lambda: len(central.of("LogStatusNotification")) == 2)
    assert [call["status"] for call in central.of("DiagnosticsStatusNotification")] == ["Uploading", "Uploaded"]
    assert central.of("LogStatusNotification")[1] == {"status": "Uploaded", "requestId": 7}


async def test_a_firmware_update_reports_each_step_and_boots(central, running):
    when = datetime.now(UTC).isoformat()
    async with running():
        assert await central.command("UpdateFirmware", {"location": "ftp://nowhere", "retrieveDate": when}) == {}
        await central.until(lambda: len(central.of("BootNotification")) == 2)
        await central.until(lambda: len(central.of("StatusNotification")) == 6)
        signed = {"location": "x", "retrieveDateTime": when, "signingCertificate": "x", "signature": "x"}
        answer = await central.command("SignedUpdateFirmware", {"requestId": 3, "firmware": signed})
        assert answer == {"status": "Accepted"}
        await central.until(lambda: len(central.of("BootNotification")) == 3)
    reported = [call["status"] for call in central.of("FirmwareStatusNotification")]
    assert reported == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert central.of("SignedFirmwareStatusNotification")[-1] == {"status": "Installed", "requestId": 3}
    assert [call["firmwareVersion"] for call in central.of("BootNotification")] == ["1.0.0", "1.0.1", "1.0.2"]


async def test_the_local_list_is_kept(central, running):
    def entry(tag):
        return {"idTag": tag, "idTagInfo": {"status": "Accepted"}}

    full = {"listVersion": 4, "updateType": "Full", "localAuthorizationList": [entry("A"), entry("B")]}
    change = {"listVersion": 5, "updateType": "Differential", "localAuthorizationList": [{"idTag": "A"}, entry("C")]}
    async with running() as simulation:
        assert await central.command("SendLocalList", full) == {"status": "Accepted"}
        assert await central.command("SendLocalList", change) == {"status": "Accepted"}
        assert await central.command("SendLocalList", change) == {"status": "VersionMismatch"}
        assert await central.command("GetLocalListVersion", {}) == {"listVersion": 5}
        assert simulation.fleet[0].local_list.keys() == {"B", "C"}


async def test_certificates_are_installed_listed_and_deleted(central, running):
    roots = {"certificateType": "CentralSystemRootCertificate"}
    async with running():
        assert await central.command("GetInstalledCertificateIds", roots) == {"status": "NotFound"}
        assert await central.command("InstallCertificate", roots | {"certificate": "PEM"}) == {"status": "Accepted"}
        found = await central.command("GetInstalledCertificateIds", roots)
        gone = {"certificateHashData": found["certificateHashData"][0]}
        assert await central.command("DeleteCertificate", gone) == {"status": "Accepted"}
        assert await central.command("DeleteCertificate", gone) == {"status": "NotFound"}
        assert await central.command("CertificateSigned", {"certificateChain": "PEM"}) == {"status": "Accepted"}


async def test_unknown_and_invalid_commands_get_a_callerror(central, running):
    no_phases = {"connectorId": 1, "csChargingProfiles": profile(6)}
    no_phases["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]["numberPhases"] = 0
    async with running():
        assert await central.command("ClearCache", {}) == {"status": "Accepted"}
        assert await central.command("DataTransfer", {"vendorId": "Acme"}) == {"status": "UnknownVendorId"}
        assert (await central.raw_command("Dance", {}))[2] == "NotImplemented"
        assert (await central.raw_command("Reset", {"type": "Gentle"}))[2] == "FormationViolation"
        assert (await central.raw_command("Reset", ["Hard"]))[2] == "FormationViolation"
        assert (await central.raw_command("SetChargingProfile", no_phases))[2] == "FormationViolation"


async def test_a_late_answer_is_still_an_answer(central, running):
    async with running(faults=FaultRates(late_answer=1.0, late_answer_s=0.01)):
        assert await central.command("ClearCache", {}) == {"status": "Accepted"}
