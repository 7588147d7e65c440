"""Builds parts of the central system from the settings. It starts none of them."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wattspan.api.access.auth_service import AuthService
from wattspan.api.app import make_app
from wattspan.api.events import EventFeed
from wattspan.api.files import Files
from wattspan.api.middleware import UNMATCHED
from wattspan.api.services import Services
from wattspan.csms.admission import Admission
from wattspan.csms.commands import Commands
from wattspan.csms.connected import ConnectionWaiter
from wattspan.csms.connections import Connections
from wattspan.csms.core import Core
from wattspan.csms.directory import Directory
from wattspan.csms.enrolment import Enrolments
from wattspan.csms.erasure import NodeErasure
from wattspan.csms.operations.sender import Operations
from wattspan.csms.plugins.audit import mask
from wattspan.csms.plugins.base import PluginContext
from wattspan.csms.plugins.host import PluginHost
from wattspan.csms.registry import Registry, RunningFleet
from wattspan.csms.security.authority import Authority
from wattspan.csms.security.changes import GuardedCommand, SecurityChanges
from wattspan.csms.security.passwords import Passwords
from wattspan.csms.security.rotation import RemoteRotation, Rotation
from wattspan.csms.security.signing import Renewal, Signing
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.history.history import History
from wattspan.http.access import Access
from wattspan.http.metrics import metrics_app
from wattspan.http.server import HttpServer
from wattspan.maintenance import DAY_S, Maintenance
from wattspan.settings import Settings
from wattspan.store.records import IdTag
from wattspan.store.store import Store
from wattspan.telemetry.resource import VERSION
from wattspan.telemetry.setup import Telemetry
from wattspan.versions.base import Payload

SignCertificate = Callable[[str, str, str, Payload], Awaitable[bool]]
"""(cp_id, csr, kind, echo): see `csms.security.signing.Signing.request`."""

Enrol = Callable[[str, str, str], Awaitable[IdTag | None]]
"""(cp_id, id_token, kind): see `csms.enrolment.Enrolments.take`."""

PluginCall = Callable[[str, Any], Awaitable[Any]]
"""See `PluginContext.call`."""


def make_admission(
    settings: Settings, fleet: Fleet, store: Store, host: PluginHost, sign_certificate: SignCertificate, enrol: Enrol
) -> Admission:
    """Return the policy that decides who may charge."""
    return Admission(
        fleet=fleet,
        records=store,
        accepts_unknown_id_tags=settings.accepts_unknown_id_tags,
        heartbeat_interval_s=settings.heartbeat_interval_s,
        data_transfer=host.data_transfer,
        sign_certificate=sign_certificate,
        enrol=enrol,
    )


def instance_name(settings: Settings, node: str | None = None) -> str:
    """Return what distinguishes this server from others and stays the same: its node, or its port, and its database."""
    database = settings.database
    if "://" in database:
        url = urlsplit(database)
        database = f"{url.hostname}:{url.port}{url.path}"
    else:
        database = str(Path(database).absolute())
    return f"{node or f'{platform.node()}|{settings.host}:{settings.port}'}|{database}"


def make_auth(settings: Settings, core: Core, store: Store, registry: Registry, passwords: Passwords) -> AuthService:
    """Return the authentication of the API's users and programs."""
    login_s = settings.session_hours * 3600.0
    return AuthService(store, registry, passwords, core.counters, core.recorder, login_s=login_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The register of charge points, id tags and users, and the authentication of users."""

    running: RunningFleet
    registry: Registry
    auth: AuthService
    first_password: str | None
    """The password of the user `admin`, if it was generated now."""


async def open_registry(
    settings: Settings, core: Core, store: Store, connections: Connections, exit_stack: AsyncExitStack
) -> Accounts:
    """Return the register of a running server, with its first administrator; `exit_stack` closes it."""
    passwords = Passwords()
    exit_stack.callback(passwords.close)
    running = RunningFleet(core=core, store=store, connections=connections)
    registry = Registry(store, passwords=passwords, running=running, clock=core.clock, max_users=settings.max_users)
    auth = make_auth(settings, core, store, registry, passwords)
    first_password = await auth.make_first_admin(settings.admin_password)
    return Accounts(running=running, registry=registry, auth=auth, first_password=first_password)


def make_node_erasure(
    core: Core, files: Files, feed: EventFeed, history: History, enrolments: Enrolments
) -> NodeErasure:
    """Return the erasure of id tokens from this server's memory and files."""
    return NodeErasure(core, files, history, [feed.erase, enrolments.erase])


def plugin_context(settings: Settings, core: Core, call: PluginCall, operations: Operations) -> PluginContext:
    """Return what plugins are started with."""
    return PluginContext(
        fleet=core.fleet,
        record=core.record,
        call=call,
        operations=operations,
        settings=settings.model_dump(),
        settled=core.settled,
        clock=core.clock,
    )


def make_commands(settings: Settings, core: Core, connections: Connections, store: Store) -> Commands:
    """Return the sender of commands."""
    security = SecurityChanges(store=store, clock=core.clock)
    return Commands(
        core,
        connections.connection,
        settings.command_timeout_s,
        lambda cp_id, changes: GuardedCommand(security, cp_id, changes),
    )


def make_rotation(
    settings: Settings,
    store: Store,
    operations: Operations,
    clock: Callable[[], float],
    remote: RemoteRotation | None = None,
) -> Rotation:
    """Return the rotation of charge points' secrets; `remote`: of those that are connected to other nodes."""
    grace_s = settings.credential_grace_s
    return Rotation(store=store, operations=operations, grace_s=grace_s, clock=clock, remote=remote)


def make_history(
    settings: Settings,
    fleet: Fleet,
    store: Store,
    counters: ServerCounters,
    clock_ns: Callable[[], int],
    *,
    keeps_messages: bool = True,
) -> History:
    """Return the recorders of the fleet's history."""
    retention_s = settings.message_retention_hours * 3600.0 if keeps_messages else 0.0
    return History(fleet, store, clock_ns, counters, mask, message_retention_s=retention_s)


def make_renewal(settings: Settings, core: Core, signing: Signing, operations: Operations) -> Renewal:
    """Return the renewal of charge points' certificates."""
    ahead_s = settings.renewal_days * DAY_S
    return Renewal(
        fleet=core.fleet,
        signing=signing,
        ahead_s=ahead_s,
        operations=operations,
        clock=core.clock,
        counters=core.counters,
    )


def make_maintenance(
    settings: Settings, core: Core, store: Store, accounts: Accounts, directory: Directory
) -> Maintenance:
    """Return the periodic work of a running server."""
    return Maintenance(
        settings=settings, core=core, store=store, running=accounts.running, auth=accounts.auth, directory=directory
    )


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
    return _url(settings.api_host, port, has_tls=settings.api_tls_cert is not None)


def metrics_url(settings: Settings, port: int) -> str:
    """Return the URL of /metrics from outside, as far as the settings tell the host."""
    return f"{_url(settings.metrics_host, port, has_tls=settings.metrics_tls_cert is not None)}/metrics"


def _url(host: str, port: int, *, has_tls: bool) -> str:
    return f"{'https' if has_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def metrics_server(
    settings: Settings,
    telemetry: Telemetry,
    unready_reasons: Callable[[], Sequence[str]],
    texts: Mapping[str, Callable[[], str]] | None = None,
) -> HttpServer:
    """Return the server of /metrics, /healthz and /readyz, and of further pages of text by their path."""
    return HttpServer(
        metrics_app(
            telemetry.reader,
            ready=unready_reasons,
            access=Access.of(settings),
            native_histograms=settings.metrics_native_histograms,
            texts=texts,
        ),
        host=settings.metrics_host,
        port=settings.metrics_port,
        tls_cert=settings.metrics_tls_cert,
        tls_key=settings.metrics_tls_key,
        trusted_proxies=settings.trusted_proxies,
    )
