"""Every wish, as each OCPP version's own schema takes it."""

import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest

from wattspan.api.models import operations as asks
from wattspan.api.operations import OPERATIONS, OperationContext
from wattspan.api.problems import Problem
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.model import ChargePoint, Transaction
from wattspan.store.records import IdTag

AT = datetime(2031, 1, 1, tzinfo=UTC)
VERSIONS = {"v16": "", "v201": "Request", "v21": "Request"}

ASKED: dict[str, list[Any]] = {
    "start": [asks.Start(id_tag="TAG1"), asks.Start(id_tag="TAG1", connector_id=2)],
    "stop": [asks.Stop(), asks.Stop(transaction=1)],
    "unlock": [asks.Unlock(), asks.Unlock(connector_id=2)],
    "reset": [asks.Reset(), asks.Reset(hard=True)],
    "reserve": [
        asks.Reserve(id_tag="TAG1", expires_at=AT),
        asks.Reserve(id_tag="TAG1", parent_id_tag="G", connector_id=1, expires_at=AT, reservation_id=0),
    ],
    "cancel-reservation": [asks.CancelReservation(reservation_id=0)],
    "limit": [
        asks.Limit(limit=16),
        asks.Limit(limit=0, unit=asks.RateUnit.W, connector_id=1, phases=3, lasts_s=60, profile_id=4),
        asks.Limit(limit=21.4),
    ],
    "clear-limit": [asks.ClearLimit(), asks.ClearLimit(profile_id=1), asks.ClearLimit(connector_id=1, stack_level=0)],
    "availability": [asks.Availability(operative=False), asks.Availability(operative=True, connector_id=1)],
    "trigger": [asks.Trigger(message="Heartbeat"), asks.Trigger(message="StatusNotification", connector_id=1)],
    "local-list": [asks.SendLocalList(), asks.SendLocalList(update=asks.ListUpdate.DIFFERENTIAL, id_tags=["tag1"])],
    "logs": [asks.Logs(), asks.Logs(kind=asks.LogKind.SECURITY, location="ftp://h/x", from_at=AT, until_at=AT)],
    "firmware": [asks.Firmware(location="http://127.0.0.1/fw"), asks.Firmware(retrieve_at=AT)],
}
TAGS = [IdTag(id_token="TAG1", expiry_ts=2e9, parent="G"), IdTag(id_token="TAG2", status="Blocked")]


def around(*transaction_ids: str, id_tags: list[IdTag] | None = None) -> OperationContext:
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
        upload_to=lambda: "http://127.0.0.1:8080/files/uploads/0123",
        firmware_at="http://127.0.0.1:8080/files/firmware/0123/fw.bin",
        id_tags=TAGS if id_tags is None else id_tags,
    )


def faults(version: str, action: str, payload: dict[str, Any]) -> list[str]:
    """What the version's schema has against it."""
    source = files(f"ocpp.{version}") / "schemas" / f"{action}{VERSIONS[version]}.json"
    schema = json.loads(source.read_text(encoding="utf-8-sig"))
    return [fault.message for fault in jsonschema_rs.validator_for(schema).iter_errors(payload)]


def test_every_wish_is_tried_here() -> None:
    assert ASKED.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_wish_is_what_the_versions_schema_takes(version: str, name: str) -> None:
    wish = OPERATIONS[name]
    for asked in ASKED[name]:
        action, payload = (wish.v16 if version == "v16" else wish.v2)(asked, around("7"))
        assert faults(version, action, payload) == [], (action, payload)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_empty_local_list_is_sent_as_the_schema_takes_it(version: str) -> None:
    wish = OPERATIONS["local-list"]
    action, payload = (wish.v16 if version == "v16" else wish.v2)(asks.SendLocalList(), around(id_tags=[]))
    assert faults(version, action, payload) == []


def test_the_whole_charge_point_is_capped_and_a_connector_gets_a_default() -> None:
    for connector_id, purpose_16, purpose_2 in (
        (0, "ChargePointMaxProfile", "ChargingStationMaxProfile"),
        (1, "TxDefaultProfile", "TxDefaultProfile"),
    ):
        asked = asks.Limit(limit=10, connector_id=connector_id)
        _, old = OPERATIONS["limit"].v16(asked, around())
        _, new = OPERATIONS["limit"].v2(asked, around())
        assert old["csChargingProfiles"]["chargingProfilePurpose"] == purpose_16
        assert new["chargingProfile"]["chargingProfilePurpose"] == purpose_2


@pytest.mark.parametrize(("running", "asked"), [([], None), (["1", "2"], None), (["1"], 9)])
def test_a_stop_that_names_no_one_transaction_is_a_conflict(running: list[str], asked: int | None) -> None:
    for say in (OPERATIONS["stop"].v16, OPERATIONS["stop"].v2):
        with pytest.raises(Problem) as told:
            say(asks.Stop(transaction=asked), around(*running))
        assert told.value.status == 409


def test_a_stop_names_ocpps_id_as_the_version_writes_it() -> None:
    assert OPERATIONS["stop"].v16(asks.Stop(transaction=2), around("7", "8"))[1] == {"transactionId": 8}
    assert OPERATIONS["stop"].v2(asks.Stop(transaction=2), around("7", "8-ab"))[1] == {"transactionId": "8-ab"}


def test_only_the_tags_that_are_named_are_sent() -> None:
    _, payload = OPERATIONS["local-list"].v16(asks.SendLocalList(id_tags=["tag2", "nobody"]), around())
    assert [entry["idTag"] for entry in payload["localAuthorizationList"]] == ["TAG2"]
