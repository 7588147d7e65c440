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
from wattspan.errors import OperationUnsupported, TransactionNotIdentified
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
    op.Reset(),
    op.Reset(hard=True),
    op.Reserve(id_tag="TAG1", expires_at=AT),
    op.Reserve(id_tag="TAG1", parent_id_tag="G", connector_id=1, expires_at=AT, reservation_id=0),
    op.CancelReservation(reservation_id=0),
    op.SetLimit(limit=16),
    op.SetLimit(limit=0, unit="W", connector_id=1, phases=3, duration_s=60, profile_id=4),
    op.SetLimit(limit=21.4),
    op.ClearLimit(),
    op.ClearLimit(profile_id=1),
    op.ClearLimit(connector_id=1, stack_level=0),
    op.SetAvailability(operative=False),
    op.SetAvailability(operative=True, connector_id=1),
    op.Trigger(message="Heartbeat"),
    op.Trigger(message="StatusNotification", connector_id=1),
    op.SendLocalList(),
    op.SendLocalList(update="Differential", id_tags=["tag1"]),
    op.GetLocalListVersion(),
    op.GetLogs(),
    op.GetLogs(kind="security", location="ftp://h/x", from_at=AT, until_at=AT),
    op.UpdateFirmware(location="http://127.0.0.1/fw"),
    op.UpdateFirmware(location="http://127.0.0.1/fw", retrieve_at=AT),
    op.GetConfiguration(),
    op.GetConfiguration(keys=["HeartbeatInterval"]),
    op.ChangeConfiguration(key="HeartbeatInterval", value="60"),
    op.SetPassword(secret="A" * 20),
    op.RequestCertificateRenewal(),
]
ONLY_16 = (op.GetConfiguration, op.ChangeConfiguration)
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
