"""What frames each version has, and what it answers to those that it has not (OCPP-J §4)."""

import asyncio
import json

import pytest

from support.raw import CLOSE
from support.waiting import eventually
from wattspan.errors import CommandRefused

ALL = ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]
LATER = ALL[1:]

STREAM = {"id": 7, "pending": 0, "basetime": "2026-11-21T10:00:00Z", "data": [{"t": 0, "v": "1"}, {"t": 9.5, "v": "2"}]}


async def errors(csms, cp_id="CP1"):
    """`ocpp_cp_errors_total` by error_type."""
    return await csms.counts("ocpp_cp_errors_total", "error_type", cp_id=cp_id)


@pytest.mark.parametrize("subprotocol", LATER)
async def test_what_can_not_be_read_is_refused_under_the_id_minus_one(csms, subprotocol):
    """OCPP-J 2.0.1 §4.2.3: "when also the MessageId cannot be read, the CALLERROR SHALL contain "-1"."""
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        for sent in ("no json", "[", "7", "[]", "[2]", '["2","x","Heartbeat",{}]', '[2,null,"Heartbeat",{}]'):
            assert (await charger.raw(sent))[:3] == [4, "-1", "RpcFrameworkError"], sent
        assert await charger.call("Heartbeat")
    assert await errors(csms) == {"RpcFrameworkError": 7}


@pytest.mark.parametrize("subprotocol", LATER)
async def test_a_call_that_is_none_is_refused_under_its_own_id(csms, subprotocol):
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        for rest, code in (
            ('"BootNotification"', "RpcFrameworkError"),
            ("7,{}", "RpcFrameworkError"),
            ('"BootNotification",[]', "FormatViolation"),
            ('"Heartbeat",7', "FormatViolation"),
            ('"Nonsense",{}', "NotImplemented"),
            ('"Reset",{"type":"OnIdle"}', "NotSupported"),
        ):
            assert (await charger.raw(f'[2,"x",{rest}]'))[:3] == [4, "x", code], rest


@pytest.mark.parametrize("subprotocol", ["ocpp1.6", "ocpp2.1"])
async def test_a_message_type_that_the_version_does_not_have_is_ignored(csms, subprotocol):
    """OCPP-J 1.6 §4.1.3, 2.1 §4.1."""
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        for kind in (0, 1, 7, -2, 99):
            await charger.send_raw(json.dumps([kind, "x", "Heartbeat", {}]))
        assert await charger.call("Heartbeat")
        assert charger.unread == []
    assert await csms.metric("ocpp_central_unasked_results_total") == 5


async def test_2_0_1_answers_a_message_type_that_it_does_not_have(csms):
    """OCPP-J 2.0.1 §4.4: MessageTypeNotSupported; CALLRESULTERROR and SEND came only with 2.1."""
    async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as charger:
        for kind in (0, 5, 6, 99):
            assert (await charger.raw(json.dumps([kind, "x", "Y", {}])))[:3] == [4, "x", "MessageTypeNotSupported"]
        assert (await charger.raw(json.dumps([6, {}, "Y", {}])))[:3] == [4, "-1", "MessageTypeNotSupported"]
    assert await errors(csms) == {"MessageTypeNotSupported": 5}


async def test_a_send_is_kept_and_never_answered(csms):
    """OCPP-J 2.1 §4.2.5, OCPP 2.1 N11."""
    params = {"id": 7, "variableMonitoringId": 3, "params": {"interval": 5, "values": 2}}
    async with csms.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
        assert await charger.call("OpenPeriodicEventStream", {"constantStreamData": params}) == {"status": "Accepted"}
        await charger.send_raw(json.dumps([6, "s1", "NotifyPeriodicEventStream", STREAM]))
        await charger.send_raw(
            json.dumps([6, "s2", "NotifyPeriodicEventStream", {**STREAM, "data": STREAM["data"][:1]}])
        )
        assert await charger.call("Heartbeat")
        assert charger.unread == []
        await csms.durable()
        (stream,) = await csms.store.event_streams("CP1")
        assert (stream.stream_id, stream.monitor_id, stream.interval_s, stream.values) == (7, 3, 5, 2)
        assert (stream.value, stream.received_count) == ("2", 3)
        await charger.call("ClosePeriodicEventStream", {"id": 7})
        assert await csms.store.event_streams("CP1") == []
    labels = {"direction": "in", "message_type": "NotifyPeriodicEventStream"}
    assert await csms.metric("ocpp_central_messages_total", **labels) == 2
    handled = {"cp_id": "CP1", "message_type": "NotifyPeriodicEventStream"}
    assert await csms.metric("ocpp_msg_handling_seconds_count", **handled) == 2
    assert await errors(csms) == {}


async def test_a_send_with_whatever_wrong_in_it_is_counted_and_never_answered(csms):
    async with csms.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
        for frame in (
            [6, "x"],
            [6, None, "NotifyPeriodicEventStream", {}],
            [6, "x", 7, {}],
            [6, "x", "NotifyPeriodicEventStream", []],
            [6, "x", "Heartbeat", {}],
            [6, "x", "Nonsense", {}],
            [6, "x", "NotifyPeriodicEventStream", {"id": [], "data": {}}],
        ):
            await charger.send_raw(json.dumps(frame))
        assert await charger.call("Heartbeat")
        assert charger.unread == []
    assert await errors(csms) == {"RpcFrameworkError": 3, "FormatViolation": 1, "NotSupported": 1, "NotImplemented": 1}
    labels = {"cp_id": "CP1", "action": "NotifyPeriodicEventStream"}
    assert await csms.metric("ocpp_cp_schema_faults_total", **labels) == 1


