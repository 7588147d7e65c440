"""The tables of all versions against the schemas of every message that OCPP has, and against docs/ocpp.md."""

from pathlib import Path

import pytest

from support.examples import names, schema
from wattspan.versions import VERSIONS, reference

DOCS = Path(__file__).parents[3] / "docs" / "ocpp.md"
FOLDERS = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}

# Which way a message goes is in no schema: what charging stations send, from the headings of Part 2, chapter 1.
FROM_STATIONS = """
Authorize BootNotification ClearedChargingLimit DataTransfer FirmwareStatusNotification Get15118EVCertificate
GetCertificateStatus Heartbeat LogStatusNotification MeterValues NotifyChargingLimit NotifyCustomerInformation
NotifyDisplayMessages NotifyEVChargingNeeds NotifyEVChargingSchedule NotifyEvent NotifyMonitoringReport NotifyReport
PublishFirmwareStatusNotification ReportChargingProfiles ReservationStatusUpdate SecurityEventNotification
SignCertificate StatusNotification TransactionEvent
"""
FROM_STATIONS_21 = """
BatterySwap ClosePeriodicEventStream GetCertificateChainStatus NotifyDERAlarm NotifyDERStartStop
NotifyPeriodicEventStream NotifyPriorityCharging NotifySettlement OpenPeriodicEventStream PullDynamicScheduleUpdate
ReportDERControl VatNumberValidation
"""


def actions(folder: str) -> set[str]:
    return {name.removesuffix("Response").removesuffix("Request") for name in names(folder)}


@pytest.mark.parametrize("subprotocol", FOLDERS)
def test_no_message_that_has_a_schema_is_missing_from_the_table_nor_is_one_too_many(subprotocol):
    assert VERSIONS[subprotocol].known == actions(FOLDERS[subprotocol])


def test_messages_of_2_x_go_the_way_that_they_should():
    assert VERSIONS["ocpp2.0.1"].requests.keys() == set(FROM_STATIONS.split())
    assert VERSIONS["ocpp2.1"].requests.keys() == set(f"{FROM_STATIONS} {FROM_STATIONS_21}".split())
    for subprotocol in ("ocpp2.0.1", "ocpp2.1"):
        version = VERSIONS[subprotocol]
        assert version.requests.keys() & version.commands.keys() == {"DataTransfer"}


def statuses(folder: str, command) -> set[str]:
    """The words that the schema of its answer has for the status; none where it has no status."""
    root = schema(folder, f"{command.action}Response")
    place = root
    if command.results is not None:
        items = root["properties"][command.results]["items"]
        place = root["definitions"][items["$ref"].rpartition("/")[2]]
    field = place.get("properties", {}).get(command.status_field, {})
    if "$ref" in field:
        field = root["definitions"][field["$ref"].rpartition("/")[2]]
    return set(field.get("enum", ()))


@pytest.mark.parametrize("subprotocol", FOLDERS)
def test_the_statuses_of_every_command_are_those_of_its_schema(subprotocol):
    for command in VERSIONS[subprotocol].commands.values():
        assert command.statuses == statuses(FOLDERS[subprotocol], command), command.action
        assert command.accepted <= command.statuses
        assert bool(command.accepted) == bool(command.statuses)


def test_an_answer_with_a_status_for_each_thing_asked_is_rejected_by_the_first_that_is():
    command = VERSIONS["ocpp2.0.1"].commands["SetVariables"]

    def status(*words):
        return command.status({"setVariableResult": [{"attributeStatus": word} for word in words]})

    assert status("Accepted", "RebootRequired") == "RebootRequired"
    assert status("Accepted", "UnknownVariable", "Rejected") == "UnknownVariable"
    assert status("Accepted", "Sleepy") == "other"
    assert status() == command.status({}) == command.status({"setVariableResult": [None]}) == "other"


def test_the_page_is_what_the_tables_say_now():
    assert DOCS.read_text(encoding="utf-8") == reference.text(), "run: python -m wattspan.versions.reference"


@pytest.mark.parametrize("subprotocol", FOLDERS)
@pytest.mark.parametrize("kind", ["Started", "Updated", "Ended", None])
@pytest.mark.parametrize("about", [{"transactionId": "T1"}, {"transactionId": "T1", "chargingState": "Idle"}, {}])
@pytest.mark.parametrize("measured", [None, [], [{"timestamp": "2026-11-21T10:00:00Z", "sampledValue": []}]])
def test_a_message_that_leaves_its_place_to_its_events_has_one_that_tells_it(subprotocol, kind, about, measured):
    call = {"eventType": kind, "transactionInfo": about, "meterValue": measured}
    placed = [request for request in VERSIONS[subprotocol].requests.values() if request.place is None]
    assert placed
    for request in placed:
        first = request.observe(call, {}, "CP1", 1.8e9)[0]
        assert first.connector_id == "0"
        assert first.transaction_id == (about.get("transactionId") if request.action == "TransactionEvent" else None)
