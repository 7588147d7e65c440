"""Charge points by HTTP: pages, filters, registration, credentials, and changes that meet."""

from base64 import b64encode
from typing import Any

import pytest

from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, status
from support.operators import Operator
from support.raw import RawCharger
from support.waiting import eventually


def basic(cp_id: str, secret: str) -> str:
    return "Basic " + b64encode(f"{cp_id}:{secret}".encode()).decode()


async def handshake(csms: Csms, cp_id: str, **headers: str) -> int:
    """The status that a charge point's handshake is answered with."""
    async with RawCharger(csms.central.port, f"/ws/{cp_id}", headers) as charger:
        return charger.status


async def test_ten_thousand_come_in_pages_each_once_and_in_order(csms: Csms, operator: Operator) -> None:
    for number in range(10_000):
        csms.central.fleet.charge_point(f"CP-{number:05d}", 1.0)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 500}
    while True:
        page = await operator.ask("GET", "/charge-points", params=query)
        seen += [row["cp_id"] for row in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert seen == [f"CP-{number:05d}" for number in range(10_000)]


async def test_the_list_is_filtered_by_what_an_operator_looks_for(csms: Csms, operator: Operator) -> None:
    async with csms.charger("NORTH-1") as north, csms.charger("SOUTH-1"):
        await north.call("BootNotification", BOOT)
        await north.call("StartTransaction", START)
        await north.call("StatusNotification", status("Charging"))

        async def listed(**query: Any) -> list[str]:
            page = await operator.ask("GET", "/charge-points", params=query)
            return [row["cp_id"] for row in page["items"]]

        assert await listed(search="north") == await listed(search="ACME") == ["NORTH-1"]
        assert await listed(charging=True) == await listed(status="Charging") == ["NORTH-1"]
        assert await listed(connected=True) == ["NORTH-1", "SOUTH-1"]
        assert await listed(connected=False) == []


async def test_one_charge_point_shows_its_connectors_as_they_are_now(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        started = await charger.call("StartTransaction", START)
        current = {"value": "16", "measurand": "Current.Import", "unit": "A"}
        await charger.call("MeterValues", meter_values(started["transactionId"], energy(1500), current))
        shown = await operator.ask("GET", "/charge-points/CP1")
        assert (shown["vendor"], shown["connected"], shown["protocol"]) == ("Acme", True, "ocpp1.6")
        (connector,) = shown["connectors"]
        assert (connector["current_a"], connector["energy_wh"]) == (16.0, 500.0)
        assert await operator.ask("GET", "/charge-points/CP1/connectors") == [connector]
        speaks = await operator.ask("GET", "/charge-points/CP1/commands")
        assert "Reset" in speaks["commands"]


async def test_a_registered_charge_point_is_known_at_once_and_let_in_with_its_secret_alone(
    csms: Csms, operator: Operator
) -> None:
    made = await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1", "name": "By the gate"})
    shown = await operator.ask("GET", "/charge-points/CP1")
    assert (shown["name"], shown["has_credentials"], shown["connected"]) == ("By the gate", True, False)
    assert await handshake(csms, "CP1") == 401
    assert await handshake(csms, "CP1", Authorization=basic("CP1", made["secret"])) == 101
    await operator.ask("POST", "/charge-points", 409, json={"cp_id": "CP1"})


async def test_a_rotated_secret_ends_the_old_one(csms: Csms, operator: Operator) -> None:
    made = await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1"})
    rotated = await operator.ask("PUT", "/charge-points/CP1/credentials", json={})
    assert rotated["secret"] != made["secret"]
    assert await handshake(csms, "CP1", Authorization=basic("CP1", made["secret"])) == 401
    assert await handshake(csms, "CP1", Authorization=basic("CP1", rotated["secret"])) == 101
    await operator.ask("DELETE", "/charge-points/CP1/credentials", 204)
    assert await handshake(csms, "CP1") == 101


async def test_a_decommissioned_charge_point_leaves_list_metrics_and_socket(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        await operator.ask("DELETE", "/charge-points/CP1", 204)
        assert await charger.closed() == 1008
    await operator.ask("GET", "/charge-points/CP1", 404)
    assert await csms.metric("ocpp_cp_connected", cp_id="CP1") is None


async def test_a_charge_point_that_the_command_line_adds_appears_by_itself(csms: Csms, operator: Operator) -> None:
    await csms.store.add_charge_point("CP9", None)

    async def listed() -> bool:
        return (await operator.send("GET", "/charge-points/CP9")).status_code == 200

    await eventually(listed)


async def test_of_two_changes_to_what_both_saw_the_second_is_refused(csms: Csms, operator: Operator) -> None:
    await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1"})
    seen = (await operator.send("GET", "/charge-points/CP1")).headers["etag"]
    path, headers = "/charge-points/CP1", {"If-Match": seen}
    first = await operator.send("PATCH", path, json={"note": "first"}, headers=headers)
    assert first.status_code == 200
    assert first.headers["etag"] != seen
    await operator.ask("PATCH", path, 412, json={"note": "second"}, headers=headers)
    await operator.ask("PATCH", path, 428, json={"note": "second"})
    await operator.ask("DELETE", path, 412, headers=headers)
    assert (await operator.ask("GET", path))["note"] == "first"


@pytest.mark.parametrize("cp_id", ["", "a/b", "a\nb", "x" * 256])
async def test_an_identity_that_no_charge_point_can_have_is_refused(operator: Operator, cp_id: str) -> None:
    await operator.ask("POST", "/charge-points", 422, json={"cp_id": cp_id})


@pytest.mark.parametrize("cursor", ["???", "ü", "AAA", "//8"])
async def test_a_cursor_of_somebody_elses_making_does_no_harm(operator: Operator, cursor: str) -> None:
    for path in ("/charge-points", "/transactions", "/audit", "/users", "/id-tags"):
        answer = await operator.send("GET", path, params={"cursor": cursor})
        assert answer.status_code in (200, 422)
