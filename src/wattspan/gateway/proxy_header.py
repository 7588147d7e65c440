"""Connections through a load balancer: the PROXY protocol header (version 2) that precedes each of them.

A load balancer that ends TLS hides the charge point's address, its TLS and its certificate; the header names them. Only
configured addresses are believed. It must not know about authentication.
"""

import asyncio
import ipaddress
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from proxyprotocol.result import ProxyResult
from proxyprotocol.v2 import ProxyProtocolV2

from wattspan.gateway.certificates import PeerCertificate
from wattspan.gateway.connection import ChargePointConnection

HEADER_TIMEOUT_S = 5.0
MAX_HEADER_BYTES = 16 << 10
"""Longest header accepted. A certificate in it takes 1 or 2 KiB."""
_CLIENT_CERTIFICATE = 0x28
"""PP2_SUBTYPE_SSL_CLIENT_CERT: the client's certificate as DER. Few load balancers send it."""
_FIXED_BYTES = 16
"""The part of a header that has the length of the rest."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """What a load balancer reports about a connection that it passes on.

    `address` is the charge point's host and port. `tls`: whether it used TLS. `certificate` is its client certificate,
    which the load balancer has verified; if only its common name is known, `certificate_der` is empty.
    """

    address: tuple[str, int]
    tls: bool = False
    certificate: PeerCertificate | None = None
    certificate_der: bytes = b""


def parse_header(data: bytes) -> tuple[Forwarded | None, int] | None:
    """Return the report of a header and the header's length, or None if `data` is only its beginning.

    The report is None for a connection of the load balancer itself, such as a health check.

    Raises:
        ValueError: `data` does not begin with a valid header.
    """
    if len(data) < _FIXED_BYTES:
        return None
    codec = ProxyProtocolV2()
    try:
        size = _FIXED_BYTES + codec.unpack_header(data[:_FIXED_BYTES]).data_len
        return None if len(data) < size else (_report(codec.unpack(data[:size])), size)
    except (ValueError, struct.error) as exc:
        raise ValueError("no valid PROXY protocol header of version 2") from exc


def _report(result: ProxyResult) -> Forwarded | None:
    peer = result.peername
    if not result.proxied or not isinstance(peer, tuple):
        return None
    ssl = result.tlv.ssl
    address = (str(peer[0]), int(peer[1]))
    if not ssl.has_ssl:
        return Forwarded(address=address)
    if not (ssl.verified and (ssl.has_cert_conn or ssl.has_cert_sess)):
        return Forwarded(address=address, tls=True)
    der = ssl.get(_CLIENT_CERTIFICATE) or b""
    if der:
        return Forwarded(address=address, tls=True, certificate=PeerCertificate.parse(der), certificate_der=der)
    named = None if not ssl.cn else PeerCertificate.named(ssl.cn)
    return Forwarded(address=address, tls=True, certificate=named)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancers:
    """The networks whose headers are believed. `on_fault` is called for each connection from them without a header."""

    networks: Sequence[Network]
    on_fault: Callable[[], None]

    @classmethod
    def parse(cls, names: Iterable[str], on_fault: Callable[[], None]) -> "LoadBalancers":
        """Return those of the setting `proxy_protocol_from`. Raises ValueError for what is no address or network."""
        return cls(networks=[ipaddress.ip_network(name, strict=False) for name in names], on_fault=on_fault)

    def have(self, peer: object) -> bool:
        """Return whether a socket's remote address is one of theirs."""
        if not isinstance(peer, tuple) or not peer:
            return False
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self.networks)

    def make_connection(self, *args: Any, **kwargs: Any) -> "ForwardedConnection":
        """Return a connection, as `create_connection` of `websockets` does."""
        connection = ForwardedConnection(*args, **kwargs)
        connection.load_balancers = self
        return connection


class ForwardedConnection(ChargePointConnection):
    """A connection that begins with a header if it comes from a load balancer.

    From anybody else a header is no HTTP, and answered accordingly.
    """

    __slots__ = ("load_balancers",)

    load_balancers: LoadBalancers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport. The header is read by a protocol of its own, which costs later messages nothing."""
        if self.load_balancers.have(transport.get_extra_info("peername")):
            reader = _HeaderReader(self, self.load_balancers.on_fault)
            transport.set_protocol(reader)
            reader.connection_made(transport)
        else:
            super().connection_made(transport)

    def begin(self, transport: asyncio.BaseTransport, forwarded: Forwarded | None) -> None:
        """Take the connection over after its header."""
        self.forwarded = forwarded
        transport.set_protocol(self)
        super().connection_made(transport)


class _HeaderReader(asyncio.Protocol):
    """Reads the header, then gives the connection to its own protocol."""

    def __init__(self, connection: ForwardedConnection, on_fault: Callable[[], None]) -> None:
        self._connection = connection
        self._on_fault = on_fault
        self._received = bytearray()
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the connection."""
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(HEADER_TIMEOUT_S, self._refuse)

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        self._received += data
        try:
            parsed = parse_header(bytes(self._received))
        except ValueError:
            self._refuse()
            return
        if parsed is not None:
            forwarded, size = parsed
            self._stop_timer()
            self._connection.begin(self._transport, forwarded)
            if rest := bytes(self._received[size:]):
                self._connection.data_received(rest)
        elif len(self._received) > MAX_HEADER_BYTES:
            self._refuse()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport if the connection ends before its header."""
        self._stop_timer()

    def _refuse(self) -> None:
        self._stop_timer()
        self._on_fault()
        self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
