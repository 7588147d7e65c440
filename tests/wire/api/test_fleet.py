"""The whole fleet in one answer, and what keeps it up to date."""

import gzip

from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, status
from support.operators import Operator
from wattspan.domain.events import ChargePointBooted, ConnectorStatusChanged


async def test_a_charge_point_is_summed_up_by_the_worst_of_its_connectors(csms: Csms, operator: Operator) -> None:
    await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP2", "name": "Gate", "credentials": False})
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        started = await charger.call("StartTransaction", START)
        await charger.call("MeterValues", meter_values(started["transactionId"], energy(1500)))
        for connector_id, word in ((2, "Faulted"), (1, "Charging"), (0, "Available")):
            await charger.call("StatusNotification", status(word, connector_id))
        (row, other) = (await operator.ask("GET", "/charge-points"))["items"]
        fleet = {each["cp_id"]: each for each in (await operator.ask("GET", "/fleet"))["charge_points"]}
        assert (row["status"], row["worst"]) == ("Available", "Faulted")
        assert row["statuses"] == {"Faulted": 1, "Charging": 1}
        assert (other["name"], other["worst"], other["statuses"]) == ("Gate", None, {})
        assert {name: fleet["CP1"][name] for name in row} == {**row, "last_message_at": fleet["CP1"]["last_message_at"]}
        shown = {each["connector_id"]: each for each in fleet["CP1"]["connectors"]}
        assert (shown["1"]["energy_wh"], shown["1"]["transaction"]) == (500.0, 1)
        assert shown["2"]["status"] == "Faulted"

        async def listed(**query: str) -> list[str]:
            page = await operator.ask("GET", "/charge-points", params=query)
            return [each["cp_id"] for each in page["items"]]

        assert await listed(worst="Faulted") == ["CP1"]
        assert await listed(worst="Available") == []
        assert (await operator.ask("GET", "/charge-points/CP1"))["worst"] == "Faulted"


async def test_the_search_finds_names_and_locations(csms: Csms, operator: Operator) -> None:
    named = {"cp_id": "A1", "name": "Harbour east", "location": "Quai 7", "credentials": False}
    await operator.ask("POST", "/charge-points", 201, json=named)
    await operator.ask("POST", "/charge-points", 201, json={"cp_id": "A2", "credentials": False})
    for text in ("harbour", "QUAI 7", "a1"):
        (found,) = (await operator.ask("GET", "/charge-points", params={"search": text}))["items"]
        assert (found["cp_id"], found["name"], found["location"]) == ("A1", "Harbour east", "Quai 7")


async def test_a_large_fleet_is_one_compressed_answer(csms: Csms, operator: Operator) -> None:
    csms.central._core.record(
        ChargePointBooted(cp_id=f"M{number:04}", received_ts=1.0, vendor="Many", model="X") for number in range(1_000)
    )
    csms.central._core.record(
        ConnectorStatusChanged(
            cp_id=f"M{number:04}", received_ts=2.0, connector_id="1", status="Available", error_code="NoError"
        )
        for number in range(1_000)
    )
    async with operator.http.stream("GET", "/api/v1/fleet", headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < len(gzip.decompress(packed)) / 8
    found = (await operator.ask("GET", "/fleet"))["charge_points"]
    assert len(found) == 1_000
    assert {each["worst"] for each in found} == {"Available"}


async def test_totals_are_those_of_the_sessions_that_match(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        await charger.call(
            "StopTransaction",
            {"transactionId": started["transactionId"], "meterStop": 8500, "timestamp": "2026-11-21T11:30:00Z"},
        )
        await charger.call("StartTransaction", {**START, "meterStart": 8500, "idTag": "TAG2"})
        await csms.durable()
    totals = await operator.ask("GET", "/transactions/totals")
    assert (totals["transactions"], totals["open"], totals["energy_wh"]) == (2, 1, 7500.0)
    assert totals["duration_s"] >= 0.0
    none = await operator.ask("GET", "/transactions/totals", params={"cp_id": "CP2"})
    assert none == {"transactions": 0, "open": 0, "energy_wh": 0.0, "duration_s": 0.0}
    one = await operator.ask("GET", "/transactions/totals", params={"id_tag": "tag2", "open": True})
    assert one["transactions"] == 1
