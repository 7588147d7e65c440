"""Builds parts of the central system from the settings. It starts none of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from wattspan.api.access.auth_service import AuthService
from wattspan.api.app import make_app
from wattspan.api.middleware import UNMATCHED
from wattspan.api.services import Services
from wattspan.csms.admission import Admission
from wattspan.csms.commands import Commands
from wattspan.csms.connected import ConnectionWaiter
from wattspan.csms.connections import Connections
from wattspan.csms.core import Core
from wattspan.csms.operations.sender import Operations
from wattspan.csms.plugins.host import PluginHost
from wattspan.csms.registry import Registry
from wattspan.csms.security.authority import Authority
from wattspan.csms.security.changes import GuardedCommand, SecurityChanges
from wattspan.csms.security.passwords import Passwords
from wattspan.csms.security.rotation import Rotation
from wattspan.csms.security.signing import Renewal, Signing
from wattspan.domain.fleet import Fleet
from wattspan.http.access import Access
from wattspan.http.metrics import metrics_app
from wattspan.http.server import HttpServer
from wattspan.maintenance import DAY_S
from wattspan.settings import Settings
from wattspan.store.store import Store
from wattspan.telemetry.resource import VERSION
from wattspan.telemetry.setup import Telemetry
from wattspan.versions.base import Payload

SignCertificate = Callable[[str, str, str, Payload], Awaitable[bool]]
"""(cp_id, csr, kind, echo): see `csms.security.signing.Signing.request`."""


def make_admission(
    settings: Settings, fleet: Fleet, store: Store, host: PluginHost, sign_certificate: SignCertificate
) -> Admission:
    """Return the policy that decides who may charge."""
    return Admission(
        fleet=fleet,
        records=store,
        accepts_unknown_id_tags=settings.accepts_unknown_id_tags,
        heartbeat_interval_s=settings.heartbeat_interval_s,
        data_transfer=host.data_transfer,
        sign_certificate=sign_certificate,
    )


def make_auth(settings: Settings, core: Core, store: Store, registry: Registry, passwords: Passwords) -> AuthService:
    """Return the authentication of the API's users and programs."""
    login_s = settings.session_hours * 3600.0
    return AuthService(store, registry, passwords, core.counters, core.recorder, login_s=login_s)


def make_commands(settings: Settings, core: Core, connections: Connections, store: Store) -> Commands:
    """Return the sender of commands."""
    security = SecurityChanges(store=store, clock=core.clock)
    return Commands(
        core,
        connections.connection,
        settings.command_timeout_s,
        lambda cp_id, changes: GuardedCommand(security, cp_id, changes),
    )


def make_rotation(settings: Settings, store: Store, operations: Operations, clock: Callable[[], float]) -> Rotation:
    """Return the rotation of charge points' secrets."""
    return Rotation(store=store, operations=operations, grace_s=settings.credential_grace_s, clock=clock)


def make_renewal(settings: Settings, core: Core, signing: Signing, operations: Operations) -> Renewal:
    """Return the renewal of charge points' certificates."""
    ahead_s = settings.renewal_days * DAY_S
    return Renewal(fleet=core.fleet, signing=signing, ahead_s=ahead_s, operations=operations, clock=core.clock)


async def open_authority(settings: Settings) -> Authority | None:
    """Return the certificate authority of the setting `ca_dir`, or None if there is none. Raises AuthorityError."""
    folder = settings.ca_dir
    if folder is None:
        return None
    return await asyncio.to_thread(
        Authority.open_or_create,
        folder,
        organization=settings.cpo_name,
        signs_with_rsa=settings.rsa_requests == "rsa",
    )


def make_signing(
    settings: Settings,
    authority: Authority | None,
    host: PluginHost,
    store: Store,
    commands: Commands,
    core: Core,
    waiter: ConnectionWaiter,
) -> Signing:
    """Return the handler of charge points' signing requests."""
    return Signing(
        authority=authority,
        plugins=host,
        days=settings.certificate_days,
        store=store,
        send=commands.send_payload,
        wait_connected=waiter.wait,
        fleet=core.fleet,
        record=core.record,
        spawn=core.spawn,
        clock=core.clock,
    )


def api_server(settings: Settings, services: Services) -> HttpServer:
    """Return the server of the HTTP API and the console."""

    def count_refused(status: int) -> None:
        counts, key = services.core.counters.http_requests, ("other", str(status), UNMATCHED)
        counts[key] = counts.get(key, 0) + 1

    return HttpServer(
        make_app(services, VERSION),
        host=settings.api_host,
        port=settings.api_port,
        name="API port",
        option="--api-port",
        tls_cert=settings.api_tls_cert,
        tls_key=settings.api_tls_key,
        trusted_proxies=settings.trusted_proxies,
        on_refused=count_refused,
    )


def api_url(settings: Settings, port: int) -> str:
    """Return the URL of the API from outside, without a slash at the end: the setting, or else host and port."""
    if settings.api_url is not None:
        return settings.api_url.rstrip("/")
    scheme = "https" if settings.api_tls_cert else "http"
    host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    return f"{scheme}://{host}:{port}"


def metrics_server(
    settings: Settings,
    telemetry: Telemetry,
    unready_reasons: Callable[[], Sequence[str]],
    texts: Mapping[str, Callable[[], str]] | None = None,
) -> HttpServer:
    """Return the server of /metrics, /healthz and /readyz, and of further pages of text by their path."""
    return HttpServer(
        metrics_app(telemetry.reader, ready=unready_reasons, access=Access.of(settings), texts=texts),
        host=settings.metrics_host,
        port=settings.metrics_port,
        tls_cert=settings.metrics_tls_cert,
        tls_key=settings.metrics_tls_key,
        trusted_proxies=settings.trusted_proxies,
    )
