"""The whole proxy in front of real central systems: what it shows, and that showing it harms nothing."""

import asyncio
import json
import logging
import re
import ssl

import pytest

from support.certificates import SERVER, TestAuthority, client_context
from support.chargers import BOOT, START, energy, meter_values, status, stop
from support.observing import tracing
from support.proxies import Proxy
from support.raw_central import RawCentralSystem
from support.stations import BOOT_2X, event, register
from support.waiting import eventually
from wattspan.observe import Conversation
from wattspan.ocppj.large import LARGE_BYTES

OWN = re.compile(r"#|ocpp_proxy_|target_info|process_|http_|database_|system_|ocpp_store_|.*(_seconds|_ts)[_{ ]")
"""What differs: times, the process, its database, and what only the proxy has."""


async def session(charger) -> None:
    """One session of a 1.6 charge point."""
    await charger.call("BootNotification", BOOT)
    await charger.call("StatusNotification", status("Charging"))
    answer = await charger.call("StartTransaction", START)
    await charger.call("MeterValues", meter_values(answer["transactionId"], energy(4000)))
    await charger.call("StopTransaction", stop(answer["transactionId"]))
    await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))


async def session_2x(charger) -> None:
    """One session of a 2.0.1 station."""
    await charger.call("BootNotification", BOOT_2X)
    await charger.call("TransactionEvent", event("Started", 0, register(100), state="Charging"))
    await charger.call("TransactionEvent", event("Ended", 1, register(700), minute=9))


def shown(page: str) -> list[str]:
    return sorted(line for line in page.splitlines() if not OWN.match(line) and not line.startswith("target_info{"))


def messages(spans):
    return [span for span in spans.get_finished_spans() if "rpc.method" in span.attributes]


async def test_the_page_is_that_of_the_central_system_behind_it(csms, tmp_path):
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy:
        async with proxy.charger("CP1") as charger, proxy.charger("CP2", subprotocols=["ocpp2.0.1"]) as station:
            await session(charger)
            await session_2x(station)
            sending = asyncio.ensure_future(csms.central.commands.send_payload("CP1", "Reset", {"type": "Soft"}))
            call = await charger.expect("Reset")
            await charger.reply(call, {"status": "Accepted"})
            await sending
        for system in (proxy, csms):
            await system.becomes(0, "ocpp_cp_connected", cp_id="CP2")
            await system.becomes(0, "ocpp_cp_connected", cp_id="CP1")
        assert shown(await proxy.page()) == shown("\n".join(await csms.page()))
        assert await proxy.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
        assert await proxy.metric("ocpp_proxy_upstream_seconds_count", message_type="BootNotification") == 2


async def test_what_was_observed_is_there_again_after_a_restart_and_an_open_session_goes_on(csms, tmp_path):
    for expected in (0, 1):
        async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy:
            assert await proxy.metric("ocpp_tx_active", cp_id="CP1", connector_id="1") == (1 if expected else None)
            async with proxy.charger("CP1") as charger:
                if expected:
                    await charger.call("StopTransaction", stop(1))
                else:
                    assert (await charger.call("StartTransaction", START))["transactionId"] == 1
                await proxy.becomes(1 - expected, "ocpp_tx_active", cp_id="CP1", connector_id="1")
                await proxy.becomes(1, "ocpp_tx_total", cp_id="CP1")
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy:
        assert await proxy.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_a_charge_point_is_on_the_page_only_after_the_central_system_let_it_in(tmp_path):
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    async with (
        RawCentralSystem(refusal) as csms,
        Proxy(tmp_path / "proxy.db", f"ws://127.0.0.1:{csms.port}/{{cp_id}}") as proxy,
    ):
        with pytest.raises(Exception, match="401"):
            await proxy.charger("CP1").__aenter__()
        assert 'cp_id="CP1"' not in await proxy.page()
        assert await proxy.metric("ocpp_central_handshakes_rejected_total", reason="upstream_401") == 1


@pytest.mark.parametrize("secure", [False, True])
async def test_connections_that_stay_silent_keep_no_charge_point_out(csms, tmp_path, secure):
    authority = TestAuthority(tmp_path, "servers")
    pair = authority.pair("127.0.0.1", use=SERVER, alternative=("127.0.0.1",))
    tls = {"tls_cert": str(pair.cert), "tls_key": str(pair.key)} if secure else {}
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), **tls) as proxy:
        openings = proxy.server.relay._openings
        openings._limit = 20
        silent = [await asyncio.open_connection("127.0.0.1", proxy.server.port) for _ in range(60)]
        async with proxy.charger("CP1", **({"ssl": client_context(authority.cert)} if secure else {})) as charger:
            assert await charger.call("Heartbeat")
        assert await asyncio.wait_for(silent[0][0].read(), 10) == b""
        assert len(openings) <= 20
        for _, writer in silent:
            writer.close()
        await eventually(lambda: not len(openings))
        assert await proxy.metric("ocpp_central_handshakes_rejected_total", reason="silent") >= 40


