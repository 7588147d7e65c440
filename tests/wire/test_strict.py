"""Strict mode: every fault gets the CALLERROR code that the version has for it (OCPP-J 1.6 §4.2.3, 2.x §4.3)."""

import json

import pytest

from support.chargers import CallErrorReceived

STATUS_16 = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
STATUS_2X = {"evseId": 1, "connectorId": 1, "connectorStatus": "Available", "timestamp": "2026-11-21T10:00:00Z"}
STATUS = {"ocpp1.6": STATUS_16, "ocpp2.0.1": STATUS_2X, "ocpp2.1": STATUS_2X}
WORD = {"ocpp1.6": "status", "ocpp2.0.1": "connectorStatus", "ocpp2.1": "connectorStatus"}

FORMATION = {"ocpp1.6": "FormationViolation", "ocpp2.0.1": "FormatViolation", "ocpp2.1": "FormatViolation"}
OCCURRENCE = {
    "ocpp1.6": "OccurenceConstraintViolation",  # as the specification spells it
    "ocpp2.0.1": "OccurrenceConstraintViolation",
    "ocpp2.1": "OccurrenceConstraintViolation",
}
MALFORMED = {"ocpp1.6": "ProtocolError", "ocpp2.0.1": "RpcFrameworkError", "ocpp2.1": "RpcFrameworkError"}
UNREADABLE = {"ocpp1.6": "GenericError", "ocpp2.0.1": "RpcFrameworkError", "ocpp2.1": "RpcFrameworkError"}


@pytest.mark.parametrize("subprotocol", STATUS)
async def test_a_payload_that_breaks_its_schema(make_csms, subprotocol):
    csms = await make_csms(strict=True)
    sound, word = STATUS[subprotocol], WORD[subprotocol]
    faults = [
        ({**sound, "more": 1}, FORMATION[subprotocol]),
        ({name: value for name, value in sound.items() if name != "connectorId"}, OCCURRENCE[subprotocol]),
        ({**sound, word: "Sleepy"}, "PropertyConstraintViolation"),
        ({**sound, "connectorId": "1"}, "TypeConstraintViolation"),
        ({**sound, "timestamp": "yesterday"}, "TypeConstraintViolation"),
    ]
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        assert await charger.call("StatusNotification", sound) == {}
        for payload, code in faults:
            with pytest.raises(CallErrorReceived) as refused:
                await charger.call("StatusNotification", payload)
            assert refused.value.code == code, payload
        assert await charger.call("StatusNotification", sound) == {}
    told = await csms.counts("ocpp_cp_errors_total", "error_type", cp_id="CP1")
    assert sum(told.values()) == len(faults)


@pytest.mark.parametrize("subprotocol", STATUS)
async def test_a_frame_that_is_otherwise_put_right(make_csms, subprotocol):
    csms = await make_csms(strict=True)
    faults = [
        (json.dumps([2, "x", "Heartbeat", None]), "x", FORMATION[subprotocol]),
        (json.dumps([2, "x", "Heartbeat", []]), "x", FORMATION[subprotocol]),
        (json.dumps([2, "x", "Heartbeat", {}, "more"]), "x", MALFORMED[subprotocol]),
        (json.dumps([2, 17, "Heartbeat", {}]), 17, MALFORMED[subprotocol]),
        (json.dumps([2, "x" * 37, "Heartbeat", {}]), "x" * 37, MALFORMED[subprotocol]),
        ('[2,"x","Heartbeat",{}]\0', "-1", UNREADABLE[subprotocol]),
        (json.dumps([2, "x", "Nonsense", {}]), "x", "NotImplemented"),
        (json.dumps([2, "x", "ClearCache", {}]), "x", "NotSupported"),
    ]
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        for sent, message_id, code in faults:
            assert (await charger.raw(sent))[:3] == [4, message_id, code], sent
        assert (await charger.raw(json.dumps([2, "x" * 36, "Heartbeat", {}])))[:2] == [3, "x" * 36]


async def test_a_send_that_breaks_its_schema_is_thrown_away_and_counted(make_csms):
    csms = await make_csms(strict=True)
    stream = {"id": 1, "pending": 0, "basetime": "2026-11-21T10:00:00Z", "data": [{"t": 0, "v": 7}]}
    async with csms.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
        await charger.send_raw(json.dumps([6, "x", "NotifyPeriodicEventStream", stream]))
        await charger.call("Heartbeat")
        assert charger.unread == []
    await csms.durable()
    assert await csms.store.event_streams("CP1") == []
    assert await csms.counts("ocpp_cp_errors_total", "error_type", cp_id="CP1") == {"TypeConstraintViolation": 1}
