"""Messages that arrived before a connection was lost are processed, though nobody reads the answers."""

import asyncio
import json
import socket
import struct

import pytest

from support.chargers import START, stop
from support.raw import CLOSE, masked
from support.waiting import eventually

METER = {"connectorId": 1, "transactionId": 1, "meterValue": []}


def frames(*calls: tuple[str, dict]) -> bytes:
    return b"".join(masked(json.dumps([2, str(n), action, sent]).encode()) for n, (action, sent) in enumerate(calls))


def reset(charger) -> None:
    """Close the TCP connection with RST."""
    charger.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    charger.writer.transport.abort()


def close(charger) -> None:
    charger.writer.write(masked(struct.pack("!H", 1000), CLOSE))
    charger.writer.close()


@pytest.mark.parametrize("leave", [reset, close, lambda charger: charger.writer.close()], ids=["reset", "close", "fin"])
async def test_a_stop_that_was_sent_right_before_the_connection_was_lost_is_stored(csms, leave):
    """At Reset.req (Hard), some chargers write StopTransaction and restart without waiting for the answer."""
    for number in range(8):
        cp_id = f"CP{number}"
        async with csms.raw_charger(f"/ws/{cp_id}") as charger:
            charger.write(json.dumps([2, "s", "StartTransaction", START]).encode())
            transaction_id = json.loads((await charger.read()).data)[2]["transactionId"]
            meter = ("MeterValues", {**METER, "transactionId": transaction_id})
            charger.writer.write(frames(*[meter] * 5, ("StopTransaction", stop(transaction_id)), ("Heartbeat", {})))
            await charger.writer.drain()
            leave(charger)
        await csms.becomes(7500, "ocpp_cp_energy_total_wh", cp_id=cp_id)
        await csms.becomes(0, "ocpp_cp_connected", cp_id=cp_id)


async def test_many_messages_before_a_close_are_all_processed_and_the_disconnection_comes_after_them(csms):
    seen: list[str] = []
    plugins = csms.central._core.plugins
    publish = plugins.publish
    plugins.publish = lambda event: (seen.append(type(event).__name__), publish(event))[1]
    async with csms.raw_charger() as charger:
        charger.write(json.dumps([2, "s", "StartTransaction", START]).encode())
        await charger.read()
        calls = [
            ("StatusNotification", {"connectorId": n, "status": "Available", "errorCode": "NoError"})
            for n in range(300)
        ]
        charger.writer.write(frames(*calls, ("StopTransaction", stop(1))))
        await charger.writer.drain()
        charger.writer.close()
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")
    await csms.becomes(7500, "ocpp_cp_energy_total_wh", cp_id="CP1")
    assert len(seen) > 300
    assert seen[-1] == "ChargePointDisconnected"


async def test_what_a_replaced_connection_had_sent_is_stored(csms):
    async with csms.raw_charger() as old:
        old.write(json.dumps([2, "s", "StartTransaction", START]).encode())
        await old.read()
        old.writer.write(frames(*[("MeterValues", METER)] * 20, ("StopTransaction", stop(1))))
        await old.writer.drain()
        async with csms.charger("CP1") as charger:
            await charger.call("Heartbeat")
            await csms.becomes(7500, "ocpp_cp_energy_total_wh", cp_id="CP1")
            assert await csms.metric("ocpp_cp_connected", cp_id="CP1") == 1


async def test_a_charger_that_is_back_before_its_old_messages_are_processed_stays_connected(csms):
    async with csms.raw_charger() as charger:
        charger.writer.write(
            frames(*[("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"})] * 30)
        )
        await charger.writer.drain()
        reset(charger)
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")

        async def ended() -> bool:
            return not csms.central._gateway._finishing

        await eventually(ended)
        await asyncio.sleep(0)
        assert await csms.metric("ocpp_cp_connected", cp_id="CP1") == 1
