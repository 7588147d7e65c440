"""A central system with TLS and an authority for client certificates, and chargers that use them."""

import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus

from support.central import Csms
from support.certificates import SERVER, Pair, TestAuthority, client_context
from support.chargers import Charger
from wattspan.csms.security.credentials import hash_secret

REFUSED_BY_TLS = 0
"""In the place of an HTTP status: no HTTP was spoken."""


class Secured:
    """A central system with TLS on a second port."""

    def __init__(self, csms: Csms, servers: TestAuthority, fleet: TestAuthority, server: Pair) -> None:
        self.csms = csms
        self.servers = servers
        self.fleet = fleet
        self.server = server

    def charger(
        self, cp_id: str, *, tls: bool = True, pair: Pair | None = None, secret: str | None = None, **options: Any
    ) -> Charger:
        """A charger that connects when entered, by whatever security profile this makes."""
        if secret is not None:
            basic = b64encode(f"{cp_id}:{secret}".encode()).decode()
            options["additional_headers"] = {"Authorization": f"Basic {basic}"}
        if not tls:
            return self.csms.charger(cp_id, **options)
        context = options.pop("context", None) or client_context(self.servers.cert, pair)
        return Charger(f"wss://127.0.0.1:{self.csms.central.tls_port}/{cp_id}", ssl=context, **options)

    async def outcome(self, cp_id: str, **how: Any) -> int:
        """The HTTP status of its handshake, and that it speaks where that is 101; REFUSED_BY_TLS where TLS ends it."""
        try:
            async with self.charger(cp_id, **how) as charger:
                await charger.call("Heartbeat")
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code
        except (ssl.SSLError, ConnectionError, InvalidMessage):
            # With TLS 1.3 the client is through before the server has looked at its certificate.
            return REFUSED_BY_TLS
        except InvalidHandshake as exc:
            raise AssertionError from exc

    async def register(self, cp_id: str, secret: str | None = None, profile: int | None = None) -> None:
        """Put it into the books."""
        stored = None if secret is None else hash_secret(secret, machine_made=True)
        await self.csms.store.add_charge_point(cp_id, stored, security_profile=profile)

    async def rejected(self, reason: str) -> float | None:
        """How many handshakes were rejected for it."""
        return await self.csms.metric("ocpp_central_handshakes_rejected_total", reason=reason)


@pytest.fixture
def authorities(tmp_path: Path) -> tuple[TestAuthority, TestAuthority]:
    """Of servers, and of charge points."""
    return TestAuthority(tmp_path, "servers"), TestAuthority(tmp_path, "fleet")


@pytest.fixture
def server_pair(authorities: tuple[TestAuthority, TestAuthority]) -> Pair:
    """The central system's own."""
    return authorities[0].pair("127.0.0.1", use=SERVER, alternative=("127.0.0.1",), file="server")


@pytest.fixture
def make_secured(
    make_csms: Callable[..., Awaitable[Csms]], authorities: tuple[TestAuthority, TestAuthority], server_pair: Pair
) -> Callable[..., Awaitable[Secured]]:
    """Start one with these settings besides."""
    servers, fleet = authorities

    async def make(**settings: Any) -> Secured:
        given = {
            "tls_port": 0,
            "tls_cert": str(server_pair.cert),
            "tls_key": str(server_pair.key),
            "tls_client_ca": str(fleet.cert),
            **settings,
        }
        csms = await make_csms(**{name: value for name, value in given.items() if value is not None})
        return Secured(csms, servers, fleet, server_pair)

    return make


@pytest.fixture
async def secured(make_secured: Callable[..., Awaitable[Secured]]) -> Secured:
    """One that lets nobody unknown in."""
    return await make_secured(unknown_charge_points="reject")