async def test_a_charger_that_can_not_use_an_answer_says_so_and_it_is_counted(csms):
    """CALLRESULTERROR (OCPP-J 2.1 §4.2.4)."""
    async with csms.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
        for code in ("FormatViolation", "FormatViolation", "MadeUp", 7):
            await charger.send_raw(json.dumps([5, "m1", code, "text", {}]))
        await charger.send_raw("[5,null]")
        assert await charger.call("Heartbeat")
        assert charger.unread == []
    found = await csms.counts("ocpp_central_result_errors_total", "error_type")
    assert found == {"FormatViolation": 2, "GenericError": 2, "other": 1}


async def test_we_say_so_to_2_1_when_an_answer_to_a_command_can_not_be_used(make_csms):
    csms = await make_csms(strict=True)
    async with csms.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
        for payload, code in (([], "FormatViolation"), ({"status": "Sleepy"}, "PropertyConstraintViolation")):
            waiting = asyncio.create_task(csms.central.commands.send_payload("CP1", "ClearCache", {}))
            frame = await charger.expect("ClearCache")
            await charger.send_raw(json.dumps([3, frame[1], payload]))
            assert (await charger.expect())[:3] == [5, frame[1], code]
            assert not (await waiting).accepted


@pytest.mark.parametrize("subprotocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_earlier_versions_are_told_of_no_fault_in_their_answers(make_csms, subprotocol):
    csms = await make_csms(strict=True)
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        waiting = asyncio.create_task(csms.central.commands.send_payload("CP1", "ClearCache", {}))
        frame = await charger.expect("ClearCache")
        await charger.send_raw(json.dumps([3, frame[1], []]))
        await waiting
        assert await charger.call("Heartbeat")
        assert charger.unread == []


async def test_a_command_may_be_refused_with_the_codes_of_2_x(csms):
    async with csms.charger("CP1", subprotocols=["ocpp2.0.1"]) as charger:
        waiting = asyncio.create_task(csms.central.commands.send_payload("CP1", "ClearCache", {}))
        frame = await charger.expect("ClearCache")
        await charger.send_raw(json.dumps([4, frame[1], "RpcFrameworkError", "", {}]))
        with pytest.raises(CommandRefused, match="RpcFrameworkError"):
            await waiting
    labels = {"cp_id": "CP1", "action": "ClearCache", "error_type": "RpcFrameworkError"}
    assert await csms.metric("ocpp_central_call_errors_total", **labels) == 1


# Which version is spoken


async def test_the_charger_s_order_of_preference_decides(csms):
    """OCPP-J 2.1 §3.1.2."""
    for offered, chosen in (
        ("ocpp1.6, ocpp2.0.1, ocpp2.1", "ocpp1.6"),
        ("ocpp2.1, ocpp2.0.1, ocpp1.6", "ocpp2.1"),
        ("ocpp2.2, ocpp2.0.1, ocpp1.6", "ocpp2.0.1"),
        ("ocpp2.0, ocpp1.6,ocpp2.1", "ocpp1.6"),
    ):
        async with csms.raw_charger(Sec_WebSocket_Protocol=offered) as charger:
            assert charger.headers["sec-websocket-protocol"] == chosen
        await eventually(lambda: csms.central.fleet.charge_points["CP1"].protocol == chosen)  # noqa: B023


@pytest.mark.parametrize("subprotocol", ALL)
async def test_none_offered_is_the_configured_default_without_a_header(make_csms, subprotocol):
    csms = await make_csms(default_subprotocol=subprotocol)
    async with csms.raw_charger(Sec_WebSocket_Protocol="") as charger:
        assert charger.status == 101
        assert "sec-websocket-protocol" not in charger.headers
        charger.write(b'[2,"x","BootNotification",[]]')
        code = "FormationViolation" if subprotocol == "ocpp1.6" else "FormatViolation"
        assert json.loads((await charger.read()).data)[:3] == [4, "x", code]


async def test_no_common_one_completes_the_handshake_and_closes(csms):
    async with csms.raw_charger(Sec_WebSocket_Protocol="ocpp2.0, ocpp1.5") as charger:
        assert charger.status == 101
        assert "sec-websocket-protocol" not in charger.headers
        frame = await charger.read()
        assert (frame.opcode, frame.close_code) == (CLOSE, 1002)
    assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="subprotocol") == 1
    assert [line for line in await csms.page() if "cp_id=" in line] == []


async def test_a_send_is_let_go_while_the_store_is_down(csms):
    """Who waits for no answer could fill the memory with what can't be written."""
    async with csms.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
        await charger.call("Heartbeat")
        await csms.durable()
        csms.central._core.journal.available = False
        await charger.send_raw(json.dumps([6, "x", "NotifyPeriodicEventStream", STREAM]))
        labels = {"direction": "in", "message_type": "NotifyPeriodicEventStream"}
        await csms.becomes(1, "ocpp_central_messages_total", **labels)
        assert csms.central.fleet.changes.notes == []
        csms.central._core.journal.available = True
    assert await errors(csms) == {}
