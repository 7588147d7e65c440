"""Charging sessions of OCPP 2.x stations on real sockets: the same figures as from 1.6."""

import pytest
from websockets.typing import Subprotocol

from support.stations import BOOT_2X, TOKEN, current, event, register, status_2x
from wattspan.domain.model import Transaction
from wattspan.store.store import IdTag
from wattspan.versions import VERSIONS

ENERGY = "ocpp_cp_energy_total_wh"


@pytest.fixture(params=sorted(VERSIONS.keys() - {"ocpp1.6"}))
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


async def test_the_server_restarts_in_mid_session(csms, station):
    """Every figure is back, a repeat is still one, and the session goes on."""
    update = event("Updated", 1, register(3500), current(16.1), minute=10, state="Charging")
    async with station() as cs:
        await cs.call("StatusNotification", status_2x("Occupied"))
        await cs.call("TransactionEvent", event("Started", 0, register(1000), idToken=TOKEN))
        await cs.call("TransactionEvent", update)
    await csms.kill()
    await csms.start()
    assert await csms.metric("ocpp_tx_energy_wh", cp_id="CS1", connector_id="1") == 2500
    assert await csms.metric("ocpp_cp_current_a", cp_id="CS1", connector_id="1") == 16.1
    assert await csms.metric("ocpp_cp_status", cp_id="CS1") == 2
    async with station() as cs:
        await cs.call("TransactionEvent", update)
        await cs.call("TransactionEvent", event("Ended", 2, register(8500), minute=90))
    assert await csms.metric(ENERGY, cp_id="CS1") == 7500
    assert await csms.metric("ocpp_tx_total", cp_id="CS1") == 1
    (kept,) = await csms.store.transactions()
    assert [reading.register_wh for reading in await csms.store.readings(kept.number)] == [1000, 3500, 8500]
    assert (kept.id_token, kept.id_token_type) == ("TAG1", "ISO14443")


async def test_the_messages_of_a_session_are_counted_across_a_crash(csms, station):
    """A message with several readings is one; one about no session is none."""
    several = event("Updated", 1, register(3500), current(16.1), minute=10, state="Charging")
    several["meterValue"] = several["meterValue"] * 2

    def session() -> Transaction:
        (found,) = csms.central.fleet.charge_points["CS1"].transactions.values()
        return found

    async with station() as cs:
        await cs.call("TransactionEvent", event("Started", 0, register(1000), idToken=TOKEN))
        await cs.call("TransactionEvent", several)
        await cs.call("Heartbeat")
        await cs.call("StatusNotification", status_2x("Occupied"))
        assert session().messages == 3
        assert session().sampled
    await csms.kill()
    await csms.start()
    assert session().messages == 3
    assert session().sampled
    async with station() as cs:
        running = session()
        await cs.call("TransactionEvent", event("Ended", 2, register(8500), minute=90))
    assert running.messages == 4


async def test_an_end_that_is_repeated_after_a_restart_counts_once(csms, station):
    ended = event("Ended", 1, register(8500), minute=90)
    async with station() as cs:
        await cs.call("TransactionEvent", event("Started", 0, register(1000)))
        await cs.call("TransactionEvent", ended)
    await csms.restart()
    async with station() as cs:
        assert await cs.call("TransactionEvent", ended) == {}
        assert await cs.call("TransactionEvent", event("Started", 0, register(1000))) == {}
    assert await csms.metric(ENERGY, cp_id="CS1") == 7500
    assert await csms.metric("ocpp_tx_total", cp_id="CS1") == 1
    assert await csms.metric("ocpp_tx_active", cp_id="CS1", connector_id="1") == 0


async def test_an_end_without_a_start_and_the_start_that_comes_later(csms, station):
    """2.0.1 E: what came first makes the transaction known; a start completes it, and adds what it proves."""
    async with station() as cs:
        await cs.call("TransactionEvent", event("Ended", 2, register(8500), minute=90))
        assert await csms.metric(ENERGY, cp_id="CS1") == 0
        await cs.call("TransactionEvent", event("Started", 0, register(1000, "Transaction.Begin"), idToken=TOKEN))
    assert await csms.metric(ENERGY, cp_id="CS1") == 7500
    assert await csms.metric("ocpp_tx_total", cp_id="CS1") == 1


async def test_an_end_that_tells_the_whole_transaction_needs_no_start(csms, station):
    async with station() as cs:
        ended = event("Ended", 2, minute=90)
        ended["meterValue"] = [
            {"timestamp": "2026-11-21T11:30:00Z", "sampledValue": [register(8500, "Transaction.End")]},
            {"timestamp": "2026-11-21T10:00:00Z", "sampledValue": [register(1000, "Transaction.Begin")]},
        ]
        await cs.call("TransactionEvent", ended)
    assert await csms.metric(ENERGY, cp_id="CS1") == 7500


