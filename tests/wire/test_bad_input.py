"""What bad input gets: an answer that says so, a count, and a connection that lives on wherever it can."""

import json

import pytest

from support.chargers import START, CallErrorReceived, meter_values, stop

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
    ('[2,"x","BootNotification"]', "ProtocolError"),
    ('[2,"x"]', "ProtocolError"),
    ('[2,"x",["Heartbeat"],{}]', "FormationViolation"),
    ('[2,"x",7,{}]', "FormationViolation"),
    ('[2,"x",null,{}]', "FormationViolation"),
    ('[2,"x","BootNotification",[]]', "FormationViolation"),
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


async def test_what_can_be_understood_is(csms):
    async with csms.charger("CP1") as charger:
        for end in ("{},null]", '{},"more"]'):
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
