"""Mirrors: a second central system gets what the charge point sends, and changes nothing for it."""

import json

import pytest
from websockets.asyncio.server import ServerConnection, serve

from support.central import Csms
from support.chargers import BOOT, START, energy, meter_values, status, stop
from support.ports import free_port
from support.proxies import Proxy
from support.raw_central import RawCentralSystem
from support.stations import BOOT_2X
from support.waiting import eventually
from wattspan.errors import CommandRefused, SettingsError
from wattspan.ocppj.large import LARGE_BYTES
from wattspan.proxy.mirror import Mirror
from wattspan.proxy.target import Template


@pytest.fixture
async def mirror(tmp_path, empty_database):
    """Another central system, whose next transaction id is 4."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    csms = Csms(folder / "fleet.db")
    await csms.start()
    async with csms.charger("OTHER") as charger:
        for connector in (1, 2, 3):
            await charger.call("StartTransaction", START | {"connectorId": connector})
    yield csms
    await csms.stop()


def label(csms: Csms) -> str:
    return f"127.0.0.1:{csms.central.port}"


async def session(charger) -> None:
    await charger.call("BootNotification", BOOT)
    await charger.call("StatusNotification", status("Charging"))
    transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
    await charger.call("MeterValues", meter_values(transaction_id, energy(4000)))
    await charger.call("StopTransaction", stop(transaction_id))


async def test_a_mirror_sees_the_session_under_its_own_transaction_id(csms, mirror, tmp_path):
    mirrors = {"mirrors": [mirror.url("/ws/{cp_id}")]}
    async with (
        Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **mirrors) as proxy,
        proxy.charger("CP1") as charger,
    ):
        await session(charger)
        await mirror.becomes(7500, "ocpp_cp_energy_total_wh", cp_id="CP1")
        await proxy.becomes(5, "ocpp_proxy_mirror_messages_total", mirror=label(mirror), outcome="answered")
        assert charger.unread == []  # no answer of the mirror
    transactions = mirror.central.fleet
    assert await mirror.metric("ocpp_tx_total", cp_id="CP1") == 1
    assert transactions.last_transaction_id == 4
    assert csms.central.fleet.last_transaction_id == 1
    await mirror.becomes(0, "ocpp_cp_connected", cp_id="CP1")


async def test_a_command_of_a_mirror_is_answered_not_supported_and_reaches_nobody(csms, mirror, tmp_path):
    mirrors = {"mirrors": [mirror.url("/ws/{cp_id}")]}
    async with (
        Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **mirrors) as proxy,
        proxy.charger("CP1") as charger,
    ):
        await mirror.central.wait_until_connected("CP1", 20)
        with pytest.raises(CommandRefused) as refused:
            await mirror.central.commands.send_payload("CP1", "Reset", {"type": "Hard"})
        assert refused.value.code == "NotSupported"
        await charger.call("Heartbeat")
        assert charger.unread == []


async def test_a_mirror_that_is_down_changes_nothing_and_gets_what_waits_when_it_is_up(
    csms, mirror, tmp_path, monkeypatch
):
    monkeypatch.setattr("wattspan.proxy.mirror.RETRY_S", (0.01,))
    port = free_port()
    await mirror.stop()
    mirrors = {"mirrors": [f"ws://127.0.0.1:{port}/ws/{{cp_id}}"]}
    async with (
        Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **mirrors) as proxy,
        proxy.charger("CP1") as charger,
    ):
        await session(charger)
        assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
        mirror._settings["port"] = port
        await mirror.start()
        await mirror.becomes(7500, "ocpp_cp_energy_total_wh", cp_id="CP1")


async def test_what_finds_no_room_for_a_mirror_is_dropped_and_counted(csms, tmp_path, monkeypatch):
    monkeypatch.setattr("wattspan.proxy.mirror.MAX_QUEUED", 2)
    async with RawCentralSystem() as hanging:
        mirrors = {"mirrors": [f"ws://127.0.0.1:{hanging.port}/{{cp_id}}"]}
        async with (
            Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **mirrors) as proxy,
            proxy.charger("CP1") as charger,
        ):
            await hanging.next()
            for _ in range(10):
                await charger.call("Heartbeat")

            async def dropped() -> bool:
                name = {"mirror": f"127.0.0.1:{hanging.port}", "outcome": "dropped"}
                return (await proxy.metric("ocpp_proxy_mirror_messages_total", **name) or 0) >= 7

            await eventually(dropped)


async def test_unanswered_messages_of_2_1_reach_a_mirror_in_order_and_nothing_waits_for_an_answer(
    csms, mirror, tmp_path
):
    stream = {"id": 1, "pending": 0, "basetime": "2026-03-02T08:00:00Z", "data": [{"t": 0, "v": "1"}]}
    mirrors = {"mirrors": [mirror.url("/ws/{cp_id}")]}
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **mirrors) as proxy:
        async with proxy.charger("CP1", subprotocols=["ocpp2.1"]) as charger:
            await charger.call("BootNotification", BOOT_2X)
            for number in range(3):
                await charger.send_raw(json.dumps([6, f"s{number}", "NotifyPeriodicEventStream", stream]))
            await charger.call("Heartbeat")
            for outcome, count in (("sent", 3), ("answered", 2)):
                await proxy.becomes(count, "ocpp_proxy_mirror_messages_total", mirror=label(mirror), outcome=outcome)
            for system in (csms, mirror):
                sends = {"direction": "in", "message_type": "NotifyPeriodicEventStream"}
                await system.becomes(3, "ocpp_central_messages_total", **sends)
            await charger.send_raw(json.dumps([5, "s2", "InternalError", "", {}]))  # concerns an answer of the primary
            await csms.becomes(1, "ocpp_central_result_errors_total", error_type="InternalError")
        await mirror.becomes(0, "ocpp_cp_connected", cp_id="CP1")
        assert await mirror.metric("ocpp_central_result_errors_total", error_type="InternalError") is None


async def test_a_message_too_long_for_a_mirror_is_dropped_and_counted(csms, mirror, tmp_path):
    mirrors = {"mirrors": [mirror.url("/ws/{cp_id}")]}
    async with (
        Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **mirrors) as proxy,
        proxy.charger("CP1") as charger,
    ):
        await charger.call("DataTransfer", {"vendorId": "Acme", "data": "x" * LARGE_BYTES})
        await charger.call("Heartbeat")
        for outcome in ("dropped", "answered"):
            await proxy.becomes(1, "ocpp_proxy_mirror_messages_total", mirror=label(mirror), outcome=outcome)


async def test_different_answers_are_counted_and_reported(csms, tmp_path):
    """The mirror refuses the id tag, and hangs up on a heartbeat."""

    async def differ(connection: ServerConnection) -> None:
        async for text in connection:  # ends when the mirror is left with 1001
            _, message_id, action, _ = json.loads(text)
            if action == "Authorize":
                await connection.send(json.dumps([3, message_id, {"idTagInfo": {"status": "Blocked"}}]))
            elif action == "StatusNotification":
                await connection.send(json.dumps([3, message_id, {}]))
            elif action == "Heartbeat":
                await connection.close()
                return

    async with serve(differ, "127.0.0.1", 0, subprotocols=["ocpp1.6"]) as server:
        port = server.sockets[0].getsockname()[1]
        mirrors = {"mirrors": [f"ws://127.0.0.1:{port}/{{cp_id}}"], "compare": True}
        async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **mirrors) as proxy:
            assert "no answers" in await proxy.page("/compare")
            async with proxy.charger("CP1") as charger:
                await charger.call("Authorize", {"idTag": "SECRET-TAG"})
                await charger.call("StatusNotification", status("Available"))
                await charger.call("Heartbeat")
                for kind in ("status", "missing"):
                    await proxy.becomes(
                        1, "ocpp_proxy_mirror_differences_total", mirror=f"127.0.0.1:{port}", difference=kind
                    )
            report = await proxy.page("/compare")
    assert "1 x Accepted by the primary, Blocked by the mirror" in report
    assert "SECRET" not in report
    assert [line.split()[1] for line in report.splitlines() if line.startswith("127.")] == [
        "Authorize",
        "Heartbeat",
        "StatusNotification",
    ]


def test_mirrors_at_one_host_are_told_apart():
    urls = ["ws://x/a/{cp_id}", "ws://x/b/{cp_id}", "wss://y/{cp_id}"]
    mirrors = Mirror.all_of([Template.parse(url) for url in urls], None)
    assert [each.label for each in mirrors] == ["x:80/a/{cp_id}", "x:80/b/{cp_id}", "y:443"]


async def test_the_report_needs_the_credentials_of_the_metrics(csms, tmp_path):
    settings = {"mirrors": [csms.url("/mirror/{cp_id}")], "compare": True, "metrics_token": "secret"}
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **settings) as proxy:
        assert await proxy.page("/compare") == "credentials needed\n"


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"upstream": "wss://csms.example/ocpp"}, "has no {cp_id} in its path"),
        ({"upstream": "https://csms.example/{cp_id}"}, "is not a WebSocket URL"),
        ({"upstream": "wss://user:secret@csms.example/{cp_id}"}, "credentials have no place in the URL"),
        ({"upstream": "ws://csms.example/{cp_id}", "compare": True}, "needs a mirror as well"),
        ({"upstream": "ws://csms.example/{cp_id}", "mirrors": ["ws://x/"]}, "has no {cp_id} in its path"),
        ({"upstream": "ws://x/{cp_id}", "mirrors": ["ws://x/{cp_id}"]}, "ws://x/{cp_id} is given twice"),
        ({"upstream": "ws://x/{cp_id}", "mirrors": 2 * ["ws://y/{cp_id}"]}, "ws://y/{cp_id} is given twice"),
        ({"upstream": "ws://csms.example/{cp_id}", "upstream_cert": "{cp_id}.pem"}, "need a wss:// URL"),
        ({"upstream": "wss://csms.example/{cp_id}", "upstream_cert": "{cp_id}.pem"}, "needs tls_client_ca"),
        ({}, "is required"),
    ],
)
async def test_settings_that_make_no_sense_are_reported(tmp_path, settings, fault):
    with pytest.raises(SettingsError) as raised:
        await Proxy(tmp_path / "proxy.db", **({"upstream": ""} | settings)).__aenter__()
    assert fault in str(raised.value)
    assert "secret" not in str(raised.value)
