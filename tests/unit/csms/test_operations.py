"""Every operation, as each OCPP version's own schema accepts it."""

import json
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest

from wattspan.csms.operations import parameters as op
from wattspan.csms.operations.context import OperationContext
from wattspan.csms.operations.parameters import Operation
from wattspan.csms.operations.table import BUILDERS, build
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.model import ChargePoint, Transaction
from wattspan.errors import CommandInvalid, OperationUnsupported, TransactionNotIdentified
from wattspan.store.records import IdTag
from wattspan.versions import VERSIONS

AT = datetime(2031, 1, 1, tzinfo=UTC)
SCHEMAS = {"ocpp1.6": ("v16", ""), "ocpp2.0.1": ("v201", "Request"), "ocpp2.1": ("v21", "Request")}

OPERATIONS: list[Operation] = [
    op.RemoteStart(id_tag="TAG1"),
    op.RemoteStart(id_tag="TAG1", connector_id=2),
    op.RemoteStop(),
    op.RemoteStop(transaction=1),
    op.Unlock(),
    op.Unlock(connector_id=2),
    op.Unlock(connector_id=2, evse_connector_id=3),
    op.Reset(),
    op.Reset(hard=True),
    op.Reserve(id_tag="TAG1", expires_at=AT),
    op.Reserve(id_tag="TAG1", parent_id_tag="G", connector_id=1, expires_at=AT, reservation_id=0),
    op.CancelReservation(reservation_id=0),
    op.SetLimit(limit=16),
    op.SetLimit(limit=0, unit="W", connector_id=1, phases=3, duration_s=60, profile_id=4),
    op.SetLimit(limit=21.4),
    op.SetLimit(
        periods=[op.LimitPeriod(start_s=0, limit=16), op.LimitPeriod(start_s=900, limit=8.5, phases=1)], duration_s=1800
    ),
    op.SetLimit(limit=6, transaction=1),
    op.ClearLimit(),
    op.ClearLimit(profile_id=1),
    op.ClearLimit(connector_id=1, stack_level=0),
    op.SetAvailability(operative=False),
    op.SetAvailability(operative=True, connector_id=1),
    op.Trigger(message="Heartbeat"),
    op.Trigger(message="StatusNotification", connector_id=1),
    op.SendLocalList(),
    op.SendLocalList(update="Differential", id_tags=["tag1"]),
    op.SendLocalList(update="Differential", id_tags=["tag1"], remove=["GONE"], version=7),
    op.SendLocalList(update="Differential", id_tags=[], remove=["GONE"]),
    op.GetLocalListVersion(),
    op.GetLogs(),
    op.GetLogs(retries=3, retry_interval_s=60),
    op.GetLogs(kind="security", location="ftp://h/x", from_at=AT, until_at=AT, retries=1),
    op.UpdateFirmware(location="http://127.0.0.1/fw"),
    op.UpdateFirmware(location="http://127.0.0.1/fw", retrieve_at=AT),
    op.UpdateFirmware(location="http://127.0.0.1/fw", retries=3, retry_interval_s=60),
    op.UpdateFirmware(
        location="http://127.0.0.1/fw", install_at=AT, signing_certificate="PEM", signature="c2ln", retries=0
    ),
    op.GetConfiguration(),
    op.GetConfiguration(keys=["HeartbeatInterval"]),
    op.ChangeConfiguration(key="HeartbeatInterval", value="60"),
    op.SetPassword(secret="A" * 20),
    op.RequestCertificateRenewal(),
]
ONLY_16 = (op.GetConfiguration, op.ChangeConfiguration)
VERSIONS_2X = [subprotocol for subprotocol in VERSIONS if subprotocol != "ocpp1.6"]
TAGS = [IdTag(id_token="TAG1", expiry_ts=2e9, parent="G"), IdTag(id_token="TAG2", status="Blocked")]


