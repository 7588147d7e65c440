"""What bad input gets: an answer that says so, a count, and a connection that lives on wherever it can."""

import json
import zlib

import pytest

from support.chargers import START, CallErrorReceived, energy, meter_values, stop
from support.raw import BINARY, CLOSE, CONTINUATION, TEXT, masked

DEEP = 100_000


async def errors(csms, cp_id: str = "CP1") -> dict[str, float]:
    """`ocpp_cp_errors_total` of a charge point by error_type."""
    told = {}
    for line in await csms.lines("ocpp_cp_errors_total"):
        if f'cp_id="{cp_id}"' in line:
            told[line.partition('error_type="')[2].partition('"')[0]] = float(line.rpartition(" ")[2])
    return told


NO_FRAMES = [
    ("not json", "GenericError"),
    ("", "GenericError"),
    ('[2,"x","Heartbeat",{}', "GenericError"),
    ("[" * DEEP, "GenericError"),
    ("[" * DEEP + "]" * DEEP, "GenericError"),
    ('{"a":' * DEEP, "GenericError"),
    ("\0\0\0", "GenericError"),
    ("null", "ProtocolError"),
    ("{}", "ProtocolError"),
    ("[]", "ProtocolError"),
    ("[2]", "ProtocolError"),
    ('["2","x","Heartbeat",{}]', "ProtocolError"),
    ('[true,"x","Heartbeat",{}]', "ProtocolError"),
    ('[2,null,"Heartbeat",{}]', "ProtocolError"),
    ('[2,["x"],"Heartbeat",{}]', "ProtocolError"),
    ('[2,{"x":1},"Heartbeat",{}]', "ProtocolError"),
    ('[2,1.5,"Heartbeat",{}]', "ProtocolError"),
    (f'[2,"{"x" * 300}","Heartbeat",{{}}]', "ProtocolError"),
]


async def test_what_is_no_frame_gets_a_callerror_without_an_id_and_the_connection_stays(csms):
    for number, (sent, code) in enumerate(NO_FRAMES):
        async with csms.charger(f"CP{number}") as charger:
            assert (await charger.raw(sent))[:3] == [4, "-1", code]
            assert await charger.call("Heartbeat")
        assert await errors(csms, f"CP{number}") == {code: 1}
    assert await csms.metric("ocpp_central_unreadable_frames_total") == len(NO_FRAMES)


NOT_TAKEN = [
    ('[2,"x","Heartbeat"]', "ProtocolError"),
    ('[2,"x",["Heartbeat"],{}]', "FormationViolation"),
    ('[2,"x",7,{}]', "FormationViolation"),
    ('[2,"x",null,{}]', "FormationViolation"),
    ('[2,"x","Heartbeat",[]]', "FormationViolation"),
    ('[2,"x","Heartbeat","{}"]', "FormationViolation"),
    ('[2,"x","Nonsense",{}]', "NotImplemented"),
    ('[2,"x","../Heartbeat",{}]', "NotImplemented"),
    ('[2,"x","",{}]', "NotImplemented"),
    ('[2,"x","Reset",{"type":"Soft"}]', "NotSupported"),
]


async def test_a_call_that_can_not_be_taken_gets_a_callerror_under_its_own_id(csms):
    for number, (sent, code) in enumerate(NOT_TAKEN):
        async with csms.charger(f"CP{number}") as charger:
            assert (await charger.raw(sent))[:3] == [4, "x", code]
            assert await charger.call("Heartbeat")
        assert await errors(csms, f"CP{number}") == {code: 1}


async def test_any_id_that_can_be_echoed_is_echoed_as_it_came_and_may_come_again(csms):
    async with csms.charger("CP1") as charger:
        for message_id in ("offline-19470", "", 17, -1, "x" * 255, "ж\n\0"):
            for _ in range(2):
                answer = await charger.raw(json.dumps([2, message_id, "Heartbeat", {}]))
                assert answer[:2] == [3, message_id]


async def test_what_can_be_understood_is(csms):
    null, more, nul_behind, nul_within = ("null]", '{},"more"]', "{}]\0\0", "{\0}]")
    async with csms.charger("CP1") as charger:
        for end in (null, more, nul_behind, nul_within):
            assert (await charger.raw(f'[2,"x","Heartbeat",{end}'))[0] == 3


async def test_text_that_is_no_unicode_loses_itself_and_not_its_message(csms):
    async with csms.raw_charger() as charger:
        for broken in (b"\xff\xfe", b"\\ud83d", b"\\uDC00\\ud83d", b"\xf0\x9f"):
            charger.write(b'[2,"x","Authorize",{"idTag":"T%s"}]' % broken)
            assert json.loads((await charger.read()).data)[:2] == [3, "x"]
        charger.write(b'[2,"\xff\xfe","Heartbeat",{}]')
        assert json.loads((await charger.read()).data)[0] == 3
        charger.write(b'["\xff\xfe"')
        assert json.loads((await charger.read()).data)[:3] == [4, "-1", "GenericError"]
        charger.write(b'["\\ud83d",' + b"[" * DEEP + b"]" * DEEP + b"]")
        assert json.loads((await charger.read()).data)[:3] == [4, "-1", "GenericError"]


