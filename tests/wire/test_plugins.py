"""Plugins: ours do what they are for, and no plugin can harm anything but itself."""

import asyncio
import json
from functools import partial
from importlib.metadata import EntryPoint

import pytest
from websockets.typing import Subprotocol

from support.chargers import BOOT, START, energy, meter_values, status, stop
from support.stations import event, status_2x
from support.waiting import eventually
from wattspan import CentralSystem
from wattspan.csms.plugins import host, runner
from wattspan.csms.plugins.base import Plugin
from wattspan.domain.events import ChargePointBooted, ConnectorStatusChanged, HeartbeatReceived
from wattspan.errors import SettingsError
from wattspan.replay.run import Options, replay

AT = {"cp_id": "CP1", "connector_id": "1"}
LATER = {**START, "timestamp": "2026-11-21T15:00:00Z", "meterStart": 9000}


async def faults(csms, plugin: str, kind: str) -> float | None:
    return await csms.metric("ocpp_central_plugin_errors_total", plugin=plugin, kind=kind)


# Orphans


@pytest.mark.parametrize("end", ["boot", "next start"])
async def test_an_orphan_is_closed_and_its_late_stop_adds_only_the_difference(csms, end):
    async with csms.charger("CP1") as charger:
        tx = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, energy(6000)))
        if end == "boot":
            await charger.call("BootNotification", BOOT)
        else:
            await charger.call("StartTransaction", LATER)
        await csms.becomes(5000, "ocpp_cp_energy_total_wh", cp_id="CP1")
        assert await csms.metric("ocpp_tx_active", **AT) == (0 if end == "boot" else 1)
        await csms.durable()
    await csms.restart()
    async with csms.charger("CP1") as charger:
        for _ in range(2):
            assert await charger.call("StopTransaction", stop(tx, 8500)) == {}
        assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
        assert await csms.metric("ocpp_tx_active", **AT) == (0 if end == "boot" else 1)


async def test_a_start_on_another_connector_and_a_repeated_start_make_no_orphan(csms):
    async with csms.charger("CP1") as charger:
        await charger.call("StartTransaction", START)
        await charger.call("StartTransaction", {**LATER, "connectorId": 2})
        await charger.call("StartTransaction", START)
        await charger.call("Heartbeat")
    await csms.restart()
    assert await csms.metric("ocpp_tx_active", **AT) == 1
    assert await csms.metric("ocpp_tx_active", cp_id="CP1", connector_id="2") == 1
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 0


# Plug and charge


async def test_plugging_in_starts_a_transaction_once_a_plug_in(make_csms):
    csms = await make_csms(plugins=["plug_and_charge"], plug_and_charge_id_tag="AUTO")
    async with csms.charger("CP1") as charger:
        await charger.send("StatusNotification", status("Preparing", connector_id=2))
        frames = [await charger.expect(), await charger.expect()]
        (command,) = (frame for frame in frames if frame[0] == 2)
        assert command[2:] == ["RemoteStartTransaction", {"connectorId": 2, "idTag": "AUTO"}]
        await charger.reply(command, {"status": "Accepted"})
        await charger.call("StatusNotification", status("Preparing", connector_id=2))
        await charger.call("StartTransaction", {**START, "connectorId": 2, "idTag": "AUTO"})
        await charger.call("StatusNotification", status("Preparing", connector_id=2))
        await charger.call("StatusNotification", status("Preparing", connector_id=0))
        await charger.call("Heartbeat")
        assert charger.unread == []


@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp2.1"])
async def test_plugging_in_at_an_evse_authorizes_it_once_whoever_began_the_transaction(make_csms, protocol):
    csms = await make_csms(plugins=["plug_and_charge"], plug_and_charge_id_tag="AUTO")
    async with csms.charger("CS1", subprotocols=[Subprotocol(protocol)]) as station:
        await station.call("StatusNotification", status_2x("Available"))
        await station.call("TransactionEvent", event("Started", 0, state="EVConnected"))  # with the cable
        await station.send("StatusNotification", status_2x("Occupied"))
        frames = [await station.expect(), await station.expect()]
        (command,) = (frame for frame in frames if frame[0] == 2)
        assert command[2] == "RequestStartTransaction"
        assert (command[3]["evseId"], command[3]["idToken"]) == (1, {"idToken": "AUTO", "type": "Central"})
        await station.reply(command, {"status": "Accepted", "transactionId": "T-1"})
        token = {"idToken": "AUTO", "type": "Central"}
        await station.call("TransactionEvent", event("Updated", 1, state="Charging", idToken=token))
        await station.call("StatusNotification", status_2x("Occupied"))
        async with csms.charger("CS1", subprotocols=[Subprotocol(protocol)]) as again:
            await again.call("StatusNotification", status_2x("Occupied"))
            await again.call("Heartbeat")
            assert station.unread == again.unread == []


