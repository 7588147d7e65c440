"""One conversation: what may be outstanding, what its end does to that, and whose connection counts."""

import asyncio
import json

import pytest
from ocpp.v16 import call
from ocpp.v16.call import GetConfiguration, Reset
from websockets.exceptions import ConnectionClosed

from support.central import Csms
from support.chargers import START
from support.raw import CLOSE, PING, PONG, masked
from support.waiting import eventually
from wattspan.csms.plugins.base import Plugin
from wattspan.domain.events import ConnectorStatusChanged
from wattspan.errors import CommandInvalid, CommandRefused, ConnectionLost, NotConnected, SettingsError
from wattspan.gateway.connection import _WRITING

SOFT = Reset(type="Soft")


async def test_commands_to_one_charge_point_go_out_one_after_another(csms):
    async with csms.charger("CP1") as charger:
        first, second = (
            asyncio.create_task(csms.central.call("CP1", command)) for command in (SOFT, call.ClearCache())
        )
        command = await charger.expect("Reset")
        await charger.call("Heartbeat")
        assert charger.unread == []
        await charger.reply(command, {"status": "Accepted"})
        assert (await first).accepted
        await charger.reply(await charger.expect("ClearCache"), {"status": "Accepted"})
        assert (await second).accepted


async def test_the_charger_may_call_while_our_command_waits(csms):
    async with csms.charger("CP1") as charger:
        sending = asyncio.create_task(csms.central.call("CP1", SOFT))
        command = await charger.expect("Reset")
        assert (await charger.call("StartTransaction", START))["transactionId"] == 1
        assert not sending.done()
        await charger.reply(command, {"status": "Accepted"})
        assert (await sending).payload == {"status": "Accepted"}


class Asking(Plugin):
    """Asks the charge point back from inside an event, and keeps what it was told."""

    name = "asking"

    def __init__(self) -> None:
        self.told: list[object] = []

    async def start(self, context):
        self._call = context.call

    async def on_event(self, event):
        if isinstance(event, ConnectorStatusChanged):
            self.told.append((await self._call(event.cp_id, GetConfiguration())).payload)


async def test_a_command_from_inside_an_event_waits_for_nobody(make_csms):
    plugin = Asking()
    csms = await make_csms(plugins=[plugin])
    async with csms.charger("CP1") as charger:
        answer = await charger.send(
            "StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"}
        )
        command = await charger.expect("GetConfiguration") if not charger.unread else charger.unread[0]
        if command[0] == 3:  # our answer may come before the command or after it
            command = await charger.expect("GetConfiguration")
        else:
            await charger.answer_to(answer)
        await charger.reply(command, {"configurationKey": []})
        assert await eventually(lambda: plugin.told) == [{"configurationKey": []}]


async def test_an_answer_brought_along_from_the_last_connection_matches_nothing(csms):
    async with csms.charger("CP1") as charger:
        lost = asyncio.create_task(csms.central.call("CP1", SOFT))
        old = await charger.expect("Reset")
    with pytest.raises(ConnectionLost):
        await lost
    async with csms.charger("CP1") as charger:
        sending = asyncio.create_task(csms.central.call("CP1", SOFT))
        command = await charger.expect("Reset")
        await charger.reply(old, {"status": "Rejected"})
        await charger.reply(command, {"status": "Accepted"})
        assert (await sending).accepted


async def test_a_command_answered_with_a_callerror(csms):
    async with csms.charger("CP1") as charger:
        sending = asyncio.create_task(csms.central.call("CP1", SOFT))
        command = await charger.expect("Reset")
        await charger.send_raw(json.dumps([4, command[1], "NotSupported", "no reset", {"a": 1}]))
        with pytest.raises(CommandRefused) as refused:
            await sending
        assert (refused.value.code, refused.value.description, refused.value.details) == (
            "NotSupported",
            "no reset",
            {"a": 1},
        )
        sending = asyncio.create_task(csms.central.call("CP1", SOFT))
        command = await charger.expect("Reset")
        await charger.send_raw(json.dumps([4, command[1]]))
        with pytest.raises(CommandRefused, match="GenericError"):
            await sending


async def test_commands_nobody_can_take_are_not_sent(csms):
    with pytest.raises(NotConnected):
        await csms.central.call("CP9", SOFT)
    assert [line for line in await csms.page() if "CP9" in line] == []
    async with csms.charger("CP1") as charger:
        with pytest.raises(CommandInvalid):
            await csms.central.call("CP1", Reset(type="Softly"))
        with pytest.raises(CommandInvalid):
            await csms.central.commands.send_payload("CP1", "Explode", {})
        await charger.call("Heartbeat")
        assert charger.unread == []


async def test_the_connection_lost_while_commands_wait_is_told_to_all_of_them(csms):
    async with csms.charger("CP1") as charger:
        sending = [asyncio.create_task(csms.central.call("CP1", SOFT)) for _ in range(3)]
        await charger.expect("Reset")
        charger.vanish()
        for result in await asyncio.gather(*sending, return_exceptions=True):
            assert isinstance(result, ConnectionLost)
    name = "ocpp_central_call_errors_total"
    assert await csms.metric(name, cp_id="CP1", action="Reset", error_type="ConnectionLost") == 3


async def test_a_cancelled_command_leaves_the_next_one_alone(csms):
    async with csms.charger("CP1") as charger:
        sending = asyncio.create_task(csms.central.call("CP1", SOFT))
        command = await charger.expect("Reset")
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        following = asyncio.create_task(csms.central.call("CP1", call.ClearCache()))
        await charger.reply(command, {"status": "Accepted"})
        await charger.reply(await charger.expect("ClearCache"), {"status": "Accepted"})
        assert (await following).accepted