def context(*transaction_ids: str, id_tags: list[IdTag] | None = None) -> OperationContext:
    cp = ChargePoint(cp_id="CP1", known_since_ts=0.0)
    for number, transaction_id in enumerate(transaction_ids, 1):
        cp.transactions[transaction_id] = Transaction(
            number=number,
            cp_id="CP1",
            connector_id="1",
            transaction_id=transaction_id,
            key="",
            id_token="TAG1",
            meter=EnergyMeter(0.0),
            started_ts=None,
            started_received_ts=1.0,
        )
    return OperationContext(
        cp=cp,
        now_ts=1_900_000_000.5,
        upload_url=lambda: "http://127.0.0.1:8080/files/uploads/0123",
        id_tags=TAGS if id_tags is None else id_tags,
    )


def call(subprotocol: str, operation: Operation, given: OperationContext) -> tuple[str, dict[str, Any]]:
    return build(VERSIONS[subprotocol], operation, given)


def faults(subprotocol: str, action: str, payload: dict[str, Any]) -> list[str]:
    """The faults that the version's schema finds in the payload."""
    version, suffix = SCHEMAS[subprotocol]
    source = files(f"ocpp.{version}") / "schemas" / f"{action}{suffix}.json"
    schema = json.loads(source.read_text(encoding="utf-8-sig"))
    return [fault.message for fault in jsonschema_rs.validator_for(schema).iter_errors(payload)]


def test_every_version_has_a_builder_for_every_operation() -> None:
    every = {each for each in vars(op).values() if isinstance(each, type) and issubclass(each, Operation)} - {Operation}
    assert BUILDERS.keys() == VERSIONS.keys()
    assert all(builders.keys() == every for builders in BUILDERS.values())
    assert {type(operation) for operation in OPERATIONS} == every


@pytest.mark.parametrize("subprotocol", VERSIONS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: type(each).__name__)
def test_an_operation_is_what_the_versions_schema_accepts(subprotocol: str, operation: Operation) -> None:
    if subprotocol != "ocpp1.6" and isinstance(operation, ONLY_16):
        with pytest.raises(OperationUnsupported, match="device model"):
            call(subprotocol, operation, context("7"))
        return
    if subprotocol == "ocpp1.6" and isinstance(operation, op.Unlock) and operation.evse_connector_id:
        with pytest.raises(CommandInvalid, match="evse_connector_id needs OCPP 2"):
            call(subprotocol, operation, context("7"))
        return
    action, payload = call(subprotocol, operation, context("7"))
    assert action in VERSIONS[subprotocol].commands
    assert faults(subprotocol, action, payload) == [], (action, payload)


@pytest.mark.parametrize("subprotocol", VERSIONS)
def test_an_empty_local_list_is_sent_as_the_schema_accepts_it(subprotocol: str) -> None:
    action, payload = call(subprotocol, op.SendLocalList(), context(id_tags=[]))
    assert faults(subprotocol, action, payload) == []


def test_the_whole_charge_point_is_capped_and_a_connector_gets_a_default() -> None:
    for connector_id, purpose_16, purpose_2x in (
        (0, "ChargePointMaxProfile", "ChargingStationMaxProfile"),
        (1, "TxDefaultProfile", "TxDefaultProfile"),
    ):
        operation = op.SetLimit(limit=10, connector_id=connector_id)
        _, v16 = call("ocpp1.6", operation, context())
        _, v2x = call("ocpp2.0.1", operation, context())
        assert v16["csChargingProfiles"]["chargingProfilePurpose"] == purpose_16
        assert v2x["chargingProfile"]["chargingProfilePurpose"] == purpose_2x


@pytest.mark.parametrize("subprotocol", VERSIONS)
@pytest.mark.parametrize(("running", "transaction"), [([], None), (["1", "2"], None), (["1"], 9)])
def test_a_stop_must_name_exactly_one_open_transaction(
    subprotocol: str, running: list[str], transaction: int | None
) -> None:
    with pytest.raises(TransactionNotIdentified) as raised:
        call(subprotocol, op.RemoteStop(transaction=transaction), context(*running))
    assert raised.value.cp_id == "CP1"


def test_a_transaction_of_another_version_can_not_be_stopped_in_16() -> None:
    with pytest.raises(TransactionNotIdentified, match="another OCPP version"):
        call("ocpp1.6", op.RemoteStop(), context("8-ab"))


