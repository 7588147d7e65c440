"""WebSocket messages: sizes, fragments, compression, and many at once."""

import json
import zlib

from support.chargers import START, energy, meter_values
from support.raw import BINARY, CLOSE, CONTINUATION, TEXT, masked


async def test_a_frame_over_the_limit_closes_with_1009(make_csms):
    csms = await make_csms(max_frame_bytes=2048)
    async with csms.charger("CP1") as charger:
        frame = '[2,"x","DataTransfer",{"vendorId":"v","data":"%s"}]'
        assert (await charger.raw(frame % ("d" * 1900)))[0] == 3
        await charger.send_raw(frame % ("d" * 2048))
        assert await charger.closed() == 1009
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP1")


async def test_a_message_over_the_limit_in_small_fragments_closes_with_1009(make_csms):
    csms = await make_csms(max_frame_bytes=2048)
    async with csms.raw_charger() as charger:
        charger.write(b"[" * 1000, TEXT, final=False)
        for _ in range(3):
            charger.write(b"[" * 1000, CONTINUATION, final=False)
        frame = await charger.read()
        assert (frame.opcode, frame.close_code) == (CLOSE, 1009)


async def test_fragments_are_one_message(csms):
    async with csms.raw_charger() as charger:
        charger.write(b"", TEXT, final=False)
        for piece in (b'[2,"x",', b"", b'"Heartbeat"'):
            charger.write(piece, CONTINUATION, final=False)
        charger.write(b",{}]", CONTINUATION)
        assert json.loads((await charger.read()).data)[:2] == [3, "x"]
        charger.write(b'[2,"y",', BINARY, final=False)
        charger.write(b'"Heartbeat",{}]', CONTINUATION)
        assert json.loads((await charger.read()).data)[:2] == [3, "y"]


async def test_frames_that_come_with_the_handshake_are_answered(csms):
    """A charger need not wait for our answer's last byte; and many frames may share one TCP segment."""
    async with csms.raw_charger() as charger:
        charger.writer.write(b"".join(masked(b'[2,"%d","Heartbeat",{}]' % number) for number in range(100)))
        assert [json.loads((await charger.read()).data)[1] for _ in range(100)] == [str(n) for n in range(100)]


async def test_a_charger_that_does_not_wait_gets_every_answer_in_order(csms):
    async with csms.charger("CP1") as charger:
        actions = (("StartTransaction", START), ("Heartbeat", {}), ("MeterValues", meter_values(1, energy(2000))))
        sent = [await charger.send(*actions[number % 3]) for number in range(300)]
        assert [(await charger.expect())[1] for _ in sent] == sent
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1


async def test_compression_is_taken_when_offered_and_not_otherwise(csms):
    async with csms.charger("CP1", compression="deflate") as charger:
        assert "permessage-deflate" in charger.socket.response.headers["Sec-WebSocket-Extensions"]
        assert await charger.call("DataTransfer", {"vendorId": "v", "data": "d" * 100_000})
    async with csms.charger("CP1") as charger:
        assert "Sec-WebSocket-Extensions" not in charger.socket.response.headers


async def test_a_small_frame_that_unpacks_over_the_limit_closes_with_1009(csms):
    async with csms.raw_charger(Sec_WebSocket_Extensions="permessage-deflate") as charger:
        packer = zlib.compressobj(wbits=-12)
        packed = packer.compress(b" " * 20_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
        frame = bytearray(masked(packed[:-4]))
        frame[0] |= 0x40  # RSV1: compressed (RFC 7692 §6)
        charger.writer.write(frame)
        assert (await charger.read()).close_code == 1009
