"""Security profiles 0 to 3 from real clients, with good, bad, expired, revoked and somebody else's credentials."""

import asyncio
import os
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from support.certificates import SERVER, TestAuthority, client_context
from support.waiting import eventually
from wattspan.csms.security.credentials import new_secret

REFUSED_BY_TLS = 0


async def test_profile_0_has_neither_credentials_nor_tls(secured):
    await secured.register("CP1")
    assert await secured.outcome("CP1", tls=False) == 101


async def test_profile_1_is_credentials_alone(secured):
    secret = new_secret()
    await secured.register("CP1", secret)
    assert await secured.outcome("CP1", tls=False, secret=secret) == 101
    assert await secured.outcome("CP1", tls=False, secret=new_secret()) == 401
    assert await secured.outcome("CP1", tls=False) == 401
    assert await secured.rejected("credentials") == 2


async def test_profile_2_is_credentials_over_tls(secured):
    secret = new_secret()
    await secured.register("CP1", secret, profile=2)
    assert await secured.outcome("CP1", secret=secret) == 101
    assert await secured.outcome("CP1", secret=new_secret()) == 401
    assert await secured.outcome("CP1") == 401
    assert await secured.outcome("CP1", tls=False, secret=secret) == 403
    assert await secured.rejected("profile") == 1


async def test_profile_3_is_a_certificate_in_the_charge_points_own_name(secured):
    await secured.register("CP1", profile=3)
    await secured.register("CP2", profile=3)
    mine = secured.fleet.pair("CP1")
    assert await secured.outcome("CP1", pair=mine) == 101
    assert await secured.outcome("CP2", pair=mine) == 403
    assert await secured.rejected("certificate_of_another") == 1
    assert await secured.outcome("CP1") == 403
    assert await secured.outcome("CP1", tls=False) == 403
    assert await secured.rejected("profile") == 2


async def test_profile_3_by_a_name_among_the_alternative_ones(secured):
    await secured.register("cp1.example", profile=3)
    assert await secured.outcome("cp1.example", pair=secured.fleet.pair("SN-17", alternative=("cp1.example",))) == 101


async def test_a_certificate_of_another_is_no_better_with_the_right_secret(secured):
    secret = new_secret()
    await secured.register("CP2", secret)
    assert await secured.outcome("CP2", pair=secured.fleet.pair("CP1"), secret=secret) == 403


async def test_a_secret_of_another_opens_nothing(secured):
    one, other = new_secret(), new_secret()
    await secured.register("CP1", one)
    await secured.register("CP2", other)
    assert await secured.outcome("CP1", tls=False, secret=other) == 401


async def test_an_expired_certificate_ends_the_tls_handshake(secured):
    await secured.register("CP1", profile=3)
    expired = secured.fleet.pair("CP1", ends_in=-timedelta(hours=1))
    assert await secured.outcome("CP1", pair=expired) == REFUSED_BY_TLS
    assert await secured.rejected("certificate_expired") == 1


async def test_a_certificate_of_an_authority_that_nobody_trusts_ends_the_tls_handshake(secured, tmp_path):
    await secured.register("CP1", profile=3)
    stranger = TestAuthority(tmp_path, "strangers").pair("CP1")
    assert await secured.outcome("CP1", pair=stranger) == REFUSED_BY_TLS
    assert await secured.rejected("certificate_untrusted") == 1


async def test_a_servers_certificate_is_no_charge_points(secured):
    await secured.register("CP1", profile=3)
    assert await secured.outcome("CP1", pair=secured.fleet.pair("CP1", use=SERVER)) == REFUSED_BY_TLS


async def test_a_revoked_certificate_is_refused(make_secured, authorities):
    _, fleet = authorities
    good, bad = fleet.pair("CP1"), fleet.pair("CP1", file="stolen")
    secured = await make_secured(tls_client_crl=str(fleet.crl(bad.serial)))
    await secured.register("CP1", profile=3)
    assert await secured.outcome("CP1", pair=bad) == 403
    assert await secured.rejected("certificate_revoked") == 1
    assert await secured.outcome("CP1", pair=good) == 101


async def test_a_certificate_revoked_while_we_run_is_refused_from_then_on(make_secured, authorities, monkeypatch):
    monkeypatch.setattr("wattspan.gateway.ports.TLS_LOOK_S", 0.02)
    _, fleet = authorities
    pair = fleet.pair("CP1")
    secured = await make_secured(tls_client_crl=str(fleet.crl()))
    await secured.register("CP1", profile=3)
    assert await secured.outcome("CP1", pair=pair) == 101
    fleet.crl(pair.serial)

    async def refused() -> bool:
        try:
            return await secured.outcome("CP1", pair=pair) == 403
        except ConnectionClosed as closed:  # it was open when the list was read
            if closed.rcvd is None or closed.rcvd.code != CloseCode.POLICY_VIOLATION:
                raise
            return False

    await eventually(refused)