async def test_an_update_without_a_start_is_a_running_transaction(csms, station):
    async with station() as cs:
        await cs.call("TransactionEvent", event("Updated", 3, register(5000), minute=20, state="Charging"))
        assert await csms.metric("ocpp_tx_active", cp_id="CS1", connector_id="1") == 1
        await cs.call("TransactionEvent", event("Updated", 2, register(3000), minute=10))
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CS1", connector_id="1") == 2000
        await cs.call("TransactionEvent", event("Started", 0, register(1000, "Transaction.Begin")))
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CS1", connector_id="1") == 4000
    assert await csms.metric("ocpp_tx_total", cp_id="CS1") == 1


async def test_an_evse_and_a_token_that_are_named_later(csms, station):
    """E: started by authorisation or by plugging in, a transaction learns the rest from an Updated."""
    async with station() as cs:
        assert await cs.call("TransactionEvent", event("Started", 0, evse_id=None)) == {}
        assert await csms.metric("ocpp_tx_active", cp_id="CS1", connector_id="0") == 1
        named = event("Updated", 1, evse_id=2, idToken=TOKEN, reservationId=7, numberOfPhasesUsed=3, cableMaxCurrent=32)
        named["transactionInfo"]["remoteStartId"] = 9
        assert await cs.call("TransactionEvent", named) == {"idTokenInfo": {"status": "Accepted"}}
        assert await csms.metric("ocpp_tx_active", cp_id="CS1", connector_id="0") is None
        assert await csms.metric("ocpp_tx_active", cp_id="CS1", connector_id="2") == 1
    await csms.durable()
    (kept,) = await csms.store.transactions()
    assert (kept.connector_id, kept.id_token, kept.reservation_id) == ("2", "TAG1", 7)
    assert (kept.remote_start_id, kept.phases_used, kept.cable_max_a) == (9, 3, 32)


async def test_a_session_of_days_ago_moves_no_figure_of_now(csms, station):
    """Stored while offline: counted, at the charger's own time, while the EVSE is about something else."""
    days_ago = {"offline": True}
    old = "2026-01-05T10:{:02}:00Z"
    async with station() as cs:
        await cs.call("StatusNotification", status_2x("Available"))
        for seq_no, kind in enumerate(["Started", "Updated", "Ended"]):
            message = event(kind, seq_no, register(1000 + 500 * seq_no), current(32), transaction_id="OLD", **days_ago)
            message["timestamp"] = message["meterValue"][0]["timestamp"] = old.format(seq_no)
            if kind != "Ended":
                message["transactionInfo"]["chargingState"] = "Charging"
            await cs.call("TransactionEvent", message)
            assert await csms.metric("ocpp_cp_status", cp_id="CS1") == 0
            assert await csms.metric("ocpp_cp_current_a", cp_id="CS1", connector_id="1") in (None, 0)
    assert await csms.metric(ENERGY, cp_id="CS1") == 1000
    (kept,) = await csms.store.transactions()
    assert kept.ended_ts == kept.began_ts + 120


async def test_a_late_start_of_the_past_leaves_the_running_transaction_alone(csms, station):
    async with station() as cs:
        await cs.call("TransactionEvent", event("Started", 0, register(9000), transaction_id="NEW"))
        old = event("Started", 0, register(1000), transaction_id="OLD", offline=True)
        old["timestamp"] = "2026-01-05T10:00:00Z"
        await cs.call("TransactionEvent", old)
        await cs.call("TransactionEvent", event("Updated", 1, register(9500), minute=1, transaction_id="NEW"))
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CS1", connector_id="1") == 500
    assert await csms.metric("ocpp_tx_total", cp_id="CS1") == 2


async def test_a_station_that_counts_anew_or_not_at_all_loses_nothing(csms, station):
    async with station() as cs:
        await cs.call("TransactionEvent", event("Started", 0, register(1000)))
        await cs.call("TransactionEvent", event("Updated", 0, register(2000), minute=1))
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CS1", connector_id="1") == 1000
        await cs.call("TransactionEvent", event("Ended", 0, register(3000), minute=2))
    assert await csms.metric(ENERGY, cp_id="CS1") == 2000


async def test_a_boot_in_mid_session_ends_no_session(csms, station):
    """2.x: the station goes on with it, or ends it itself."""
    async with station() as cs:
        await cs.call("TransactionEvent", event("Started", 0, register(1000)))
    async with station() as cs:
        await cs.call("BootNotification", BOOT_2X)
        assert await csms.metric("ocpp_tx_active", cp_id="CS1", connector_id="1") == 1
        assert await csms.metric("ocpp_cp_reconnect_during_tx_total", cp_id="CS1") == 1
        lost = event("Ended", 1, register(2000), minute=5, info={"stoppedReason": "PowerLoss"})
        await cs.call("TransactionEvent", lost)
    assert await csms.metric(ENERGY, cp_id="CS1") == 1000


