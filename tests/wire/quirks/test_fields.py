"""Fields as real chargers fill them. Each docstring has the words of docs/quirks.md."""

import pytest
from websockets.typing import Subprotocol

from support.chargers import BOOT, START, energy, meter_values, stop
from support.stations import event, register
from wattspan.domain.model import MAX_CONNECTORS, MAX_UNENDED
from wattspan.store.store import IdTag

AT = {"cp_id": "CP1", "connector_id": "1"}


@pytest.fixture
async def charger(csms):
    async with csms.charger("CP1") as connected:
        yield connected


@pytest.fixture
async def tx(charger) -> int:
    return (await charger.call("StartTransaction", START))["transactionId"]


async def test_unit_hz(csms, charger, tx):
    """`"unit":"Hz"` (not in 1.6)"""
    frequency = {"value": "49.98", "measurand": "Frequency", "unit": "Hz"}
    assert await charger.call("MeterValues", meter_values(tx, frequency, energy(1700))) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 700
    assert await csms.metric("ocpp_cp_schema_faults_total", cp_id="CP1", action="MeterValues") == 1


@pytest.mark.parametrize("value", [1700, 1700.0])
async def test_numeric_value(csms, charger, tx, value):
    """numeric `value`"""
    assert await charger.call("MeterValues", meter_values(tx, {**energy(0), "value": value})) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 700


async def test_empty_string_value(csms, charger, tx):
    """empty-string value"""
    for odd in ({"value": ""}, {"value": "", "measurand": "Current.Import"}, {**energy(0), "value": " "}):
        assert await charger.call("MeterValues", meter_values(tx, odd, {**energy(1700), "location": "Outlet"})) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 700
    assert await csms.metric("ocpp_cp_current_a", **AT) is None


async def test_a_number_in_exponents(csms, charger, tx):
    """`"2e+01"`"""
    current = {"value": "2e+01", "measurand": "Current.Import", "unit": "A"}
    assert await charger.call("MeterValues", meter_values(tx, current, {**energy(0), "value": "1.7e3"})) == {}
    assert await csms.metric("ocpp_cp_current_a", **AT) == 20
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 700


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda word: f" {word}", lambda word: word])
@pytest.mark.parametrize("measurand", ["Current.Import", "Current.import"])
async def test_measurand_in_another_case(csms, charger, tx, change, measurand):
    """measurand, phase, location or context in another case (`Current.import`)"""
    ampere = {"value": "16", "measurand": change(measurand), "phase": change("L1"), "location": change("Outlet")}
    inlet = {"value": "99", "measurand": change(measurand), "phase": change("L1"), "location": change("Inlet")}
    begin = {**energy(9000), "context": change("Transaction.Begin")}
    told = meter_values(
        tx, inlet, ampere, begin, {**energy(1700), "measurand": change("Energy.Active.Import.Register")}
    )
    assert await charger.call("MeterValues", told) == {}
    assert await csms.metric("ocpp_cp_current_a", **AT) == 16
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 700


async def test_measurand_in_another_case_over_2_x(csms):
    """measurand, phase, location or context in another case (`Current.import`)"""
    async with csms.charger("CS1", subprotocols=[Subprotocol("ocpp2.0.1")]) as station:
        ampere = {"value": 16, "measurand": "current.IMPORT", "phase": "l1"}
        begin = register(1000, "transaction.begin")
        assert await station.call("TransactionEvent", event("Started", 0, begin)) == {}
        lower = register(1700) | {"measurand": "energy.active.import.register"}
        assert await station.call("TransactionEvent", event("Updated", 1, lower, ampere, minute=1)) == {}
    assert await csms.metric("ocpp_cp_current_a", cp_id="CS1", connector_id="1") == 16
    assert await csms.metric("ocpp_tx_energy_wh", cp_id="CS1", connector_id="1") == 700


async def test_empty_sampled_value(csms, charger, tx):
    """empty `sampledValue`"""
    await charger.call("MeterValues", meter_values(tx, energy(1700)))
    assert await charger.call("MeterValues", meter_values(tx)) == {}
    assert await charger.call("MeterValues", {"connectorId": 1, "transactionId": tx, "meterValue": []}) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 700