async def test_a_renewed_server_certificate_is_used_without_a_restart_and_a_broken_one_is_not(
    secured, monkeypatch, caplog
):
    monkeypatch.setattr("wattspan.gateway.ports.TLS_LOOK_S", 0.02)
    before = await served_serial(secured)
    await secured.register("CP1")
    async with secured.charger("CP1") as charger:
        renewed = secured.servers.pair("127.0.0.1", use=SERVER, alternative=("127.0.0.1",), file="renewed")
        await asyncio.to_thread(os.replace, renewed.key, secured.server.key)
        await asyncio.to_thread(os.replace, renewed.cert, secured.server.cert)

        async def is_new() -> bool:
            return await served_serial(secured) != before

        await eventually(is_new)
        assert await charger.call("Heartbeat")
    after = await served_serial(secured)
    secured.server.cert.write_text("no certificate")

    async def told() -> bool:
        return "stay in force" in caplog.text

    await eventually(told)
    assert await served_serial(secured) == after


async def served_serial(secured) -> str:
    """The serial number of the certificate that the server shows."""
    port = secured.csms.central.tls_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(secured.servers.cert))
    serial = writer.get_extra_info("peercert")["serialNumber"]
    writer.transport.abort()
    assert reader is not None
    return str(serial)


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
async def test_tls_1_2_is_spoken_with_the_suites_of_the_specification(secured, suite):
    await secured.register("CP1")
    context = client_context(secured.servers.cert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    assert await secured.outcome("CP1", context=context) == 101


@pytest.mark.parametrize("weakness", ["version", "suite"])
async def test_older_versions_and_other_suites_are_not_spoken(secured, weakness):
    await secured.register("CP1")
    context = client_context(secured.servers.cert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if weakness == "version":
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    else:
        context.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    assert await secured.outcome("CP1", context=context) == REFUSED_BY_TLS
    assert await secured.rejected("tls") == 1


async def test_without_a_second_port_the_ocpp_port_itself_has_tls(make_secured):
    secured = await make_secured(tls_port=None)
    assert secured.csms.central.tls_port is None
    port = secured.csms.central.port
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(secured.servers.cert))
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.transport.abort()


@pytest.mark.parametrize(("least", "outcomes"), [(0, [101, 101]), (1, [401, 401]), (2, [403, 401])])
async def test_the_least_profile_of_the_server_holds_for_everybody(make_secured, least, outcomes):
    secured = await make_secured(min_security_profile=least)
    await secured.register("CP1")
    assert [await secured.outcome("CP1", tls=False), await secured.outcome("CP1")] == outcomes


async def test_the_expiry_of_both_sides_certificates_is_on_the_page(secured, tmp_path: Path):
    await secured.register("CP1", profile=3)
    assert await secured.csms.metric("ocpp_cp_certificate_expires_ts", cp_id="CP1") is None
    assert await secured.outcome("CP1", pair=secured.fleet.pair("CP1")) == 101
    told = await secured.csms.metric("ocpp_cp_certificate_expires_ts", cp_id="CP1")
    server = await secured.csms.metric("ocpp_central_certificate_expires_ts")
    assert abs(told - server) < 60
    await secured.csms.durable()
    await secured.csms.restart()
    assert await secured.csms.metric("ocpp_cp_certificate_expires_ts", cp_id="CP1") == told


async def test_connections_that_begin_no_tls_handshake_keep_no_charge_point_out(secured):
    """Each takes a file descriptor: they count as silent with those of the port without TLS."""
    await secured.register("CP1", profile=2, secret="s3cret-of-cp1")
    openings = secured.csms.central._gateway._ports._openings
    openings._limit = 20
    port = secured.csms.central.tls_port
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
    assert await secured.outcome("CP1", secret="s3cret-of-cp1") == 101
    assert await asyncio.wait_for(silent[0][0].read(), 10) == b""
    assert len(openings) <= 20
    assert await secured.rejected("silent") >= 40
    for _, writer in silent:
        writer.close()
    await eventually(lambda: not len(openings))


async def test_a_tls_handshake_that_is_never_completed_is_closed(secured, monkeypatch):
    monkeypatch.setattr("wattspan.gateway.secured.HANDSHAKE_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", secured.csms.central.tls_port)
    writer.write(b"\x16\x03\x01")  # the begin of a ClientHello
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    assert not len(secured.csms.central._gateway._ports._openings)


async def test_a_stop_waits_for_no_tls_handshake(secured):
    reader, writer = await asyncio.open_connection("127.0.0.1", secured.csms.central.tls_port)
    await eventually(lambda: len(secured.csms.central._gateway._ports._openings))
    async with asyncio.timeout(10):
        await secured.csms.stop()
        assert await reader.read() == b""
    writer.close()
