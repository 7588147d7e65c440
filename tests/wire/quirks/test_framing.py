"""Frames as real chargers write them, in every version. Each docstring has the words of docs/quirks.md."""

import asyncio
import json

import pytest
from ocpp.v16.call import Reset
from websockets.typing import Subprotocol

from wattspan.errors import CommandTimeout
from wattspan.ocppj.frames import MAX_JOINED
from wattspan.ocppj.large import LARGE_BYTES
from wattspan.versions import VERSIONS

DEEP = 100_000


@pytest.fixture(params=list(VERSIONS))
async def charger(csms, request):
    async with csms.charger("CP1", subprotocols=[Subprotocol(request.param)]) as connected:
        yield connected


async def test_trailing_or_embedded_nul(charger):
    """trailing or embedded NUL"""
    for end in ("{}]\0", "{}]\0\0\n", "{\0}]", "\0{}\0]"):
        assert (await charger.raw(f'[2,"x","Heartbeat",{end}'))[:2] == [3, "x"]


async def test_null_payload(charger):
    """`null` payload"""
    assert (await charger.raw('[2,"x","Heartbeat",null]'))[:2] == [3, "x"]


async def test_payload_that_is_an_empty_array_or_missing(csms, charger):
    """payload `[]` or missing"""
    for sent in ('[2,"x","Heartbeat",[]]', '[2,"x","Heartbeat"]'):
        assert (await charger.raw(sent))[:2] == [3, "x"]
    assert await csms.metric("ocpp_cp_schema_faults_total", cp_id="CP1", action="Heartbeat") == 2
    # Where the version requires a field there is nothing to take.
    for sent in ('[2,"x","BootNotification",[]]', '[2,"x","BootNotification"]', '[2,"x","Heartbeat",[1]]'):
        assert (await charger.raw(sent))[:2] == [4, "x"]
    assert await csms.metric("ocpp_cp_boots_total", cp_id="CP1") == 0


@pytest.mark.parametrize("between", ["", " ", "\n", "\r\n", ",", " ,\n", "\0"])
async def test_two_messages_in_one_frame(csms, charger, between, caplog):
    """two JSON messages in one frame"""
    sent = between.join(f'[2,"{name}","{action}",{{}}]' for name, action in (("a", "Heartbeat"), ("b", "Heartbeat")))
    assert [(await charger.raw(sent))[:2], (await charger.expect())[:2]] == [[3, "a"], [3, "b"]]
    assert await csms.metric("ocpp_central_unreadable_frames_total") == 0
    assert sum((await csms.counts("ocpp_cp_errors_total", "error_type", cp_id="CP1")).values()) == 1
    assert await csms.metric("ocpp_central_messages_total", direction="in", message_type="Heartbeat") == 2
    noted = [each.getMessage() for each in caplog.records if "in one frame" in each.getMessage()]
    assert [each.rpartition(": ")[2] for each in noted] == ["2 messages in one frame"]
    assert noted[0].startswith("CP1 broke the protocol: ")


async def test_a_whole_session_in_one_frame(csms):
    """two JSON messages in one frame"""
    async with csms.charger("CP1") as charger:
        start = {"connectorId": 1, "idTag": ']2,[\\"', "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z"}
        stop = {"transactionId": -1, "meterStop": 5000, "timestamp": "2026-11-21T11:00:00Z"}
        calls = [("StartTransaction", start), ("StopTransaction", stop)] * 8
        sent = "".join(json.dumps([2, f"m{at}", *each]) for at, each in enumerate(calls))
        await charger.send_raw(sent + '[3,"nobody asked",{}]')
        assert [(await charger.expect())[:2] for _ in calls] == [[3, f"m{at}"] for at in range(16)]
        await charger.call("Heartbeat")
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 5000
    assert await csms.metric("ocpp_central_unasked_results_total") == 1


async def test_a_large_message_and_another_in_one_frame(csms):
    """two JSON messages in one frame"""
    async with csms.charger("CP1") as charger:
        values = [
            {"timestamp": f"2026-11-21T10:{n // 60 % 60:02}:{n % 60:02}Z", "sampledValue": [{"value": str(n)}]}
            for n in range(8_000)
        ]
        large = json.dumps([2, "a", "MeterValues", {"connectorId": 1, "meterValue": values}])
        assert len(large) > LARGE_BYTES
        await charger.send_raw(large + '[2,"b","Heartbeat",{}]' + large.replace('"a"', '"c"') + " ")
        assert [(await charger.expect())[:2] for _ in range(3)] == [[3, "a"], [3, "b"], [3, "c"]]


async def test_more_messages_in_one_frame_than_are_taken(csms, charger):
    """two JSON messages in one frame"""
    assert (await charger.raw('[2,"x","Heartbeat",{}]' * (MAX_JOINED + 1)))[:2] == [4, "-1"]
    assert await charger.call("Heartbeat")
    for junk in ('[2,"x","Heartbeat",{}]]', '[2,"x","Heartbeat",{}][', "[][]"):
        assert (await charger.raw(junk))[:2] == [4, "-1"]
        assert await charger.call("Heartbeat")


async def test_numeric_or_empty_message_ids(charger):
    """numeric or empty message ids"""
    for message_id in (17, -1, 0, "", " "):
        assert (await charger.raw(json.dumps([2, message_id, "Heartbeat", {}])))[:2] == [3, message_id]


async def test_text_ids(charger):
    """text ids like `offline-19470`"""
    for message_id in ("offline-19470", "x" * 255, "ж\n\0"):
        assert (await charger.raw(json.dumps([2, message_id, "Heartbeat", {}])))[:2] == [3, message_id]


async def test_the_same_message_id_used_again(charger):
    """the same message id used again"""
    for _ in range(3):
        assert (await charger.raw('[2,"1","Heartbeat",{}]'))[:2] == [3, "1"]


async def test_list_or_number_as_action(charger):
    """list or number as action"""
    for action in (["Heartbeat"], 7, None, {}, True):
        assert (await charger.raw(json.dumps([2, "x", action, {}])))[:2] == [4, "x"]
        assert await charger.call("Heartbeat")


async def test_100_000_nested_brackets(charger):
    """100,000 nested brackets"""
    for sent in ("[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP):
        assert (await charger.raw(sent))[:2] == [4, "-1"]
        assert await charger.call("Heartbeat")


async def test_a_callresult_nobody_asked_for(csms, charger):
    """CALLRESULT nobody asked for"""
    for sent in ('[3,"x",{}]', "[3,null,{}]", '[4,"x","GenericError","",{}]'):
        await charger.send_raw(sent)
    await charger.call("Heartbeat")
    assert charger.unread == []
    assert await csms.metric("ocpp_central_unasked_results_total") == 3


async def test_late_results(csms):
    """late results"""
    async with csms.charger("CP1") as charger:
        with pytest.raises(CommandTimeout, match=r"Reset to CP1: no answer within 0\.01 s"):
            await csms.central.call("CP1", Reset(type="Soft"), timeout_s=0.01)
        late = await charger.expect("Reset")
        sending = asyncio.create_task(csms.central.call("CP1", Reset(type="Soft")))
        command = await charger.expect("Reset")
        await charger.reply(late, {"status": "Rejected"})
        await charger.call("Heartbeat")
        assert not sending.done()
        await charger.reply(command, {"status": "Accepted"})
        assert (await sending).accepted
    assert await csms.metric("ocpp_central_unasked_results_total") == 1
    assert await csms.metric("ocpp_central_call_errors_total", cp_id="CP1", action="Reset", error_type="Timeout") == 1
