"""Transactions of 2.x that a station may have lost in a reboot: it is asked, and they are closed if it has."""

from contextlib import AsyncExitStack

import pytest
from websockets.typing import Subprotocol

from support.central import Csms
from support.databases import BACKENDS
from support.stations import BOOT_2X, event, register, status_2x
from wattspan.csms.plugins.orphans import CloseOrphans
from wattspan.csms.plugins.transaction_status import MAX_ASKED_AT_ONCE, MAX_ROUNDS

AT = {"cp_id": "CP1", "connector_id": "1"}
OF = {"cp_id": "CP1"}
ASKED = "GetTransactionStatus"
LOST = {"ongoingIndicator": False, "messagesInQueue": False}
QUEUED = {"ongoingIndicator": False, "messagesInQueue": True}


def station(csms, version="ocpp2.0.1"):
    return csms.charger("CP1", subprotocols=[Subprotocol(version)])


async def begin(connected, transaction_id: str = "T-1", evse_id: int = 1) -> None:
    """A transaction of 2,000 Wh so far."""
    start = event("Started", 0, register(1000, "Transaction.Begin"), transaction_id=transaction_id, evse_id=evse_id)
    await connected.call("TransactionEvent", start)
    update = event("Updated", 1, register(3000), minute=5, transaction_id=transaction_id, evse_id=evse_id)
    await connected.call("TransactionEvent", update)


async def refused(connected, command: list[object], code: str) -> None:
    await connected.send_raw(f'[4, "{command[1]}", "{code}", "", {{}}]')


@pytest.fixture(params=BACKENDS)
async def csms(request, tmp_path):
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").empty()
    csms = Csms(tmp_path / "fleet.db", url=url, plugins=[CloseOrphans(ask_again_s=0.01)])
    await csms.start()
    yield csms
    await csms.stop()


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
async def test_a_transaction_that_a_station_forgot_is_closed_as_it_answers(csms, version):
    async with station(csms, version) as connected:
        await begin(connected)
        await csms.durable()
        connected.vanish()
    await csms.stop()
    csms._plugins = None
    await csms.start()
    async with station(csms, version) as connected:
        message_id = await connected.send("BootNotification", BOOT_2X)
        frames = [await connected.expect(), await connected.expect()]
        assert [frame[0] for frame in frames] == [3, 2], "the boot is answered before the station is asked"
        assert frames[0][1] == message_id
        assert frames[1][2:] == [ASKED, {"transactionId": "T-1"}]
        await connected.reply(frames[1], LOST)
        await csms.becomes(0, "ocpp_tx_active", **AT)
        assert await csms.metric("ocpp_cp_energy_total_wh", **OF) == 2000
        await csms.durable()
        (kept,) = await csms.store.transactions()
        assert (kept.open, kept.reason) == (False, "Orphaned")
        for _ in range(2):
            await connected.call("TransactionEvent", event("Ended", 2, register(4000, "Transaction.End"), minute=9))
        assert await csms.metric("ocpp_cp_energy_total_wh", **OF) == 3000
        assert await csms.metric("ocpp_tx_total", **OF) == 1


@pytest.mark.parametrize(
    "answer", [{"ongoingIndicator": True, "messagesInQueue": False}, {"messagesInQueue": False}, {}], ids=str
)
async def test_a_transaction_that_goes_on_or_that_it_says_nothing_of_stays_open(csms, answer):
    async with station(csms) as connected:
        await begin(connected)
        await connected.call("BootNotification", BOOT_2X)
        await connected.reply(await connected.expect(ASKED), answer)
        await connected.call("TransactionEvent", event("Updated", 2, register(4000), minute=9))
        assert await csms.metric("ocpp_tx_active", **AT) == 1
        await connected.call("BootNotification", BOOT_2X)
        await connected.expect(ASKED)


@pytest.mark.parametrize("code", ["NotSupported", "NotImplemented", "InternalError"])
async def test_a_station_that_refuses_the_question_keeps_its_transactions(csms, code):
    async with station(csms) as connected:
        await begin(connected)
        await begin(connected, "T-2", 2)
        await connected.call("BootNotification", BOOT_2X)
        await refused(connected, await connected.expect(ASKED), code)
        await connected.call("Heartbeat")
        assert connected.unread == [], "it is not asked about the other one"
        assert await csms.metric("ocpp_tx_active", **AT) == 1


async def test_a_station_that_does_not_answer_keeps_its_transactions(make_csms):
    csms = await make_csms(command_timeout_s=0.05)
    async with station(csms) as connected:
        await begin(connected)
        await connected.call("BootNotification", BOOT_2X)
        await connected.expect(ASKED)
        await csms.becomes(1, "ocpp_central_call_errors_total", cp_id="CP1", action=ASKED, error_type="Timeout")
        assert await csms.metric("ocpp_tx_active", **AT) == 1