async def test_the_newest_connection_wins_at_once_over_a_dead_one(csms):
    """A power cut leaves a socket that nobody closes or reads; its clean-up touches nothing of the new one's."""
    async with csms.raw_charger() as dead:
        dead.write(b'[2,"x","StartTransaction",%s]' % json.dumps(START).encode())
        await dead.read()
        waiting = asyncio.create_task(csms.central.call("CP1", SOFT))
        await dead.read()
        async with csms.charger("CP1") as charger:
            await charger.call("Heartbeat")
            with pytest.raises(ConnectionLost):
                await waiting
            sending = asyncio.create_task(csms.central.call("CP1", SOFT))
            await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
            assert (await sending).accepted
            assert await csms.metric("ocpp_central_sockets") == 2
            assert (await dead.read()).close_code == 1008
            dead.writer.transport.abort()
            await csms.becomes(1, "ocpp_central_sockets")
            assert await csms.metric("ocpp_cp_connected", cp_id="CP1") == 1
            assert await csms.metric("ocpp_cp_disconnects_total", cp_id="CP1") == 1
            assert await csms.metric("ocpp_cp_reconnect_during_tx_total", cp_id="CP1") == 1
            sending = asyncio.create_task(csms.central.call("CP1", SOFT))
            await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
            assert (await sending).accepted


async def test_what_the_replaced_connection_still_sends_is_dropped(csms):
    async with csms.raw_charger() as old, csms.charger("CP1") as charger:
        assert (await old.read()).opcode == CLOSE
        old.write(b'[2,"x","BootNotification",{}]')
        await charger.call("Heartbeat")
        assert await csms.metric("ocpp_cp_boots_total", cp_id="CP1") == 0


async def test_a_shutdown_answers_what_is_under_way_and_closes_1001(csms):
    async with csms.charger("CP1") as charger:
        sent = [await charger.send("StartTransaction", {**START, "connectorId": number}) for number in range(1, 6)]
        await eventually(lambda: csms.metric("ocpp_tx_total", cp_id="CP1"))
        waiting = asyncio.create_task(csms.central.call("CP1", SOFT))
        restarting = asyncio.create_task(csms.restart())
        assert await charger.closed() == 1001
        with pytest.raises(ConnectionLost):
            await waiting
        await restarting
        answered = [frame[1] for frame in charger.unread if frame[0] == 3]
        assert answered == sent[: len(answered)]
        assert answered
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == len(answered)
    assert await csms.metric("ocpp_cp_disconnects_total", cp_id="CP1") == 1


async def test_pings_end_a_connection_that_does_not_answer_them(make_csms, monkeypatch):
    monkeypatch.setattr("wattspan.gateway.ports.CLOSE_TIMEOUT_S", 0.02)
    csms = await make_csms(ping_interval_s=0.02, ping_timeout_s=0.02)
    async with csms.raw_charger() as charger:
        assert (await charger.read()).opcode == PING
        await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")


async def test_pings_leave_a_connection_alone_that_answers_them(make_csms):
    csms = await make_csms(ping_interval_s=0.02, ping_timeout_s=20)
    async with csms.raw_charger() as charger:
        for _ in range(3):
            ping = await charger.read()
            assert ping.opcode == PING
            charger.write(ping.data, opcode=PONG)
        assert await csms.metric("ocpp_cp_connected", cp_id="CP1") == 1


async def test_a_peer_that_sends_and_never_reads_is_held_back_and_bounded(csms):
    """What it has not read is answered no further: the server stops reading, and TCP holds the peer."""
    frame = masked(b'[2,"%s","Heartbeat",{}]' % (b"x" * 200))
    async with csms.raw_charger() as charger:
        charger.writer.transport.pause_reading()
        charger.writer.transport.set_write_buffer_limits(high=0)
        (connection,) = csms.central._gateway._ports.connections()

        async def flood() -> None:
            while True:
                charger.writer.write(frame * 100)
                await charger.writer.drain()

        flooding = asyncio.create_task(flood())
        await eventually(lambda: connection.paused)
        assert connection.transport.get_write_buffer_size() < 2_000_000
        async with csms.charger("CP2") as other:
            assert await other.call("Heartbeat")
        handled = await csms.metric("ocpp_central_messages_total", direction="in", message_type="Heartbeat")
        assert connection._holds & _WRITING
        flooding.cancel()
        charger.writer.transport.resume_reading()

        async def has_read() -> bool:
            await charger.reader.read(1 << 20)
            return not connection.paused and not connection._holds

        await eventually(has_read)
        assert handled > 1


async def test_a_flood_that_waits_for_the_store_stops_being_read(csms, monkeypatch):
    held = []
    monkeypatch.setattr(csms.central.store, "write", lambda batch, done: held.append((batch, done)))
    async with csms.charger("CP1") as charger:
        await eventually(lambda: held)
        for number in range(150):
            await charger.send("StartTransaction", {**START, "meterStart": number})
        (connection,) = csms.central._gateway._ports.connections()
        await eventually(lambda: connection._holds)
        assert len(csms.central._gateway._connections["CP1"].rpc._waiting) <= 150
        monkeypatch.undo()
        for batch, done in held:
            csms.central.store.write(batch, done)
        for _ in range(150):
            assert (await charger.expect())[0] == 3
        assert connection._holds == 0


async def test_a_second_central_system_on_the_same_port_says_so(csms, tmp_path):
    with pytest.raises(SettingsError, match="port"):
        await Csms(tmp_path / "other.db", port=csms.central.port).start()


async def test_frames_after_the_close_are_ignored(csms):
    async with csms.charger("CP1") as charger:
        await charger.socket.close()
        with pytest.raises(ConnectionClosed):
            await charger.send_raw("x")
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")
