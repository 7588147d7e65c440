"""Charge points behind a load balancer that ends TLS and sends a PROXY protocol header."""

import asyncio
import socket
import ssl
from base64 import b64encode
from ipaddress import IPv4Address, IPv6Address
from socket import SOCK_STREAM

import pytest
from proxyprotocol.result import ProxyResult, ProxyResultIPv4, ProxyResultIPv6, ProxyResultLocal
from proxyprotocol.tlv import ProxyProtocolSSLTLV, ProxyProtocolTLV
from proxyprotocol.v2 import ProxyProtocolV2

from support.certificates import TestAuthority
from support.waiting import eventually
from wattspan.csms.security.credentials import hash_secret, new_secret

UPGRADE = (
    "GET /{cp_id} HTTP/1.1\r\nHost: csms\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n{more}\r\n"
)
CLIENT_CERTIFICATE = 0x28


def header(source: str = "203.0.113.7", secured: ProxyProtocolSSLTLV | None = None) -> bytes:
    tlv = ProxyProtocolTLV() if secured is None else ProxyProtocolTLV(init={0x20: bytes(secured)})
    result: ProxyResult
    if ":" in source:
        result = ProxyResultIPv6((IPv6Address(source), 41000), (IPv6Address("::1"), 443), protocol=SOCK_STREAM, tlv=tlv)
    else:
        ours = (IPv4Address("192.0.2.1"), 443)
        result = ProxyResultIPv4((IPv4Address(source), 41000), ours, protocol=SOCK_STREAM, tlv=tlv)
    return ProxyProtocolV2().pack(result)


def tls(cn: str | None = None, *, verified: bool = True, der: bytes = b"") -> ProxyProtocolSSLTLV:
    """What a load balancer sends that ended TLS, with a client certificate if it has a name or content."""
    has = cn is not None or bool(der)
    init = {CLIENT_CERTIFICATE: der} if der else None
    return ProxyProtocolSSLTLV(
        init=init, has_ssl=True, has_cert_conn=has, has_cert_sess=has, verified=verified, cn=cn, version="TLSv1.3"
    )


async def handshake(port: int, cp_id: str, before: bytes, *, secret: str | None = None, in_parts: bool = False) -> str:
    """Send header and handshake; return the status of the response, or "" if the connection ends without one."""
    basic = "" if secret is None else f"Authorization: Basic {b64encode(f'{cp_id}:{secret}'.encode()).decode()}\r\n"
    request = before + UPGRADE.format(cp_id=cp_id, more=basic).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for part in [request[i : i + 9] for i in range(0, len(request), 9)] if in_parts else [request]:
            writer.write(part)
            await writer.drain()
        line = await reader.readline()
    except ConnectionError:
        return ""
    finally:
        writer.close()
    return line.decode().partition(" ")[2][:3]


@pytest.fixture
async def csms(make_csms):
    return await make_csms(proxy_protocol_from=("127.0.0.1",), unknown_charge_points="reject")


async def register(csms, cp_id: str, *, profile: int = 0, secret: str | None = None) -> None:
    stored = None if secret is None else hash_secret(secret, machine_made=True)
    await csms.store.add_charge_point(cp_id, stored, security_profile=profile)


async def test_the_header_may_come_in_one_part_or_in_many(csms):
    await register(csms, "CP1")
    assert await handshake(csms.central.port, "CP1", header()) == "101"
    assert await handshake(csms.central.port, "CP1", header("2001:db8::7", tls()), in_parts=True) == "101"


async def test_tls_before_the_load_balancer_is_security_profile_2(csms):
    secret = new_secret()
    await register(csms, "CP1", profile=2, secret=secret)
    assert await handshake(csms.central.port, "CP1", header(), secret=secret) == "403"
    assert await handshake(csms.central.port, "CP1", header(secured=tls()), secret=secret) == "101"


async def test_a_certificate_that_the_load_balancer_verified_is_security_profile_3(csms):
    await register(csms, "CP1", profile=3)
    assert await handshake(csms.central.port, "CP1", header(secured=tls("CP1"))) == "101"
    assert await handshake(csms.central.port, "CP1", header(secured=tls("CP1", verified=False))) == "403"
    assert await handshake(csms.central.port, "CP1", header(secured=tls("CP2"))) == "403"
    assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="certificate_of_another") == 1


async def test_a_whole_certificate_has_its_organization_and_expiry(make_csms, tmp_path):
    csms = await make_csms(proxy_protocol_from=("127.0.0.0/8",), cpo_name="Fleet GmbH")
    await register(csms, "CP1", profile=3)
    fleet = TestAuthority(tmp_path, "fleet")
    for organization, status in (("Fleet GmbH", "101"), ("Another", "403")):
        pem = fleet.pair("CP1", organization=organization).cert.read_text()
        before = header(secured=tls(der=ssl.PEM_cert_to_DER_cert(pem)))
        assert await handshake(csms.central.port, "CP1", before) == status
    assert await handshake(csms.central.port, "CP1", header(secured=tls("CP1"))) == "403"


async def test_failed_attempts_count_against_the_charge_point_s_address(csms):
    """Not against the load balancer's, which all charge points share."""
    await register(csms, "CP1", profile=1, secret=new_secret())
    before = header("203.0.113.9")
    refused = [await handshake(csms.central.port, "CP1", before, secret="wrong") for _ in range(12)]
    assert refused[0] == "401"
    assert refused[-1] == "429"
    assert await handshake(csms.central.port, "CP1", header("203.0.113.10"), secret="wrong") == "401"


@pytest.mark.parametrize(
    "before",
    [b"", b"PROXY TCP4 203.0.113.7 192.0.2.1 41000 443\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c" + bytes(12)],
    ids=["none", "version 1", "version 3"],
)
async def test_a_load_balancer_without_a_valid_header_is_closed_and_counted(csms, before):
    await register(csms, "CP1")
    assert await handshake(csms.central.port, "CP1", before) == ""
    assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="proxy_header") == 1


async def test_a_health_check_of_the_load_balancer_needs_no_address(csms):
    await register(csms, "CP1")
    assert await handshake(csms.central.port, "CP1", ProxyProtocolV2().pack(ProxyResultLocal())) == "101"


async def test_nobody_else_is_believed(make_csms):
    csms = await make_csms(proxy_protocol_from=("203.0.113.0/24",), unknown_charge_points="reject")
    await register(csms, "CP1")
    assert await handshake(csms.central.port, "CP1", b"") == "101"
    assert await handshake(csms.central.port, "CP1", header(secured=tls("CP1"))) == "400"


async def test_a_connection_that_ends_within_its_header_leaves_nothing(csms):
    _, writer = await asyncio.open_connection("127.0.0.1", csms.central.port)
    writer.write(header()[:10])
    await writer.drain()
    writer.close()
    await register(csms, "CP1")
    assert await handshake(csms.central.port, "CP1", header()) == "101"
    await eventually(lambda: csms.central.counters.sockets == 0)
