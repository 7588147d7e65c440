"""Every message of OCPP 2.0.1 and 2.1, both ways, over a real socket: what is sent and what comes back is valid."""

import asyncio
import json

import pytest

from support.examples import example
from support.waiting import eventually
from wattspan.csms.plugins.base import Plugin
from wattspan.domain.events import NoticeReceived
from wattspan.versions import VERSIONS

LATER = ["ocpp2.0.1", "ocpp2.1"]
FOLDER = {"ocpp2.0.1": "v201", "ocpp2.1": "v21"}


def faults(version, action, answer):
    return [f"{fault.path}: {fault.message}" for fault in version.schemas.result_faults(action, answer)]


@pytest.mark.parametrize("subprotocol", LATER)
async def test_every_message_of_a_charger_gets_the_answer_that_the_specification_has_for_it(csms, subprotocol):
    version = VERSIONS[subprotocol]
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        for action in sorted(version.requests.keys() - version.unconfirmed):
            for whole in (False, True):
                payload = example(FOLDER[subprotocol], f"{action}Request", whole=whole)
                answer = await charger.call(action, payload)
                assert faults(version, action, answer) == [], (action, answer)
    assert await csms.lines("ocpp_cp_schema_faults_total") == []
    assert await csms.metric("ocpp_store_failures_total") == 0


@pytest.mark.parametrize("subprotocol", LATER)
async def test_every_command_reaches_the_charger_and_its_answer_is_read(csms, subprotocol):
    version = VERSIONS[subprotocol]
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        for action, command in sorted(version.commands.items()):
            for whole in (False, True):
                asked = example(FOLDER[subprotocol], f"{action}Request", whole=whole)
                told = example(FOLDER[subprotocol], f"{action}Response", whole=whole)
                waiting = asyncio.create_task(csms.central.commands.send_payload("CP1", action, asked))
                frame = await charger.expect(action)
                assert frame[3] == asked
                await charger.reply(frame, told)
                result = await waiting
                assert result.payload == told
                assert result.status == command.status(told) != "other", (action, told)
    assert await csms.metric("ocpp_store_failures_total") == 0


@pytest.mark.parametrize("subprotocol", LATER)
async def test_commands_go_out_by_the_payload_classes_of_the_ocpp_package(csms, subprotocol):
    call = pytest.importorskip(f"ocpp.{FOLDER[subprotocol]}.call")
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        waiting = asyncio.create_task(csms.central.call("CP1", call.Reset(type="OnIdle", evse_id=2)))
        frame = await charger.expect("Reset")
        assert frame[3] == {"type": "OnIdle", "evseId": 2}
        await charger.reply(frame, {"status": "Scheduled"})
        assert (await waiting).accepted


@pytest.mark.parametrize("subprotocol", LATER)
async def test_whatever_a_charger_s_message_lacks_or_has_too_much_of_is_answered(csms, subprotocol):
    """Any field of any message may be missing, or hold what it should not."""
    version = VERSIONS[subprotocol]
    odd = ["", -1, 2**70, [], {}, None, [None], [{}], {"id": []}]
    async with csms.charger("CP1", subprotocols=[subprotocol]) as charger:
        for action in sorted(version.requests.keys() - version.unconfirmed):
            payload = example(FOLDER[subprotocol], f"{action}Request", whole=True)
            broken = [{}, *({**payload, name: value} for name in payload for value in odd)]
            for number, each in enumerate(broken):
                await charger.send_raw(json.dumps([2, f"{action}-{number}", action, each]))
            for number, each in enumerate(broken):
                frame = await charger.expect()
                assert frame[1] == f"{action}-{number}"
                assert frame[0] == 3 or frame[2] != "InternalError", (action, each)
    assert await csms.metric("ocpp_store_failures_total") == 0


class Listening(Plugin):
    """Keeps what is carried to it."""

    name = "listening"
    events = (NoticeReceived,)

    def __init__(self):
        self.heard = []

    async def on_event(self, event):
        self.heard.append((event.action, event.payload))


async def test_what_means_nothing_to_us_is_carried_to_plugins_as_it_came(make_csms):
    """Costs and settlements of 2.1 are others' business."""
    listening = Listening()
    csms = await make_csms(plugins=[listening])
    settled = example("v21", "NotifySettlementRequest", whole=True)
    async with csms.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
        assert await charger.call("NotifySettlement", settled) == {}
        await charger.call("Heartbeat")
        await eventually(lambda: listening.heard == [("NotifySettlement", settled)])
