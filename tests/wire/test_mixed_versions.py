"""Chargers that negotiate 2.x and then send what only 1.6 has, or in its shape: counted, and no fact is lost."""

import pytest

from support.chargers import BOOT, START, CallErrorReceived, energy, meter_values, status, stop

LATER = ["ocpp2.0.1", "ocpp2.1"]


@pytest.mark.parametrize("subprotocol", LATER)
async def test_a_whole_session_told_in_1_6_over_a_later_subprotocol(csms, subprotocol):
    """chargers.md: "2.0.1 negotiated and 1.6-shaped messages sent"."""
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"
        assert (await charger.call("Authorize", {"idTag": "TAG1"}))["idTagInfo"]["status"] == "Accepted"
        assert await charger.call("StatusNotification", status("Preparing")) == {}
        transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("MeterValues", meter_values(transaction_id, energy(3000)))
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="1") == 2000
        await charger.call("StatusNotification", status("Charging"))
        assert await csms.metric("ocpp_connector_status", cp_id="CP1", connector_id="1") == 2
        await charger.call("StopTransaction", stop(transaction_id, 8500))
        await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
    assert await csms.counts("ocpp_cp_errors_total", "error_type", cp_id="CP1") == {"GroundFailure": 1}
    assert await csms.counts("ocpp_cp_mixed_version_messages_total", "action", cp_id="CP1") == {
        "Authorize": 1,
        "BootNotification": 1,
        "MeterValues": 1,
        "StartTransaction": 1,
        "StatusNotification": 3,
        "StopTransaction": 1,
    }
    assert await csms.lines("ocpp_cp_schema_faults_total") == []
    (info,) = [line for line in await csms.lines("ocpp_cp_info") if line.startswith("ocpp_cp_info{")]
    assert 'vendor="Acme",model="One"' in info
    await csms.durable()
    await csms.restart()
    labels = {"cp_id": "CP1", "action": "StatusNotification"}
    assert await csms.metric("ocpp_cp_mixed_version_messages_total", **labels) == 3


async def test_messages_of_the_negotiated_version_are_not_taken_for_older_ones_however_broken(csms):
    async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as charger:
        broken = {"evseId": 1, "connectorId": 1, "connectorStatus": "Sleepy", "timestamp": "now", "status": "Charging"}
        await charger.call("StatusNotification", broken)
        await charger.call("MeterValues", {"evseId": "1", "connectorId": 1, "meterValue": []})
        with pytest.raises(CallErrorReceived, match="NotImplemented"):
            await charger.call("Nonsense", {})
    assert await csms.lines("ocpp_cp_mixed_version_messages_total") == []
    assert await csms.counts("ocpp_cp_schema_faults_total", "action", cp_id="CP1") == {
        "MeterValues": 1,
        "StatusNotification": 1,
    }


async def test_strict_mode_knows_but_the_negotiated_version(make_csms):
    csms = await make_csms(strict=True)
    async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as charger:
        with pytest.raises(CallErrorReceived, match="NotImplemented"):
            await charger.call("StartTransaction", START)
        with pytest.raises(CallErrorReceived, match="Violation"):
            await charger.call("BootNotification", BOOT)
    assert await csms.lines("ocpp_cp_mixed_version_messages_total", "ocpp_tx_total") == [
        "# TYPE ocpp_tx_total counter",
        'ocpp_tx_total{cp_id="CP1"} 0',
    ]