async def test_messages_that_never_came_are_counted_and_told_when_the_session_ends(csms, station):
    missed = {"cp_id": "CS1", "action": "TransactionEvent"}
    async with station() as cs:
        await cs.call("TransactionEvent", event("Started", 0, register(1000)))
        await cs.call("TransactionEvent", event("Updated", 3, register(1300), minute=3))
        await cs.call("TransactionEvent", event("Updated", 2, register(1200), minute=2))  # late is not missing
        assert await csms.metric("ocpp_cp_missed_messages_total", **missed) is None
        await cs.call("TransactionEvent", event("Ended", 6, register(2000), minute=6))
    assert await csms.metric("ocpp_cp_missed_messages_total", **missed) == 3
    (session,) = await csms.store.transactions()
    told = [moment.attributes for moment in session.timeline if moment.name == "messages missing"]
    assert told == [{"ocpp.messages_missing": 3}]


async def test_faulted_without_a_code_is_an_error(csms, station):
    async with station() as cs:
        await cs.call("StatusNotification", status_2x("Faulted"))
        assert await csms.metric("ocpp_cp_errors_total", cp_id="CS1", error_type="OtherError") == 1
        assert await csms.metric("ocpp_cp_status", cp_id="CS1") == 8


@pytest.mark.parametrize("first", ["StatusNotification", "NotifyEvent"])
async def test_a_fault_whose_kind_is_told_beside_it_counts_once(csms, station, first):
    problem = {
        "generatedAt": "2026-11-21T10:00:00Z",
        "seqNo": 0,
        "eventData": [
            {
                "eventId": 1,
                "timestamp": "2026-11-21T10:00:00Z",
                "trigger": "Alerting",
                "actualValue": "true",
                "eventNotificationType": "HardWiredNotification",
                "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
                "variable": {"name": "Problem"},
            }
        ],
    }
    told = {"StatusNotification": status_2x("Faulted"), "NotifyEvent": problem}
    async with station() as cs:
        await cs.call("StatusNotification", status_2x("Available"))
        for _ in range(2):
            for action in sorted(told, key=lambda action: action != first):
                await cs.call(action, told[action])
            for action, payload in told.items():  # again while it stands, as after a reconnect
                await cs.call(action, payload)
            assert csms.central.fleet.charge_points["CS1"].connectors["1"].error_code == "Problem"
            await cs.call("StatusNotification", status_2x("Available"))
            csms.central.fleet.charge_points["CS1"].connectors["1"].problem = None  # a minute passes
        kind = "OtherError" if first == "StatusNotification" else "Problem"
        assert await csms.counts("ocpp_cp_errors_total", "error_type", cp_id="CS1") == {kind: 2}
        await cs.call(
            "NotifyEvent", {**problem, "eventData": [problem["eventData"][0] | {"variable": {"name": "Tripped"}}]}
        )
        assert await csms.metric("ocpp_cp_errors_total", cp_id="CS1", error_type="Tripped") == 1


async def test_a_vehicle_contract_that_nobody_can_check_is_not_accepted(csms, station):
    """2.0.1 C07.FR.17: a chain that can't be verified; no certificate authority is configured."""
    async with station() as cs:
        plain = await cs.call("Authorize", {"idToken": {"idToken": "DE8AA1A2B3C4D59", "type": "eMAID"}})
        assert plain == {"idTokenInfo": {"status": "Accepted"}}
        asked = {"idToken": {"idToken": "DE8AA1A2B3C4D59", "type": "eMAID"}, "certificate": "-----BEGIN"}
        answer = await cs.call("Authorize", asked)
    assert answer == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}


async def test_what_is_on_file_of_a_token_is_answered(make_csms):
    csms = await make_csms(unknown_id_tags="refuse")
    await csms.store.add_id_tag(
        IdTag(id_token="Tag1", type="ISO14443", parent="GROUP", evse_ids=(2,), max_active_transactions=1)
    )

    async def ask(cs, action="Authorize", **token):
        return (await cs.call(action, {"idToken": {"idToken": "TAG1", "type": "ISO14443"} | token}))["idTokenInfo"]

    async with csms.charger("CS1", subprotocols=[Subprotocol("ocpp2.0.1")]) as cs:
        group = {"groupIdToken": {"idToken": "GROUP", "type": "Central"}, "evseId": [2]}
        assert await ask(cs) == {"status": "Accepted"} | group
        assert await ask(cs, type="KeyCode") == {"status": "Unknown"}
        assert await ask(cs, idToken="TAG9") == {"status": "Unknown"}
        assert await ask(cs, idToken="", type="NoAuthorization") == {"status": "Accepted"}
        here = await cs.call("TransactionEvent", event("Started", 0, transaction_id="A", evse_id=1, idToken=TOKEN))
        assert here["idTokenInfo"]["status"] == "NotAtThisLocation"
        await cs.call("TransactionEvent", event("Ended", 1, transaction_id="A", evse_id=1))
        there = event("Started", 0, transaction_id="B", evse_id=2, idToken=TOKEN)
        assert (await cs.call("TransactionEvent", there))["idTokenInfo"]["status"] == "Accepted"
        assert (await cs.call("TransactionEvent", there))["idTokenInfo"]["status"] == "Accepted"
        other = event("Started", 0, transaction_id="C", evse_id=2, idToken={"idToken": "tag1", "type": "ISO14443"})
        assert (await cs.call("TransactionEvent", other))["idTokenInfo"]["status"] == "ConcurrentTx"