def test_a_stop_names_ocpps_id_as_the_version_writes_it() -> None:
    stop = op.RemoteStop(transaction=2)
    assert call("ocpp1.6", stop, context("7", "8"))[1] == {"transactionId": 8}
    assert call("ocpp2.1", stop, context("7", "8-ab"))[1] == {"transactionId": "8-ab"}


def test_only_the_named_tags_are_sent() -> None:
    _, payload = call("ocpp1.6", op.SendLocalList(id_tags=["tag2", "nobody"]), context())
    assert [entry["idTag"] for entry in payload["localAuthorizationList"]] == ["TAG2"]


def test_an_expiry_that_no_calendar_has_is_left_out() -> None:
    _, payload = call("ocpp1.6", op.SendLocalList(), context(id_tags=[IdTag(id_token="TAG1", expiry_ts=1e15)]))
    assert "expiryDate" not in payload["localAuthorizationList"][0]["idTagInfo"]


def test_operations_are_frozen_and_show_no_password() -> None:
    assert all(is_dataclass(operation) for operation in OPERATIONS)
    assert "A" * 20 not in repr(op.SetPassword(secret="A" * 20))
    assert [field.name for field in fields(op.SetPassword)] == ["secret"]


@pytest.mark.parametrize("subprotocol", VERSIONS)
def test_an_entry_to_delete_has_no_info_and_is_there_once(subprotocol: str) -> None:
    operation = op.SendLocalList(update="Differential", id_tags=["tag1", "GONE"], remove=["TAG2", "gone", "Other"])
    _, payload = call(subprotocol, operation, context())
    entries = payload["localAuthorizationList"]
    info, token = ("idTagInfo", "idTag") if subprotocol == "ocpp1.6" else ("idTokenInfo", "idToken")
    names = [each[token] if subprotocol == "ocpp1.6" else each[token]["idToken"] for each in entries]
    assert names == ["TAG1", "TAG2", "GONE", "Other"]
    assert [info in each for each in entries] == [True, False, False, False]


@pytest.mark.parametrize("subprotocol", VERSIONS)
def test_a_full_list_deletes_no_single_entries(subprotocol: str) -> None:
    with pytest.raises(CommandInvalid, match="remove needs a differential update"):
        call(subprotocol, op.SendLocalList(remove=["TAG1"]), context())
    _, payload = call(subprotocol, op.SendLocalList(id_tags=["TAG1", "GONE"]), context())
    assert len(payload["localAuthorizationList"]) == 1


def test_a_reservation_has_the_group_of_the_tag_on_file() -> None:
    reserve = op.Reserve(id_tag="tag1", expires_at=AT)
    assert call("ocpp1.6", reserve, context())[1]["parentIdTag"] == "G"
    assert call("ocpp2.0.1", reserve, context())[1]["groupIdToken"] == {"idToken": "G", "type": "Central"}
    given = op.Reserve(id_tag="TAG1", parent_id_tag="H", expires_at=AT)
    assert call("ocpp1.6", given, context())[1]["parentIdTag"] == "H"
    for subprotocol, length in (("ocpp1.6", 20), ("ocpp2.0.1", 36)):
        for longer, expected in ((0, True), (1, False)):
            tags = [IdTag(id_token="TAG1", parent="G" * (length + longer))]
            payload = call(subprotocol, reserve, context(id_tags=tags))[1]
            assert bool({"parentIdTag", "groupIdToken"} & payload.keys()) == expected
    assert not {"parentIdTag", "groupIdToken"} & call("ocpp2.1", reserve, context(id_tags=[]))[1].keys()


