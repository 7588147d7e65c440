"""Charging sessions of OCPP 2.x stations on real sockets: the same figures as from 1.6."""

import pytest
from websockets.typing import Subprotocol

from support.stations import BOOT_2X, TOKEN, current, event, register, status_2x

VERSIONS = ["ocpp2.0.1"]


@pytest.fixture(params=VERSIONS)
def station(request, csms):
    """Makes connections that speak the version."""
    return lambda cp_id="CS1": csms.charger(cp_id, subprotocols=[Subprotocol(request.param)])


async def test_a_session_from_boot_to_end(csms, station):
    async with station() as cs:
        assert (await cs.call("BootNotification", BOOT_2X))["status"] == "Accepted"
        assert await cs.call("StatusNotification", status_2x("Available")) == {}
        assert await cs.call("StatusNotification", status_2x("Occupied")) == {}
        assert await csms.metric("ocpp_cp_status", cp_id="CS1") == 1
        began = event("Started", 0, register(1000, "Transaction.Begin"), idToken=TOKEN, state="EVConnected")
        assert await cs.call("TransactionEvent", began) == {"idTokenInfo": {"status": "Accepted"}}
        assert await csms.metric("ocpp_tx_active", cp_id="CS1", connector_id="1") == 1
        update = event("Updated", 1, register(3500), current(16.1), minute=10, state="Charging")
        assert await cs.call("TransactionEvent", update) == {}
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CS1", connector_id="1") == 2500
        assert await csms.metric("ocpp_cp_current_a", cp_id="CS1", connector_id="1") == 16.1
        assert await csms.metric("ocpp_cp_status", cp_id="CS1") == 2
        ended = event(
            "Ended", 2, register(8500, "Transaction.End"), minute=90, info={"stoppedReason": "EVDisconnected"}
        )
        assert await cs.call("TransactionEvent", ended) == {}
        assert await csms.metric("ocpp_cp_status", cp_id="CS1") == 5
        assert await cs.call("StatusNotification", status_2x("Available")) == {}
    assert await csms.metric("ocpp_cp_status", cp_id="CS1") == 0
    assert await csms.metric("ocpp_tx_active", cp_id="CS1", connector_id="1") == 0
    assert await csms.metric("ocpp_tx_energy_wh", cp_id="CS1", connector_id="1") == 0
    assert await csms.metric("ocpp_cp_current_a", cp_id="CS1", connector_id="1") == 0
    assert await csms.metric("ocpp_tx_total", cp_id="CS1") == 1
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CS1") == 7500