async def test_serial_numbers_too_long(csms, charger):
    """serial numbers too long"""
    told = {**BOOT, "chargePointSerialNumber": "S" * 60, "meterSerialNumber": "M" * 60, "iccid": "8" * 40}
    assert (await charger.call("BootNotification", told))["status"] == "Accepted"
    assert csms.central.fleet.charge_points["CP1"].serial_number == "S" * 60
    assert await csms.metric("ocpp_cp_boots_total", cp_id="CP1") == 1


async def test_reservation_id_0(csms, charger):
    """`reservationId: 0`"""
    started = await charger.call("StartTransaction", {**START, "reservationId": 0})
    assert started["idTagInfo"]["status"] == "Accepted"
    assert await csms.metric("ocpp_tx_active", **AT) == 1


@pytest.mark.parametrize("id_tag", ["X" * 40, "\x00\x00\x00\x00", "\ud83d\ufffd??", 4711, ""])
async def test_an_id_tag_corrupted_or_too_long_on_stop_transaction(csms, charger, tx, id_tag):
    """an idTag corrupted or too long on StopTransaction"""
    answer = await charger.call("StopTransaction", stop(tx, idTag=id_tag))
    assert set(answer) <= {"idTagInfo"}
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
    assert await csms.metric("ocpp_tx_active", **AT) == 0
    await csms.durable()
    assert (await csms.store.transactions())[0].id_token == "TAG1"


async def test_a_blocked_id_tag_on_stop_transaction_still_ends_it(csms, charger, tx):
    """an idTag corrupted or too long on StopTransaction"""
    await csms.store.add_id_tag(IdTag(id_token="TAG1", status="Blocked"))
    answer = await charger.call("StopTransaction", stop(tx, idTag="TAG1"))
    assert answer["idTagInfo"]["status"] == "Blocked"
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_unknown_vendor_error_codes(csms, charger):
    """unknown vendor error codes"""
    for number in range(30):
        told = {"connectorId": 1, "status": "Faulted", "errorCode": f"E-{number}", "vendorErrorCode": "0x17" * 20}
        assert await charger.call("StatusNotification", told) == {}
    lines = [line for line in await csms.lines("ocpp_cp_errors_total") if not line.startswith("#")]
    assert len(lines) == 21
    assert await csms.metric("ocpp_cp_errors_total", cp_id="CP1", error_type="E-0") == 1
    assert await csms.metric("ocpp_cp_errors_total", cp_id="CP1", error_type="other") == 10


async def test_never_allocate_by_a_number_a_charger_sends(csms, charger):
    """`NumberOfConnectors` = 1634030126 (never allocate by a number a charger sends)"""
    many = {"key": "NumberOfConnectors", "value": "1634030126", "readonly": True}
    assert await charger.call("DataTransfer", {"vendorId": "acme", "data": str(many)}) == {"status": "UnknownVendorId"}
    for number in (1634030126, *range(1, 200)):
        told = {"connectorId": number, "status": "Available", "errorCode": "NoError"}
        assert await charger.call("StatusNotification", told) == {}
    lines = [line for line in await csms.lines("ocpp_connector_status") if not line.startswith("#")]
    assert len(lines) == 65
    assert await csms.metric("ocpp_connector_status", cp_id="CP1", connector_id="other") == 0


async def test_ids_that_are_never_the_same_twice(csms):
    """connector and transaction ids that are never the same twice"""
    told, kept = 150, MAX_CONNECTORS + 1
    async with csms.charger("CS1", subprotocols=[Subprotocol("ocpp2.0.1")]) as station:
        for number in range(told):
            called = event("Updated", 0, register(1000), transaction_id=f"T{number}", evse_id=number + 1)
            assert await station.call("TransactionEvent", called) == {}
    await csms.restart()
    active = [line for line in await csms.lines("ocpp_tx_active") if not line.startswith("#")]
    assert len(active) == kept
    assert len(csms.central.fleet.charge_points["CS1"].transactions) == kept + MAX_UNENDED
    assert await csms.metric("ocpp_tx_total", cp_id="CS1") == told
    assert (
        await csms.metric("ocpp_cp_limits_exceeded_total", cp_id="CS1", limit="transactions")
        == told - kept - MAX_UNENDED
    )
    beyond = await csms.metric("ocpp_cp_limits_exceeded_total", cp_id="CS1", limit="connectors")
    assert beyond == told - MAX_CONNECTORS