@pytest.mark.parametrize("subprotocol", VERSIONS_2X)
@pytest.mark.parametrize(
    ("outlets", "chosen"),
    [
        ({}, 1),
        ({"1": "Available", "2": "Occupied"}, 2),
        ({"2": "Available"}, 2),
        ({"1": "Available", "2": "Available"}, 1),
        ({"2": "Occupied", "3": "Occupied"}, 1),
        ({"left": "Occupied"}, 1),
    ],
)
def test_unlocking_names_the_connector_of_the_evse_that_is_in_use(
    subprotocol: str, outlets: dict[str, str], chosen: int
) -> None:
    given = context()
    given.cp.connector("4").outlets.update(outlets)
    assert call(subprotocol, op.Unlock(connector_id=4), given)[1] == {"evseId": 4, "connectorId": chosen}
    named = op.Unlock(connector_id=4, evse_connector_id=5)
    assert call(subprotocol, named, given)[1] == {"evseId": 4, "connectorId": 5}


def test_a_limit_of_a_transaction_names_its_id_and_its_connector() -> None:
    limit = op.SetLimit(limit=6, transaction=2)
    given = context("7", "8")
    given.cp.transactions["8"].connector_id = "3"
    _, payload = call("ocpp1.6", limit, given)
    assert payload["connectorId"] == 3
    assert payload["csChargingProfiles"]["chargingProfilePurpose"] == "TxProfile"
    assert payload["csChargingProfiles"]["transactionId"] == 8
    given = context("7", "8-ab")
    _, payload = call("ocpp2.1", limit, given)
    assert payload["evseId"] == 1
    assert payload["chargingProfile"]["transactionId"] == "8-ab"
    with pytest.raises(TransactionNotIdentified, match="another OCPP version"):
        call("ocpp1.6", limit, given)
    with pytest.raises(TransactionNotIdentified, match="no such transaction"):
        call("ocpp2.1", op.SetLimit(limit=6, transaction=9), given)
    with pytest.raises(CommandInvalid, match="connector_id must be 1"):
        call("ocpp2.1", op.SetLimit(limit=6, transaction=2, connector_id=2), given)
    given.cp.transactions["8-ab"].connector_id = "0"
    with pytest.raises(TransactionNotIdentified, match="has not named the connector"):
        call("ocpp2.1", limit, given)


def period(start_s: int) -> op.LimitPeriod:
    return op.LimitPeriod(start_s=start_s, limit=10)


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (op.SetLimit(), "/limit"),
        (op.SetLimit(limit=1, periods=[period(0)]), "/limit"),
        (op.SetLimit(periods=[period(1)]), "/periods/0/start_s"),
        (op.SetLimit(periods=[period(0), period(60), period(60)]), "/periods/2/start_s"),
        (op.SetLimit(periods=[period(0), period(60)], duration_s=60), "/periods/1/start_s"),
        (op.SetLimit(periods=[period(0)], phases=3), "/phases"),
    ],
)
def test_periods_must_fit_together(operation: op.SetLimit, path: str) -> None:
    for subprotocol in VERSIONS:
        with pytest.raises(CommandInvalid) as raised:
            call(subprotocol, operation, context())
        assert [fault for fault, _ in raised.value.faults] == [path]


def test_firmware_is_signed_as_the_version_has_it() -> None:
    signed = op.UpdateFirmware(
        location="http://h/fw",
        signing_certificate="PEM",
        signature="c2ln",
        install_at=AT,
        retries=2,
        retry_interval_s=9,
    )
    fields = {"location", "installDateTime", "signingCertificate", "signature", "retrieveDateTime"}
    for subprotocol, action in (
        ("ocpp1.6", "SignedUpdateFirmware"),
        ("ocpp2.0.1", "UpdateFirmware"),
        ("ocpp2.1", "UpdateFirmware"),
    ):
        sent, payload = call(subprotocol, signed, context())
        assert (sent, payload["firmware"].keys()) == (action, fields)
        assert (payload["retries"], payload["retryInterval"]) == (2, 9)
        for half in (
            op.UpdateFirmware(location="x", signature="s"),
            op.UpdateFirmware(location="x", signing_certificate="c"),
        ):
            with pytest.raises(CommandInvalid, match="given together"):
                call(subprotocol, half, context())
    with pytest.raises(CommandInvalid, match="install_at needs signed firmware"):
        call("ocpp1.6", op.UpdateFirmware(location="x", install_at=AT), context())