async def test_an_observer_that_fails_changes_nothing_for_the_charge_point(csms, tmp_path, monkeypatch):
    def fail(*_args: object) -> None:
        raise RuntimeError("broken on purpose")

    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy:
        monkeypatch.setattr(Conversation, "frame", fail)
        async with proxy.charger("CP1") as charger:
            await session(charger)
        assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500
        await proxy.becomes(12, "ocpp_proxy_unobserved_total", reason="failure")


async def test_messages_that_find_no_room_in_the_queue_pass_unobserved_and_are_counted(csms, tmp_path):
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy:
        proxy.server._observation._max_frames = 0
        async with proxy.charger("CP1") as charger:
            await session(charger)
        await proxy.becomes(12, "ocpp_proxy_unobserved_total", reason="queue_full")
        await proxy.becomes(0, "ocpp_cp_connected", cp_id="CP1")  # the end of a connection always has room
        assert await proxy.metric("ocpp_tx_total", cp_id="CP1") == 0


@pytest.mark.parametrize(("samples", "unobserved"), [(3_500, None), (13_000, 1)])
async def test_a_message_of_more_samples_than_the_observer_takes_passes_unobserved(csms, tmp_path, samples, unobserved):
    """A sample that repeats is a reading: 13,000 of them, 240 kB, would keep other frames waiting."""
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy, proxy.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        sampled = [{"value": str(START["meterStart"] + n // 100)} for n in range(samples)]
        value = {"timestamp": START["timestamp"], "sampledValue": sampled[:500]}
        value = [value | {"sampledValue": sampled[at : at + 500]} for at in range(0, samples, 500)]
        call = {"connectorId": 1, "transactionId": started["transactionId"], "meterValue": value}
        assert await charger.call("MeterValues", call) == {}
        await charger.call("Heartbeat")
        await proxy.becomes(1, "ocpp_central_messages_total", direction="in", message_type="Heartbeat")
        assert await proxy.metric("ocpp_observer_unobserved_total", reason="readings") == unobserved
        shown = {"cp_id": "CP1", "connector_id": "1"}
        assert await csms.metric("ocpp_tx_energy_wh", **shown) == (samples - 1) // 100
        assert await proxy.metric("ocpp_tx_energy_wh", **shown) == (0 if unobserved else (samples - 1) // 100)


async def test_a_message_of_the_longest_observed_length_is_observed_and_one_byte_more_passes_unobserved(csms, tmp_path):
    longest = json.dumps([2, "1", "DataTransfer", {"vendorId": "Acme", "data": ""}]).encode()
    longest = longest.replace(b'""', b'"%b"' % (b"x" * (LARGE_BYTES - len(longest))))
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy, proxy.charger("CP1") as charger:
        for message in (longest, longest.replace(b"xx", b"xxx", 1)):
            await charger.send_raw(message.decode())
            await charger.expect()
        await proxy.becomes(1, "ocpp_proxy_unobserved_total", reason="message_too_long")
        await proxy.becomes(1, "ocpp_central_messages_total", direction="in", message_type="DataTransfer")


async def test_a_message_too_long_to_observe_passes_whole_or_in_fragments(csms, tmp_path):
    long = json.dumps([2, "1", "DataTransfer", {"vendorId": "Acme", "data": "x" * (1 << 20)}])
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy, proxy.charger("CP1") as charger:
        await charger.socket.send(long)
        assert json.loads(await charger.socket.recv())[0] == 3
        await charger.socket.send([long[:100], long[100:900_000], long[900_000:]])
        assert json.loads(await charger.socket.recv())[0] == 3
        await proxy.becomes(2, "ocpp_proxy_unobserved_total", reason="message_too_long")


async def test_fragments_and_binary_messages_are_observed_as_the_messages_they_are(csms, tmp_path):
    boot = json.dumps([2, "1", "BootNotification", BOOT])
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy, proxy.charger("CP1") as charger:
        await charger.socket.send([boot[:9], boot[9:20], boot[20:]])
        await charger.socket.recv()
        await charger.socket.send(boot.encode())
        await charger.socket.recv()
        await proxy.becomes(2, "ocpp_cp_boots_total", cp_id="CP1")
        for system in (proxy, csms):
            await system.becomes(1, "ocpp_cp_errors_total", cp_id="CP1", error_type="FormationViolation")


async def test_a_database_that_is_down_changes_nothing_for_the_charge_point(csms, tmp_path):
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy:
        store = proxy.server.store
        store.write = lambda _batch, done: done(OSError("disk full"))  # type: ignore[method-assign]
        async with proxy.charger("CP1") as charger:
            await session(charger)
            await proxy.becomes(7500, "ocpp_cp_energy_total_wh", cp_id="CP1")
            assert "ready" in await proxy.page("/readyz")
        del store.write  # type: ignore[method-assign]
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy:
        assert await proxy.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_the_way_to_the_central_system_is_a_child_span_of_the_message(csms, tmp_path):
    provider, spans = tracing()
    proxied = Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}"), tracer_provider=provider)
    async with proxied as proxy, proxy.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await eventually(lambda: len(messages(spans)) == 2)
    child, whole = sorted(messages(spans), key=lambda span: span.parent is None)
    assert {child.name, whole.name} == {"BootNotification"}
    assert child.parent is not None
    assert child.parent.span_id == whole.context.span_id
    assert (child.kind.name, whole.kind.name) == ("CLIENT", "SERVER")
    assert whole.start_time <= child.start_time <= child.end_time <= whole.end_time


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("ChangeConfiguration", {"key": "BackendURL", "value": "elsewhere.example"}),
        ("ChangeConfiguration", {"key": "AnyName", "value": "wss://elsewhere.example/ocpp"}),
        ("DataTransfer", {"vendorId": "Acme", "messageId": "ServerUrl", "data": "wss://elsewhere.example"}),
    ],
)
async def test_a_command_that_redirects_the_charge_point_is_relayed_and_warned_about(
    csms, tmp_path, caplog, action, payload
):
    async with Proxy(tmp_path / "proxy.db", csms.url("/ws/{cp_id}")) as proxy, proxy.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        with caplog.at_level(logging.WARNING):
            sending = asyncio.ensure_future(csms.central.commands.send_payload("CP1", action, payload))
            call = await charger.expect(action)
            assert call[3] == payload
            await charger.reply(call, {"status": "Accepted"})
            await sending
            await proxy.becomes(1, "ocpp_proxy_redirections_total", action=action)
        assert "CP1" in caplog.text
        assert "elsewhere" not in caplog.text


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authorities")
    return folder, TestAuthority(folder, "servers"), TestAuthority(folder, "chargers")


async def test_security_profile_3_on_both_hops(make_csms, tmp_path, authorities):
    folder, servers, chargers = authorities
    theirs = servers.pair("localhost", use=SERVER, alternative=("127.0.0.1", "localhost"), file="csms")
    ours = servers.pair("proxy", use=SERVER, alternative=("127.0.0.1",), file="proxy")
    for cp_id in ("CP1", "CP2"):
        pair = chargers.pair(cp_id)
        (folder / f"{cp_id}.pem").write_bytes(pair.cert.read_bytes() + pair.key.read_bytes())
    csms = await make_csms(
        tls_cert=str(theirs.cert),
        tls_key=str(theirs.key),
        tls_client_ca=str(chargers.cert),
        min_security_profile=3,
        unknown_charge_points="accept",
    )
    settings = {
        "tls_cert": str(ours.cert),
        "tls_key": str(ours.key),
        "tls_client_ca": str(chargers.cert),
        "upstream_ca": str(servers.cert),
        "upstream_cert": str(folder / "{cp_id}.pem"),
    }
    upstream = f"wss://127.0.0.1:{csms.central.port}/ws/{{cp_id}}"
    async with Proxy(tmp_path / "proxy.db", upstream, **settings) as proxy:
        context = client_context(servers.cert, chargers.pair("CP1"))
        async with proxy.charger("CP1", ssl=context) as charger:
            await charger.call("BootNotification", BOOT)
            await proxy.becomes(1, "ocpp_cp_boots_total", cp_id="CP1")
            assert await proxy.metric("ocpp_cp_certificate_expires_ts", cp_id="CP1") is not None
        for cp_id, used in (("CP2", context), ("CP2", ssl.create_default_context(cafile=servers.cert))):
            with pytest.raises(Exception, match="403"):  # another's certificate, and none
                await proxy.charger(cp_id, ssl=used).__aenter__()
        third = client_context(servers.cert, chargers.pair("CP3"))
        with pytest.raises(Exception, match="503"):  # the proxy has no file for it
            await proxy.charger("CP3", ssl=third).__aenter__()


async def test_a_central_system_with_a_certificate_of_nobody_is_not_trusted(make_csms, tmp_path, authorities):
    _, servers, chargers = authorities
    theirs = servers.pair("localhost", use=SERVER, alternative=("127.0.0.1",), file="untrusted")
    csms = await make_csms(tls_cert=str(theirs.cert), tls_key=str(theirs.key))
    upstream = f"wss://127.0.0.1:{csms.central.port}/ws/{{cp_id}}"
    async with Proxy(tmp_path / "proxy.db", upstream, upstream_ca=str(chargers.cert)) as proxy:
        with pytest.raises(Exception, match="502"):
            await proxy.charger("CP1").__aenter__()