async def test_messages_that_are_still_queued_come_first(csms):
    async with station(csms) as connected:
        await begin(connected)
        await begin(connected, "T-2", 2)
        await connected.call("BootNotification", BOOT_2X)
        for _ in range(2):
            for _ in range(2):
                await connected.reply(await connected.expect(ASKED), QUEUED)
        await connected.call(
            "TransactionEvent", event("Ended", 2, register(5000, "Transaction.End"), minute=9, offline=True)
        )
        asked = await connected.expect(ASKED)
        while asked[3] != {"transactionId": "T-2"}:  # asked before the end arrived
            await connected.reply(asked, QUEUED)
            asked = await connected.expect(ASKED)
        await connected.reply(asked, LOST)
        await csms.becomes(0, "ocpp_tx_active", cp_id="CP1", connector_id="2")
        assert await csms.metric("ocpp_cp_energy_total_wh", **OF) == 4000 + 2000
        await csms.durable()
        second, first = await csms.store.transactions()
        assert (first.reason, second.reason) == ("Local", "Orphaned")


async def test_a_question_does_not_hold_up_traffic(csms):
    async with station(csms) as connected:
        await begin(connected)
        await connected.call("BootNotification", BOOT_2X)
        asked = await connected.expect(ASKED)
        for word in ("Occupied", "Available"):
            assert await connected.call("StatusNotification", status_2x(word)) == {}
        assert await connected.call("TransactionEvent", event("Updated", 2, register(4000), minute=9)) == {}
        await connected.reply(asked, LOST)
        await csms.becomes(0, "ocpp_tx_active", **AT)


async def test_a_question_that_a_lost_connection_cut_off_is_asked_at_the_next_one(tmp_path):
    csms = Csms(tmp_path / "fleet.db", plugins=[CloseOrphans(reconnect_wait_s=0.0)])
    await csms.start()
    try:
        async with station(csms) as connected:
            await begin(connected)
            await connected.call("BootNotification", BOOT_2X)
            await connected.expect(ASKED)
            connected.vanish()
        await csms.becomes(0, "ocpp_cp_connected", **OF)
        async with station(csms) as connected:
            await connected.reply(await connected.expect(ASKED), LOST)
            await csms.becomes(0, "ocpp_tx_active", **AT)
    finally:
        await csms.stop()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(("long_gap_s", "asks"), [(0.0, True), (3600.0, False)])
async def test_a_station_that_was_away_for_long_is_asked_without_a_boot(make_csms, long_gap_s, asks, restarts):
    csms = await make_csms(plugins=[CloseOrphans(long_gap_s=long_gap_s, reconnect_wait_s=0.0)])
    async with station(csms) as connected:
        await begin(connected)
    await csms.becomes(0, "ocpp_cp_connected", **OF)
    if restarts:
        await csms.restart()
    async with station(csms) as connected:
        if asks:
            await connected.reply(await connected.expect(ASKED), LOST)
            await csms.becomes(0, "ocpp_tx_active", **AT)
        else:
            await connected.call("Heartbeat")
            assert connected.unread == []


async def test_a_station_whose_queue_never_empties_is_asked_a_bounded_number_of_times(make_csms):
    csms = await make_csms(plugins=[CloseOrphans(ask_again_s=0.0)])
    async with station(csms) as connected:
        await begin(connected)
        await connected.call("BootNotification", BOOT_2X)
        for _ in range(MAX_ROUNDS):
            await connected.reply(await connected.expect(ASKED), QUEUED)
        await connected.call("Heartbeat")
        await connected.call("Heartbeat")
        assert connected.unread == []
        assert await csms.metric("ocpp_tx_active", **AT) == 1


async def test_a_fleet_that_comes_back_is_asked_in_turns(make_csms):
    csms = await make_csms(command_timeout_s=30)
    async with AsyncExitStack() as stack:
        stations = []
        for number in range(MAX_ASKED_AT_ONCE + 1):
            charger = csms.charger(f"CP{number}", subprotocols=[Subprotocol("ocpp2.0.1")])
            stations.append(await stack.enter_async_context(charger))
            await begin(stations[-1])
        for each in stations:
            await each.call("BootNotification", BOOT_2X)
        *first, last = stations
        asked = [await each.expect(ASKED) for each in first]
        await last.call("Heartbeat")
        assert last.unread == []
        await first[0].reply(asked[0], LOST)
        await last.reply(await last.expect(ASKED), LOST)
        await csms.becomes(0, "ocpp_tx_active", cp_id=f"CP{MAX_ASKED_AT_ONCE}", connector_id="1")