async def test_plug_and_charge_without_its_id_tag_is_left_out_and_shows(make_csms):
    csms = await make_csms(plugins=["plug_and_charge", "orphans"])
    assert await faults(csms, "plug_and_charge", "raised") == 1


# Audit


async def test_the_audit_log_has_every_connection_and_frame_in_both_directions_with_tokens_masked(make_csms, tmp_path):
    path = tmp_path / "audit.jsonl"
    csms = await make_csms(plugins=["audit"], audit_log=path)
    key = {"key": "AuthorizationKey", "value": "HEXKEY"}
    async with csms.charger("CP1") as charger:
        await charger.call("Authorize", {"idTag": "SECRET"})
        tx = (await charger.call("StartTransaction", {**START, "idTag": "SECRET"}))["transactionId"]
        await charger.call("StopTransaction", stop(tx, idTag="SECRET"))
        await charger.raw("SECRET garbage")
        sending = asyncio.create_task(csms.central.commands.send_payload("CP1", "ChangeConfiguration", key))
        await charger.reply(await charger.expect("ChangeConfiguration"), {"status": "Accepted"})
        await sending
        plain = asyncio.create_task(csms.central.commands.send_payload("CP1", "GetConfiguration", {}))
        held = {"configurationKey": [{**key, "readonly": False}, {"key": "Other", "readonly": True, "value": "seen"}]}
        await charger.reply(await charger.expect("GetConfiguration"), held)
        await plain
    await csms.restart()
    text = path.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["cp_id"] for line in lines} == {"CP1"}
    begin, *lines, end = lines
    assert (begin["event"], begin["protocol"]) == ("connected", "ocpp1.6")
    assert (end["event"], end["code"]) == ("closed", 1000)
    assert [line["direction"] for line in lines] == ["in", "out"] * 4 + ["out", "in"] * 2
    assert lines[0]["frame"][2:] == ["Authorize", {"idTag": "***"}]
    assert lines[8]["frame"][2:] == ["ChangeConfiguration", {"key": "AuthorizationKey", "value": "***"}]
    assert "SECRET" not in text
    assert "HEXKEY" not in text
    assert "seen" in text


@pytest.mark.parametrize(
    ("protocol", "action", "payload"),
    [
        (
            "ocpp1.6",
            "SendLocalList",
            {
                "listVersion": 1,
                "updateType": "Full",
                "localAuthorizationList": [
                    {"idTag": "SECRET-1", "idTagInfo": {"status": "Accepted", "parentIdTag": "SECRET-2"}},
                    {"idTag": "SECRET-3"},
                ],
            },
        ),
        (
            "ocpp2.0.1",
            "SendLocalList",
            {
                "versionNumber": 1,
                "updateType": "Full",
                "localAuthorizationList": [
                    {
                        "idToken": {"idToken": "SECRET-1", "type": "ISO14443"},
                        "idTokenInfo": {
                            "status": "Accepted",
                            "groupIdToken": {"idToken": "SECRET-2", "type": "Central"},
                        },
                    }
                ],
            },
        ),
    ],
)
async def test_the_audit_log_masks_tokens_inside_lists(make_csms, tmp_path, protocol, action, payload):
    path = tmp_path / "audit.jsonl"
    csms = await make_csms(plugins=["audit"], audit_log=path)
    async with csms.charger("CP1", subprotocols=[protocol]) as charger:
        sending = asyncio.create_task(csms.central.commands.send_payload("CP1", action, payload))
        call = await charger.expect(action)
        await charger.reply(call, {"status": "Accepted"})
        await sending
    await csms.restart()
    assert call[3] == payload
    text = path.read_text()
    assert action in text
    assert "SECRET" not in text


async def test_the_audit_log_unmasked_and_of_what_came_with_the_handshake(make_csms, tmp_path):
    path = tmp_path / "audit.jsonl"
    csms = await make_csms(plugins=["audit"], audit_log=path, audit_unmasked=True)
    async with csms.raw_charger() as charger:
        charger.write(b'[2,"x","Authorize",{"idTag":"SECRET"}]')
        await charger.read()
    await csms.restart()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["frame"][:2] if "frame" in line else line["event"] for line in lines][:3] == [
        "connected",
        [2, "x"],
        [3, "x"],
    ]
    assert "SECRET" in path.read_text()


async def test_the_audit_log_has_the_end_of_the_last_connection_only_when_a_newer_one_replaces_it(make_csms, tmp_path):
    path = tmp_path / "audit.jsonl"
    csms = await make_csms(plugins=["audit"], audit_log=path)
    async with csms.charger("CP1"), csms.charger("CP1") as charger:
        await charger.call("Heartbeat", {})
    await csms.restart()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines if "event" in line] == ["connected", "connected", "closed"]
    report = replay(Options(files=[str(path)]))
    (row,) = report.charge_points
    assert (row["cp_id"], row["version"], row["connections"]) == ("CP1", "ocpp1.6", 2)
    assert not report.findings


