"""One peer hurts nobody else: budgets, bounds, and who is closed for exceeding them."""

import asyncio
import json
import threading
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import InvalidStatus

from support.chargers import START, energy, meter_values, stop
from support.raw import CLOSE, CONTINUATION, PING, TEXT, masked
from support.waiting import eventually
from wattspan.domain.energy import EnergyMeter
from wattspan.gateway import connection
from wattspan.ocppj import large, rpc

HEARTBEAT = masked(b'[2,"h","Heartbeat",{}]')
CLOSES = "ocpp_central_limit_closes_total"


async def answered_until(charger, end: asyncio.Task) -> int:
    """How many Heartbeats were answered, one after another, until the task ended."""
    count = 0
    while not end.done():
        await charger.call("Heartbeat")
        count += 1
    return count


async def flood(flooder, frame: bytes) -> int:
    """Send the frame again and again until the server closes; the close code."""
    many = frame * (65_536 // len(frame) + 1)

    async def send() -> None:
        while True:
            flooder.writer.write(many)
            await flooder.writer.drain()

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(30):
            while True:
                frame = await flooder.read()
                if frame.opcode == CLOSE:
                    return frame.close_code
    except (ConnectionError, asyncio.IncompleteReadError):
        return 1006
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize("frame", [masked(b"", PING), HEARTBEAT, masked(b"junk")], ids=["pings", "heartbeats", "junk"])
async def test_a_peer_that_floods_delays_nobody_else_and_is_closed(csms, frame, monkeypatch):
    monkeypatch.setattr(connection, "FLOOD_TURNS", 60)
    async with csms.charger("CP2") as other, csms.raw_charger() as flooder:
        await other.call("Heartbeat")
        flooding = asyncio.create_task(flood(flooder, frame))
        # Each takes a few turns of the event loop, in which the flooder has one. Times: see tests/attack.
        assert await answered_until(other, flooding) >= 10
        assert await flooding in (1008, 1006)
    await csms.becomes(1, CLOSES, reason="flood")


async def test_a_peer_that_sends_much_over_a_long_time_is_closed(csms, monkeypatch):
    monkeypatch.setattr(connection, "FLOOD_BYTES", 1 << 20)
    async with csms.raw_charger() as flooder:
        assert await flood(flooder, masked(b"x" * 60_000)) in (1008, 1006)
    await csms.becomes(1, CLOSES, reason="flood")


async def test_a_backlog_sent_at_once_is_no_flood(make_csms, monkeypatch):
    monkeypatch.setattr(connection, "FLOOD_TURNS", 20)
    csms = await make_csms(ping_interval_s=0)  # the charger answers no pings, however long this takes
    async with csms.raw_charger() as charger:
        calls = [json.dumps([2, str(n), "MeterValues", meter_values(None, energy(n))]).encode() for n in range(1_500)]
        charger.writer.write(b"".join(masked(each) for each in calls))
        answers = [json.loads((await charger.read()).data)[1] for _ in calls]
    assert answers == [str(n) for n in range(1_500)]
    assert await csms.metric(CLOSES, reason="flood") is None


async def test_messages_that_wait_are_few_whatever_they_unpack_to(csms, monkeypatch):
    """250 kB of deflated MeterValues frames cost 2.5 GB when each was unpacked and parsed as it came."""
    most = 0
    wait = rpc.RpcConnection._wait

    def measured(self, data: bytes) -> None:
        nonlocal most
        wait(self, data)
        most = max(most, self._waiting_bytes)

    monkeypatch.setattr(rpc.RpcConnection, "_wait", measured)
    call = json.dumps([2, "x", "MeterValues", meter_values(1, *[energy(1)] * 5_000)]).encode()
    packer = zlib.compressobj(9, wbits=-12)
    packed = packer.compress(call) + packer.flush(zlib.Z_SYNC_FLUSH)
    frame = bytearray(masked(packed[:-4]))
    frame[0] |= 0x40
    later = packer.compress(call) + packer.flush(zlib.Z_SYNC_FLUSH)
    again = bytearray(masked(later[:-4]))
    again[0] |= 0x40
    async with csms.raw_charger(Sec_WebSocket_Extensions="permessage-deflate") as charger, csms.charger("CP2") as other:
        charger.writer.write(bytes(frame) + bytes(again) * 60)
        for _ in range(5):
            await other.call("Heartbeat")
        assert len(await charger.read()) > 0
    assert 0 < most < 4 << 20


async def test_a_peer_that_reads_no_answers_costs_little_and_is_answered_once_it_reads(make_csms, monkeypatch):
    """41 MB of MeterValues without reading the answers cost 2 GB."""
    waiting = unsent = 0
    wait, send_now = rpc.RpcConnection._wait, connection.ChargePointConnection.send_now

    def wait_measured(self, data: bytes) -> None:
        nonlocal waiting
        wait(self, data)
        waiting = max(waiting, self._waiting_bytes)

    def send_measured(self, data: bytes) -> None:
        nonlocal unsent
        send_now(self, data)
        unsent = max(unsent, self.transport.get_write_buffer_size())

    monkeypatch.setattr(rpc.RpcConnection, "_wait", wait_measured)
    monkeypatch.setattr(connection.ChargePointConnection, "send_now", send_measured)
    calls = [json.dumps([2, str(n), "MeterValues", meter_values(None, *[energy(n)] * 20)]) for n in range(3_000)]
    csms = await make_csms(ping_interval_s=0)  # the charger answers no pings, however long this takes
    async with csms.raw_charger() as charger, csms.charger("CP2") as other:
        charger.reader._transport.pause_reading()
        for call in calls:
            charger.write(call.encode())
        await other.call("Heartbeat")
        assert (await csms.get("/readyz")).status_code == 200
        charger.reader._transport.resume_reading()
        answers = [json.loads((await charger.read()).data)[1] for _ in calls]
    assert answers == [str(n) for n in range(3_000)]
    assert waiting < 1 << 20
    assert unsent < 1 << 20


async def test_a_stop_with_a_days_readings_is_stored(csms):
    """5 MB of transactionData: over the limit of 1 MiB it used to end in 1009, again and again."""
    async with csms.charger("CP1", max_size=None) as charger, csms.charger("CP2") as other:
        transaction = (await charger.call("StartTransaction", START))["transactionId"]
        sampled = [{"value": str(2_000 + n), "unit": "Wh", "context": "Sample.Periodic"} for n in range(40)]
        data = [{"timestamp": "2026-11-21T10:30:00Z", "sampledValue": sampled}] * 1_500
        message_id = await charger.send("StopTransaction", stop(transaction, transactionData=data))
        await charger.send("Heartbeat", {})
        await other.call("Heartbeat")
        assert (await charger.expect())[1] == message_id
        assert len((await charger.expect())[2]) == 1
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


def many_values(count: int) -> list[dict]:
    """MeterValues of 10 s each, whose registers rise from 1,001 Wh by 1 Wh."""
    began = datetime.fromisoformat(START["timestamp"])
    return [
        {
            "timestamp": (began + timedelta(seconds=number * 10)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sampledValue": [energy(1_001 + number)],
        }
        for number in range(count)
    ]


@pytest.fixture
def measuring_threads(monkeypatch) -> list[int]:
    """The thread of each reading of a register."""
    threads: list[int] = []
    read = EnergyMeter.read

    def noted(self, *arguments):
        threads.append(threading.get_ident())
        return read(self, *arguments)

    monkeypatch.setattr(EnergyMeter, "read", noted)
    return threads


async def _started(charger) -> int:
    return (await charger.call("StartTransaction", START))["transactionId"]


@pytest.mark.parametrize("is_known", [True, False], ids=["of a transaction", "without a start"])
async def test_the_readings_of_a_large_stop_are_applied_off_the_event_loop(csms, measuring_threads, is_known):
    async with csms.charger("CP1", max_size=None) as charger:
        transaction = await _started(charger) if is_known else 77
        await charger.call("StopTransaction", stop(transaction, 4_000, transactionData=many_values(3_000)))
    assert len(measuring_threads) >= 3_000 - 1
    assert threading.get_ident() not in measuring_threads
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == (3000 if is_known else 2999)


async def test_the_readings_of_large_meter_values_are_applied_off_the_event_loop(csms, measuring_threads):
    async with csms.charger("CP1", max_size=None) as charger:
        transaction = await _started(charger)
        values = {"connectorId": 1, "transactionId": transaction, "meterValue": many_values(3_000)}
        for _ in range(2):  # the second one is a repeat
            await charger.call("MeterValues", values)
        await charger.call("StopTransaction", stop(transaction, 4_000))
    assert len(measuring_threads) == 3_000
    assert threading.get_ident() not in measuring_threads
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 3000


@pytest.mark.parametrize("kind", ["Updated", "Ended"])
@pytest.mark.parametrize("is_known", [True, False], ids=["of a transaction", "without a start"])
async def test_the_readings_of_a_large_transaction_event_are_applied_off_the_event_loop(
    csms, measuring_threads, kind, is_known
):
    def event(number: int, kind: str, **more: object) -> dict:
        return {
            "eventType": kind,
            "timestamp": f"2026-11-21T20:00:{number:02}Z",
            "triggerReason": "MeterValuePeriodic",
            "seqNo": number,
            "transactionInfo": {"transactionId": "T1"},
            "evse": {"id": 1, "connectorId": 1},
            **more,
        }

    values = many_values(4_000)
    for each in values:
        each["sampledValue"] = [{"value": float(each["sampledValue"][0]["value"])}]
    async with csms.charger("CP1", max_size=None, subprotocols=["ocpp2.0.1"]) as charger:
        if is_known:
            await charger.call("TransactionEvent", event(0, "Started"))
        await charger.call("TransactionEvent", event(1, kind, meterValue=values))
        if kind == "Updated":
            await charger.call("TransactionEvent", event(2, "Ended"))
    assert len(measuring_threads) >= 4_000 - 1
    assert threading.get_ident() not in measuring_threads
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 3999


async def test_a_large_stop_repeated_on_a_new_connection_counts_once(csms):
    """The charger loses its connection while the stop is being applied, and sends it again."""
    async with csms.charger("CP1", max_size=None) as charger:
        transaction = await _started(charger)
        large = stop(transaction, 2_500, transactionData=many_values(3_000))
        await charger.send("StopTransaction", large)
        async with csms.charger("CP1", max_size=None) as again:
            await again.call("StopTransaction", large)
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 1500
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1


async def test_a_message_with_too_many_values_is_refused_under_its_own_id(csms, caplog):
    """16 MiB of very short samples: the charger must learn that this message, and no other, was not stored."""
    async with csms.charger("CP1", max_size=None) as charger:
        transaction = await _started(charger)
        short = [{"timestamp": "2026-11-21T10:30:00Z", "sampledValue": [{"value": "1"}]}] * 190_000
        message_id = await charger.send("StopTransaction", stop(transaction, transactionData=short))
        kind, refused_id, _, description, _ = await charger.expect()
        assert (kind, refused_id) == (4, message_id)
        assert description == "the message needs more than 36 MiB of memory when it is parsed"
        assert await charger.call("Heartbeat")
    assert await csms.metric("ocpp_central_unreadable_frames_total") == 1
    assert any("the message needs more than 36 MiB" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("values", "samples", "description"),
    [
        (12_500, 7, "the message has more than 86,400 readings"),
        (1, 20_000, "a MeterValue has more than 1,024 samples"),
    ],
)
async def test_a_message_with_too_many_readings_is_refused(csms, values, samples, description):
    """A sample that repeats begins another reading, which takes far more memory than its text."""
    data = many_values(values)
    for each in data:
        each["sampledValue"] *= samples
    async with csms.charger("CP1", max_size=None) as charger:
        transaction = await _started(charger)
        message_id = await charger.send("StopTransaction", stop(transaction, transactionData=data))
        assert (await charger.expect())[:4] == [4, message_id, "PropertyConstraintViolation", description]
        assert await charger.call("StopTransaction", stop(transaction)) == {}


@pytest.mark.parametrize("samples", [900, 1_100])
async def test_a_message_of_many_samples_delays_nobody_though_it_is_short(csms, measuring_threads, samples):
    """240 kB, whose every sample is a reading: on the event loop they would take half a second."""
    values = [
        {"timestamp": f"2026-11-21T10:{n:02}:00Z", "sampledValue": [{"value": str(n)}] * samples} for n in range(15)
    ]
    async with csms.charger("CP1") as charger:
        transaction = await _started(charger)
        call = {"connectorId": 1, "transactionId": transaction, "meterValue": values}
        message_id = await charger.send("MeterValues", call)
        assert (await charger.expect())[0] == (3 if samples < 1_024 else 4), message_id
        assert threading.get_ident() not in measuring_threads
        assert await charger.call("StopTransaction", stop(transaction, 1_500)) == {}


async def test_a_message_of_many_faults_has_its_first_one_recorded(csms):
    sampled = [{"value": "1", "measurand": "X"}] * 900
    values = [{"timestamp": f"2026-11-21T10:{n:02}:00Z", "sampledValue": sampled} for n in range(30)]
    async with csms.charger("CP1") as charger:
        assert await charger.call("MeterValues", {"connectorId": 1, "meterValue": values}) == {}
    assert await csms.metric("ocpp_cp_schema_faults_total", cp_id="CP1", action="MeterValues") == 1


async def test_results_that_come_while_a_large_message_is_parsed_keep_their_order(csms):
    async with csms.charger("CP1", max_size=None) as charger:
        await charger.send("DataTransfer", {"vendorId": "v", "data": "d" * 1_000_000})
        for _ in range(3):
            await charger.send("Heartbeat", {})
        assert [(await charger.expect())[1] for _ in range(4)] == ["m1", "m2", "m3", "m4"]


async def test_large_messages_of_two_connections_are_parsed_off_the_event_loop_one_at_a_time(csms, monkeypatch):
    parse, submit = large.parse, large.LargeMessages.parse
    release, submitted, at_once, most, threads = threading.Event(), [], 0, 0, set()

    def slow(*arguments):
        nonlocal at_once, most
        threads.add(threading.get_ident())
        at_once += 1
        most = max(most, at_once)
        assert release.wait(30)
        at_once -= 1
        return parse(*arguments)

    def noted(self, data, *arguments):
        submitted.append(len(data))
        submit(self, data, *arguments)

    monkeypatch.setattr(large, "parse", slow)
    monkeypatch.setattr(large.LargeMessages, "parse", noted)
    async with (
        csms.charger("CP1", max_size=None) as one,
        csms.charger("CP2", max_size=None) as two,
        csms.charger("CP3") as other,
    ):
        for charger in (one, two):
            await charger.send("DataTransfer", {"vendorId": "v", "data": "d" * 1_000_000})
        await eventually(lambda: len(submitted) == 2)
        await eventually(lambda: threads)
        await other.call("Heartbeat")  # the event loop is free meanwhile
        release.set()
        assert [(await charger.expect())[0] for charger in (one, two)] == [3, 3]
    assert (most, len(threads)) == (1, 1)
    assert threading.get_ident() not in threads


async def test_a_message_over_the_limit_is_counted_and_logged(make_csms, caplog):
    csms = await make_csms(max_frame_bytes=100_000)
    async with csms.charger("CP1") as charger:
        await charger.send("DataTransfer", {"vendorId": "v", "data": "d" * 100_000})
        assert await charger.closed() == 1009
    assert await csms.metric(CLOSES, reason="message_too_big") == 1
    assert any("CP1 closed: a message was longer than allowed" in record.getMessage() for record in caplog.records)


async def test_empty_fragments_without_end_are_closed(csms):
    async with csms.raw_charger() as charger:
        charger.write(b"[", TEXT, final=False)
        charger.writer.write(masked(b"", CONTINUATION, final=False) * 10_000)
        assert (await charger.read()).close_code == 1008
    assert await csms.metric(CLOSES, reason="empty_fragments") == 1


async def test_connections_that_stay_silent_keep_no_charge_point_out(csms):
    """Each takes a file descriptor. Beyond the limit the oldest is closed; a request ends the silence."""
    openings = csms.central._gateway._ports._openings
    openings._limit = 20
    async with csms.charger("CP1") as charger:
        silent = [await asyncio.open_connection("127.0.0.1", csms.central.port) for _ in range(60)]
        async with csms.charger("CP2") as other:
            assert await other.call("Heartbeat")
        assert await charger.call("Heartbeat")
        assert await asyncio.wait_for(silent[0][0].read(), 10) == b""
        assert len(openings) <= 20
        for _, writer in silent:
            writer.close()
        await eventually(lambda: not len(openings))
    assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="silent") >= 40


async def test_fragments_of_one_byte_are_a_flood(csms, monkeypatch):
    monkeypatch.setattr(connection, "FLOOD_FRAMES", 20_000)
    async with csms.charger("CP2") as other, csms.raw_charger() as charger:
        charger.write(b"[", TEXT, final=False)
        flooding = asyncio.create_task(flood(charger, masked(b" ", CONTINUATION, final=False)))
        assert await answered_until(other, flooding) >= 10
        assert await flooding in (1008, 1006)
    await csms.becomes(1, CLOSES, reason="flood")


async def test_a_pending_charge_point_may_send_little(make_csms):
    csms = await make_csms(unknown_charge_points="pending")
    async with csms.raw_charger(Sec_WebSocket_Extensions="permessage-deflate") as stranger:
        assert "sec-websocket-extensions" not in stranger.headers
        stranger.write(b"[" * 10_000)
        assert (await stranger.read()).close_code == 1009


async def test_strangers_that_flood_starve_no_registered_charge_point(make_csms, monkeypatch):
    monkeypatch.setattr("wattspan.gateway.ports.CLOSE_TIMEOUT_S", 0.05)
    csms = await make_csms(unknown_charge_points="pending")
    await csms.store.add_charge_point("CP1", None)
    strangers = [csms.raw_charger(f"/ws/NEW{number}") for number in range(4)]
    async with csms.charger("CP1") as charger, strangers[0], strangers[1], strangers[2], strangers[3]:
        for stranger in strangers:
            stranger.writer.write(HEARTBEAT * 20_000)
        for _ in range(20):
            await charger.call("Heartbeat")
        assert (await csms.get("/readyz")).status_code == 200
        taken = sum(each._frames for server in csms.central._gateway._ports.servers for each in server.connections)
    assert taken < 2_000


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Mode": "websocket"}, {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"}],
)
async def test_a_browser_is_refused(csms, headers):
    user_agent = headers.pop("User-Agent", None)
    with pytest.raises(InvalidStatus) as refused:
        async with csms.charger("CP1", additional_headers=headers, user_agent_header=user_agent):
            pass
    assert refused.value.response.status_code == 403
    assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="browser") == 1


async def test_a_charger_that_sends_an_origin_is_let_in(csms):
    async with csms.charger("CP1", origin="http://charger.local") as charger:
        assert await charger.call("Heartbeat")