async def test_a_binary_message_is_counted_and_read_all_the_same(csms):
    async with csms.charger("CP1") as charger:
        assert (await charger.raw(b'[2,"x","Heartbeat",{}]'))[:2] == [3, "x"]
        assert (await charger.raw(b"\x00\x01\xff"))[:3] == [4, "-1", "GenericError"]
    assert await errors(csms) == {"FormationViolation": 2, "GenericError": 1}


NOT_ASKED = [
    '[3,"x",{}]',
    '[3,"x"]',
    "[3,null,{}]",
    '[3,["x"],[]]',
    '[4,"x","GenericError","",{}]',
    '[4,"x"]',
    "[4,{},7,7,7]",
    '[5,"x",{}]',
    '[0,"x","Heartbeat",{}]',
    '[99999999999,"x"]',
]


async def test_results_nobody_asked_for_and_unknown_types_are_counted_and_never_answered(csms):
    async with csms.charger("CP1") as charger:
        for sent in NOT_ASKED:
            await charger.send_raw(sent)
        await charger.call("Heartbeat")
        assert charger.unread == []
    assert await csms.metric("ocpp_central_unasked_results_total") == len(NOT_ASKED)
    assert await errors(csms) == {}


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
        packed = packer.compress(b" " * 5_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
        frame = bytearray(masked(packed[:-4]))
        frame[0] |= 0x40  # RSV1: compressed (RFC 7692 §6)
        charger.writer.write(frame)
        assert (await charger.read()).close_code == 1009


SLOPPY = [
    ("StartTransaction", {**START, "idTag": "X" * 40}),
    ("StartTransaction", {**START, "meterStart": "1000"}),
    ("StartTransaction", {**START, "reservationId": 0, "vendorField": {}}),
    ("StartTransaction", {"connectorId": 1, "idTag": "TAG1"}),
    ("StopTransaction", stop(77, idTag="X" * 40)),
    ("StopTransaction", {"transactionId": "77", "meterStop": 5.5, "timestamp": "yesterday"}),
    ("MeterValues", meter_values(77, {"value": 3000, "unit": "Hz"})),
    ("MeterValues", {"connectorId": 1, "meterValue": []}),
    ("StatusNotification", {"connectorId": 1, "status": "Sleepy", "errorCode": "E-17"}),
    ("BootNotification", {"chargePointVendor": "V" * 300, "chargePointModel": ""}),
    ("BootNotification", {}),
]


async def test_schema_faults_that_hide_no_fact_are_noted_and_answered_normally(csms):
    for number, (action, payload) in enumerate(SLOPPY):
        async with csms.charger(f"CP{number}") as charger:
            await charger.call(action, payload)
        assert await csms.metric("ocpp_cp_schema_faults_total", cp_id=f"CP{number}", action=action) == 1


async def test_strict_answers_schema_faults_with_a_callerror(make_csms):
    csms = await make_csms(strict=True)
    for number, (action, payload) in enumerate(SLOPPY):
        async with csms.charger(f"CP{number}") as charger:
            with pytest.raises(CallErrorReceived) as refused:
                await charger.call(action, payload)
            assert refused.value.code.endswith("Violation")
            assert "XXXX" not in refused.value.description
            await charger.call("Heartbeat")
        assert await csms.metric("ocpp_cp_schema_faults_total", cp_id=f"CP{number}", action=action) == 1
        assert await errors(csms, f"CP{number}") == {refused.value.code: 1}


async def test_a_message_without_any_fact_is_refused(csms):
    async with csms.charger("CP1") as charger:
        for action in ("StartTransaction", "StopTransaction", "StatusNotification", "Authorize"):
            with pytest.raises(CallErrorReceived, match="OccurenceConstraintViolation"):
                await charger.call(action, {})


async def test_a_payload_nested_as_deep_as_json_goes_is_survived(csms):
    nested = "[" * 900 + "]" * 900
    async with csms.charger("CP1") as charger:
        for field in ('"vendorId":"v","data":', '"idTag":', '"meterValue":'):
            for action in ("DataTransfer", "StartTransaction", "MeterValues"):
                assert (await charger.raw(f'[2,"x","{action}",{{{field}{nested}}}]'))[1] == "x"
        await charger.call("Heartbeat")


async def test_values_made_to_break_things_are_survived(csms):
    odd = [
        "",
        " ",
        "2e+01",
        "1e999",
        "NaN",
        "\0",
        "9" * 400,
        -1,
        9223372036854775807,
        10**30,
        [],
        {},
        True,
        None,
        "💥" * 50,
    ]
    async with csms.charger("CP1") as charger:
        for value in odd:
            sampled = {"value": value, "unit": value, "phase": value}
            for action, payload in (
                ("StartTransaction", {**START, "idTag": value, "timestamp": value, "meterStart": value}),
                ("StartTransaction", {**START, "connectorId": value, "reservationId": value}),
                ("MeterValues", {"connectorId": value, "transactionId": value, "meterValue": value}),
                ("MeterValues", meter_values(None, sampled, transactionId=value)),
                ("StopTransaction", {**stop(1), "transactionId": value, "transactionData": value, "reason": value}),
                ("StatusNotification", {"connectorId": value, "status": value, "errorCode": value, "timestamp": value}),
                ("BootNotification", {"chargePointVendor": value, "chargePointModel": value, "firmwareVersion": value}),
                ("Authorize", {"idTag": value}),
                ("DataTransfer", {"vendorId": value, "messageId": value, "data": value}),
                ("SecurityEventNotification", {"type": value, "timestamp": value, "techInfo": value}),
                ("FirmwareStatusNotification", {"status": value}),
            ):
                frame = await charger.raw(json.dumps([2, "x", action, payload]))
                assert frame[:2] in ([3, "x"], [4, "x"])
                assert frame[2] not in ("InternalError",), (action, payload)
    assert await csms.metric("ocpp_store_failures_total") == 0
    await csms.durable()
    await csms.restart()
    assert await csms.metric("ocpp_cp_connected", cp_id="CP1") == 0


# The handshake


async def rejected(csms, reason: str) -> float | None:
    return await csms.metric("ocpp_central_handshakes_rejected_total", reason=reason)


async def test_a_charge_point_is_found_under_every_path_chargers_use(csms):
    full_url = f"ws://127.0.0.1:{csms.central.port}/ws/CP6"
    paths = ("/ws/CP0", "/CP1", "/ocpp/CP2", "///ws//CP3/", "/CP4?token=1", "/ws/C%505", full_url)
    for number, target in enumerate(paths):
        async with csms.raw_charger(target) as charger:
            assert charger.status == 101
            assert await csms.metric("ocpp_cp_connected", cp_id=f"CP{number}") == 1


async def test_a_percent_encoded_identity(csms):
    async with csms.charger("RDAM|123 ж"):
        assert 'ocpp_cp_connected{cp_id="RDAM|123 ж"} 1' in await csms.lines("ocpp_cp_connected")


NOWHERE = [
    ("/", "path"),
    ("/ws", "path"),
    ("/ws/", "path"),
    ("/ws/CP1/more", "path"),
    ("/other/CP1", "path"),
    ("/ws/%00", "identity"),
    ("/ws/CP%0A1", "identity"),
    ("/ws/%FF%FE", "identity"),
    ("/ws/..%2F..%2Fetc", "identity"),
    ("/ws/%20", "identity"),
    (f"/ws/{'x' * 256}", "identity"),
]


async def test_a_wrong_path_or_identity_gets_404_and_a_count_by_reason(csms):
    for number, (target, reason) in enumerate(NOWHERE):
        async with csms.raw_charger(target) as charger:
            assert charger.status == 404
        assert await rejected(csms, reason) == sum(each == reason for _, each in NOWHERE[: number + 1])
    assert [line for line in await csms.page() if "cp_id=" in line] == []


async def test_no_common_subprotocol_completes_the_handshake_without_the_header_and_closes(csms):
    """OCPP-J 1.6 §3.2."""
    async with csms.raw_charger(Sec_WebSocket_Protocol="ocpp0.9, soap") as charger:
        assert charger.status == 101
        assert "sec-websocket-protocol" not in charger.headers
        charger.write(b'[2,"x","BootNotification",{}]')
        frame = await charger.read()
        assert (frame.opcode, frame.close_code) == (CLOSE, 1002)
    assert await rejected(csms, "subprotocol") == 1
    assert [line for line in await csms.page() if "cp_id=" in line] == []


async def test_no_subprotocol_offered_is_spoken_1_6_with_and_answered_without_the_header(csms):
    async with csms.raw_charger(Sec_WebSocket_Protocol="") as charger:
        assert charger.status == 101
        assert "sec-websocket-protocol" not in charger.headers
        charger.write(b'[2,"x","Heartbeat",{}]')
        assert json.loads((await charger.read()).data)[:2] == [3, "x"]


async def test_the_subprotocol_is_chosen_out_of_several(csms):
    async with csms.raw_charger(Sec_WebSocket_Protocol="ocpp9.9, ocpp1.6") as charger:
        assert charger.headers["sec-websocket-protocol"] == "ocpp1.6"


async def test_what_is_no_websocket_is_refused_and_makes_no_series(csms):
    async with csms.raw_charger(Upgrade="", Connection="close") as charger:
        assert charger.status == 426
    async with csms.raw_charger(Sec_WebSocket_Version="7") as charger:
        assert charger.status == 400
    assert await rejected(csms, "request") == 2
    assert [line for line in await csms.page() if "cp_id=" in line] == []


async def test_bytes_that_are_no_http_are_survived(csms):
    async with csms.raw_charger("/ws/CP1 extra words") as charger:
        assert charger.status == 0
    async with csms.charger("CP1") as good:
        assert await good.call("Heartbeat")