# Users' own


class Noting(Plugin):
    """Notes what it is told, in order."""

    name = "noting"

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.stopped = 0

    async def on_event(self, event):
        self.heard.append(event)

    def data_transfer(self, cp_id, vendor_id, message_id, data):
        return {"status": "Accepted", "data": f"{cp_id} {message_id} {data}"} if vendor_id == "mine" else None

    async def stop(self):
        self.stopped += 1


class Broken(Plugin):
    """Raises wherever it is called."""

    name = "broken"
    wants_frames = True

    async def on_event(self, event):
        raise LookupError("event")

    async def on_frame(self, frame):
        raise LookupError("frame")

    def data_transfer(self, cp_id, vendor_id, message_id, data):
        if data == "unsendable":
            return {"status": object()}
        raise LookupError("data")

    async def stop(self):
        raise LookupError("stop")


class Hanging(Plugin):
    """Never returns, and does not even mind being cancelled once."""

    name = "hanging"

    async def on_event(self, event):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            raise


class Misdeclared(Plugin):
    """Its `events` is no tuple of event types."""

    name = "misdeclared"
    events = "ChargePointBooted"


class Stillborn(Plugin):
    """Can't even start."""

    name = "stillborn"

    async def start(self, context):
        raise OSError("no such device")

    async def on_event(self, event):
        raise AssertionError("never started")


async def test_a_plugin_given_in_code_gets_every_event_and_answers_data_transfers(make_csms):
    noting = Noting()
    csms = await make_csms(plugins=[noting, "orphans"])
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("Heartbeat")
        answer = await charger.call("DataTransfer", {"vendorId": "mine", "messageId": "m", "data": "d"})
        assert answer == {"status": "Accepted", "data": "CP1 m d"}
        assert await charger.call("DataTransfer", {"vendorId": "other"}) == {"status": "UnknownVendorId"}
    await csms.restart()
    kinds = [type(event) for event in noting.heard]
    assert kinds.index(ChargePointBooted) < kinds.index(HeartbeatReceived)
    assert noting.stopped == 1


async def test_a_plugin_that_raises_harms_nothing_and_shows(make_csms):
    noting = Noting()
    csms = await make_csms(plugins=[Broken(), Stillborn(), Misdeclared(), noting])
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        assert (await charger.call("DataTransfer", {"vendorId": "mine", "data": "d"}))["status"] == "Accepted"
        assert (await charger.call("DataTransfer", {"vendorId": "mine", "data": "unsendable"}))["status"] == "Accepted"
        await eventually(lambda: len(noting.heard) >= 2)

    async def counted() -> bool:
        return (await faults(csms, "broken", "raised") or 0) >= 8

    await eventually(counted)
    assert await faults(csms, "stillborn", "raised") == 1
    assert await faults(csms, "misdeclared", "raised") == 1
    assert await faults(csms, "noting", "raised") is None


async def test_a_plugin_that_hangs_is_cut_off_and_the_slow_one_loses_only_its_own_events(make_csms, monkeypatch):
    monkeypatch.setattr("wattspan.app.central_system.PluginHost", partial(host.PluginHost, call_timeout_s=0.5))
    monkeypatch.setattr(runner, "MAX_QUEUED", 3)
    noting = Noting()
    csms = await make_csms(plugins=[Hanging(), noting])
    async with csms.charger("CP1") as charger:
        for _ in range(30):
            await charger.call("StatusNotification", status("Available"))
        await eventually(lambda: len([e for e in noting.heard if isinstance(e, ConnectorStatusChanged)]) == 30)

        async def shows() -> object:
            return await faults(csms, "hanging", "timeout") and await faults(csms, "hanging", "dropped")

        await eventually(shows)
    assert await faults(csms, "noting", "dropped") is None


async def test_a_plugin_is_found_by_its_entry_point(make_csms, monkeypatch):
    entry = EntryPoint("mine", "wire_plugin:Mine", host.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _self: Noting)
    monkeypatch.setattr(host, "entry_points", lambda group: [entry] if group == "wattspan.plugins" else [])
    csms = await make_csms(plugins=["mine"])
    async with csms.charger("CP1") as charger:
        assert (await charger.call("DataTransfer", {"vendorId": "mine"}))["status"] == "Accepted"


def test_a_plugin_nobody_knows_is_a_wrong_setting(tmp_path):
    with pytest.raises(SettingsError, match="there is no plugin 'nope'; there are: ask_boot, audit, orphans, plug"):
        CentralSystem(database=str(tmp_path / "x.db"), plugins=["nope"])
