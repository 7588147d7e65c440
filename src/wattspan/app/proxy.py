"""`ProxyServer`: builds the parts of the proxy, starts them in order, and stops them in reverse."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, cast

from opentelemetry.trace import TracerProvider

from wattspan.app.assembly import api_url, metrics_server
from wattspan.app.foundation import Foundation
from wattspan.app.proxy_api import ProxyApi
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.errors import SettingsError
from wattspan.gateway.ports import TLS_LOOK_S
from wattspan.gateway.tls import ServerTls, tls_files
from wattspan.http.server import HttpServer
from wattspan.observe import Observer
from wattspan.proxy.compare import Comparison
from wattspan.proxy.mirror import Mirror, Mirrors
from wattspan.proxy.observation import LinkObservation, Observation
from wattspan.proxy.relay import Opened, Refusal, Relay, RelayCallbacks
from wattspan.proxy.target import Template, UpstreamTls
from wattspan.proxy.upstream import UpstreamRecorder
from wattspan.settings import Settings
from wattspan.store.journal.journal import Journal
from wattspan.store.maintenance_task import maintenance_task
from wattspan.store.store import Store
from wattspan.telemetry import catalogue
from wattspan.telemetry.logs import report_left_out
from wattspan.telemetry.setup import GivenProviders, Telemetry

log = logging.getLogger(__name__)

EXPIRE_S = 5.0
"""How often CALLs that were never answered are looked for."""
EXPIRE_READINGS_S = 600.0
EXPIRE_ROWS = 50_000
DAY_S = 86_400.0
MAX_UNWRITTEN = 50_000
"""Readings and other rows that are kept for a database that is down; what exceeds them is not stored."""


class ProxyServer:
    """The proxy in front of another central system, as an async context manager.

    Raises on entering:
        SettingsError: a setting is wrong, or a port is taken.
        StoreError: the database can't be used; the text says what to do.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tracer_provider: TracerProvider | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """The keywords are as in `CentralSystem`. Raises SettingsError if `upstream` is missing or wrong."""
        self.settings = settings
        self._clock_ns = clock_ns
        if settings.upstream is None:
            raise SettingsError(["upstream: is required; set it with --upstream or WATTSPAN_UPSTREAM"])
        self.template = Template.parse(settings.upstream)
        self.counters = ServerCounters(started_ts=clock_ns() / 1e9)
        self.fleet = Fleet(assigns_ids=False)
        given = GivenProviders(tracer_provider)
        self._foundation = Foundation(settings, self.fleet, self.counters, given=given, clock_ns=clock_ns)
        self._tls: ServerTls | None = None
        self.comparison: Comparison | None = None
        """The answers of mirrors, if they are compared."""

    store: Store
    """Open from entering to leaving, as are all parts below."""
    telemetry: Telemetry
    relay: Relay
    _journal: Journal
    _observer: Observer
    _observation: Observation
    _api: ProxyApi
    _mirrors: Mirrors | None
    _metrics: HttpServer

    @property
    def port(self) -> int:
        """The port that charge points connect to."""
        return self.relay.port

    @property
    def metrics_port(self) -> int:
        """The port of /metrics in use."""
        return self._metrics.port

    @property
    def api_port(self) -> int:
        """The port of the HTTP API and the console in use."""
        return self._api.port

    @property
    def first_password(self) -> str | None:
        """The password of the user `admin`, if it was generated at this start."""
        return self._api.first_password

    def api_url(self) -> str:
        """Return the URL of the API from outside, without a slash at the end."""
        return api_url(self.settings, self.api_port)

    def unready_reasons(self) -> Sequence[str]:
        """Return why charge points can't be relayed now. A database that is down does not matter to them."""
        return () if self.relay.accepting else ("the OCPP port is not open",)

    async def __aenter__(self) -> Self:
        await self._foundation.start(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._foundation.exit.aclose()

    async def _start(self) -> None:
        settings, foundation = self.settings, self._foundation
        enter = foundation.exit
        self.store = await foundation.open_store()
        self.telemetry = await foundation.open_telemetry(make_recorder=UpstreamRecorder)
        recorder = cast(UpstreamRecorder, self.telemetry.recorder)
        self._journal = foundation.open_journal("what was observed last")
        self._api = ProxyApi(settings, self.fleet, self.store, self.counters, self.telemetry)
        self._observer = Observer(
            self.fleet, recorder=recorder, counters=self.counters, clock_ns=self._clock_ns, on_event=self._on_events
        )
        self._mirrors = self._make_mirrors()
        self._observation = Observation(self._observer, recorder, self.counters, self._mirrors, clock_ns=self._clock_ns)
        self.relay = self._make_relay()
        if self._mirrors is not None:
            enter.push_async_callback(self._mirrors.stop)
        enter.callback(self._end_observing)
        texts = {} if self.comparison is None else {"/compare": self.comparison.report}
        self._metrics = metrics_server(settings, self.telemetry, self.unready_reasons, texts)
        await self._metrics.start()
        enter.push_async_callback(self._metrics.stop)
        await self._api.start(enter, self._journal, self._observation, self)
        await self.relay.start(settings.host, settings.port, None if self._tls is None else self._tls.context)
        enter.push_async_callback(self.relay.stop)
        for work in (self._expire(), self._expire_readings(), self._watch_tls()):
            enter.callback(asyncio.create_task(work).cancel)

    def _make_mirrors(self) -> Mirrors | None:
        settings = self.settings
        templates = [Template.parse(url, "mirrors") for url in settings.mirrors]
        if not templates:
            if settings.compare:
                raise SettingsError(["compare: needs a mirror as well"])
            return None
        for number, template in enumerate(templates):
            if template in (self.template, *templates[:number]):
                raise SettingsError([f"mirrors: {template.text} is given twice; it would disconnect each charge point"])
        secure = any(template.uri.secure for template in templates)
        context = UpstreamTls(settings.upstream_ca, None).shared if secure else None
        self.comparison = Comparison(self.counters) if settings.compare else None
        return Mirrors(Mirror.all_of(templates, context), self.counters, self.comparison, settings.max_frame_bytes)

    def _make_relay(self) -> Relay:
        settings, secure = self.settings, self.template.uri.secure
        if not secure and (settings.upstream_ca is not None or settings.upstream_cert is not None):
            raise SettingsError(["upstream_ca, upstream_cert: need a wss:// URL as upstream"])
        if settings.upstream_cert is not None and settings.tls_client_ca is None:
            raise SettingsError(["upstream_cert: needs tls_client_ca as well: only a verified charge point may use it"])
        files = tls_files(settings)
        if files is not None:
            self._tls = ServerTls(files, self._tls_failed)
            self.counters.certificate_expires_ts = self._tls.expires_ts
        return Relay(
            self.template,
            UpstreamTls(settings.upstream_ca, settings.upstream_cert) if secure else None,
            RelayCallbacks(opened=self._opened, refused=self._refused, clock_ns=self._clock_ns),
            max_frame_bytes=settings.max_frame_bytes,
            revocations=lambda: None if self._tls is None else self._tls.revocations,
        )

    # what the relay reports

    def _opened(self, opened: Opened) -> LinkObservation | None:
        try:
            link = self._observation.opened(opened)
            expires_ts = None if opened.certificate is None else opened.certificate.expires_ts
            if expires_ts is not None:
                held = ev.CertificateHeld(
                    cp_id=opened.identity.cp_id, received_ts=self._clock_ns() / 1e9, expires_ts=expires_ts
                )
                apply(self.fleet, held)
                self._journal.commit()
        except Exception:
            log.exception("a connection can't be observed")
            self._observation.count("failure")
            return None
        return link

    def _refused(self, refusal: Refusal) -> None:
        counts = self.counters.handshakes_rejected
        counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
        address, port = refusal.peer or ("", None)
        self.telemetry.recorder.evidence.record(
            catalogue.REFUSED_SPAN,
            "handshake from %s for %s refused: %s",
            address or "an unknown address",
            refusal.cp_id or "nobody",
            refusal.text,
            fields={catalogue.CP_ID: refusal.cp_id, catalogue.PEER_ADDRESS: address, catalogue.PEER_PORT: port or 0},
            level=logging.WARNING,
            error=refusal.reason,
            limit=refusal.reason,
            logger=log,
        )

    def _tls_failed(self, reason: str, text: str) -> None:
        self._refused(Refusal(reason, f"the TLS handshake failed: {text}", None))

    def _on_events(self, events: Sequence[ev.Event], _at_ns: int) -> None:
        self._api.publish(events)
        if not self._journal.available:
            self._limit_unwritten()
        self._journal.commit()

    def _limit_unwritten(self) -> None:
        """Drop rows that only history needs while the database is down. The state itself stays and is written later."""
        changes = self.fleet.changes
        if len(changes.readings) + len(changes.notes) > MAX_UNWRITTEN:
            self._observation.count("store")
            changes.readings.clear()
            changes.notes.clear()

    # periodic work

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_S)
            self._observer.expire()
            report_left_out()

    async def _expire_readings(self) -> None:
        kept_s = (self.settings.reading_retention_days or 0.0) * DAY_S
        while kept_s:
            with maintenance_task("reading_partitions", self.counters):
                await self.store.partition_readings()
            with maintenance_task("reading_expiry", self.counters):
                await self.store.expire_readings(self._clock_ns() / 1e9 - kept_s, EXPIRE_ROWS)
            await asyncio.sleep(EXPIRE_READINGS_S)

    async def _watch_tls(self) -> None:
        while self._tls is not None:
            await asyncio.sleep(TLS_LOOK_S)
            try:
                if await asyncio.to_thread(self._tls.renew):
                    log.info("reloaded the certificate, authorities or revocation list of the OCPP port")
                    self.counters.certificate_expires_ts = self._tls.expires_ts
            except SettingsError as exc:
                log.error("%s; the old ones stay in force", exc)  # noqa: TRY400 - the file is at fault, not the code

    # the end

    def _end_observing(self) -> None:
        self._observation.drain()
        self._observer.close()
