"""How connections of real chargers live and die. Each docstring has the words of docs/quirks.md."""

import asyncio
import json

import pytest
from websockets.typing import Subprotocol

from support.chargers import BOOT, START, energy, meter_values, status
from support.raw import PING, PONG
from support.waiting import eventually
from wattspan.settings import Settings
from wattspan.versions import VERSIONS

MINUTE_S = 60


async def test_a_charger_that_closes_after_silence_is_kept_by_our_pings(make_csms):
    """closes after 110 s of silence while the heartbeat is 3600 s"""
    assert 0 < Settings().ping_interval_s < 110
    csms = await make_csms(ping_interval_s=0.02)
    async with csms.raw_charger() as charger:
        for _ in range(3):  # it says nothing all the while
            frame = await charger.read()
            assert frame.opcode == PING
            charger.write(frame.data, PONG)


async def test_pings_can_be_left_out(make_csms):
    """dislikes pings (make them configurable)"""
    csms = await make_csms(ping_interval_s=0)
    async with csms.raw_charger() as charger:
        (connection,) = csms.central._gateway._ports.connections()
        assert connection.keepalive_task is connection.ping_timer is None
        charger.write(b'[2,"x","Heartbeat",{}]')
        assert json.loads((await charger.read()).data)[0] == 3


@pytest.mark.parametrize("minutes", [6, 19])
async def test_a_session_outlives_the_minutes_until_it_redials(timed, clock, minutes):
    """redials after 6-19 minutes"""
    async with timed.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", {**START, "timestamp": clock.at(0)}))["transactionId"]
        charger.vanish()
        await timed.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    assert await timed.metric("ocpp_tx_active", cp_id="CP1", connector_id="1") == 1
    clock.be_at(minutes * MINUTE_S)
    async with timed.charger("CP1") as charger:
        stop = {"transactionId": tx, "meterStop": 2000, "timestamp": clock.at(minutes * MINUTE_S)}
        await charger.call("StopTransaction", stop)
        assert await timed.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 1000
        assert await timed.metric("ocpp_tx_duration_seconds_sum") == minutes * MINUTE_S
        assert await timed.metric("ocpp_cp_reconnect_during_tx_total", cp_id="CP1") == 1


async def test_no_boot_notification_after_a_reconnect(make_csms):
    """never sends BootNotification after a reconnect (accept messages before it; ask with TriggerMessage)"""
    csms = await make_csms(plugins=["orphans", "ask_boot"])
    async with csms.charger("CP1") as charger:
        await charger.call("StatusNotification", status("Available"))
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, energy(1500)))
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="1") == 500
        asked = await charger.expect("TriggerMessage")
        assert asked[3] == {"requestedMessage": "BootNotification"}
        await charger.reply(asked, {"status": "Accepted"})
        await charger.call("BootNotification", BOOT)
    async with csms.charger("CP1") as charger:
        for _ in range(2):
            await charger.call("Heartbeat")
        assert charger.unread == []  # who it is, is known from the last time
    assert await csms.metric("ocpp_cp_boots_total", cp_id="CP1") == 1


async def test_a_charger_that_can_not_be_triggered_is_asked_once_a_connection(make_csms):
    """never sends BootNotification after a reconnect (accept messages before it; ask with TriggerMessage)"""
    csms = await make_csms(plugins=["ask_boot"])
    for _ in range(2):
        async with csms.charger("CP1") as charger:
            await charger.call("Heartbeat")
            asked = await charger.expect("TriggerMessage")
            await charger.send_raw(json.dumps([4, asked[1], "NotImplemented", "", {}]))
            await charger.call("Heartbeat")
            assert charger.unread == []
    name = "ocpp_central_call_errors_total"
    await csms.becomes(2, name, cp_id="CP1", action="TriggerMessage", error_type="NotImplemented")


@pytest.mark.parametrize("spoken", VERSIONS)
async def test_the_newest_connection_wins_over_a_dead_socket(csms, spoken):
    """a power cut leaves a dead socket while the new one arrives: newest wins, at once, and the old one's clean-up must
    not touch the new one's state
    """
    async with csms.raw_charger(Sec_WebSocket_Protocol=spoken) as dead:
        async with csms.charger("CP1", subprotocols=[Subprotocol(spoken)]) as charger:
            assert await charger.call("Heartbeat")
            dead.writer.transport.abort()
            await csms.becomes(1, "ocpp_cp_disconnects_total", cp_id="CP1")
            assert await csms.metric("ocpp_cp_connected", cp_id="CP1") == 1
            assert await charger.call("Heartbeat")
        await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")


async def test_a_backlog_after_an_outage_is_taken_whole(csms):
    """backlog replay after an outage looks like an attack: it is data"""
    async with csms.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        sent = [await charger.send("MeterValues", backlogged(tx, number)) for number in range(1000)]
        assert [(await charger.expect())[:2] for _ in sent] == [[3, message_id] for message_id in sent]
        assert await csms.metric("ocpp_tx_energy_wh", cp_id="CP1", connector_id="1") == 9990
    await csms.durable()
    (transaction,) = await csms.store.transactions()
    assert len(await csms.store.readings(transaction.number)) == 1000


def backlogged(tx: int, number: int) -> dict[str, object]:
    told_at = f"2026-11-21T10:{number // 60:02}:{number % 60:02}Z"
    value = {"timestamp": told_at, "sampledValue": [energy(1000 + 10 * number)]}
    return {"connectorId": 1, "transactionId": tx, "meterValue": [value]}


async def test_a_backlog_does_not_hold_up_the_others(csms):
    """backlog replay after an outage looks like an attack: it is data"""
    async with csms.charger("CP1") as charger, csms.charger("CP2") as other:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        flood = asyncio.create_task(_flood(charger, tx))
        for _ in range(10):
            assert await other.call("Heartbeat")
        sent = await flood
        await eventually(lambda: csms.metric("ocpp_central_messages_total", direction="in", message_type="MeterValues"))
        assert [(await charger.expect())[1] for _ in sent] == sent


async def _flood(charger, tx: int) -> list[str]:
    return [await charger.send("MeterValues", backlogged(tx, number)) for number in range(300)]
