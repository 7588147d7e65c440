"""Signs certificates that charge points request, by a plugin or by Wattspan's own authority, and has them renewed.

OCPP 1.6 security whitepaper §4.2 and 2.0.1 Part 2 A02, A03. It must not know OCPP versions: the fields that accompany a
certificate are passed through as the version's module gave them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from cryptography import x509

from wattspan.csms.commands import CommandResult
from wattspan.csms.core import Spawn
from wattspan.csms.operations.methods import OperationMethods
from wattspan.csms.operations.parameters import RequestCertificateRenewal
from wattspan.csms.plugins.host import PluginHost
from wattspan.csms.security.authority import Authority, Signed, read_csr
from wattspan.domain.certificates import FAILED, INSTALLED, PENDING, REFUSED
from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import CertificateHeld, Event
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint
from wattspan.errors import AuthorityError, CommandError, CommandRefused, CsrRefused, StoreError
from wattspan.store.maintenance_task import FAILED as MAINTENANCE_FAILED
from wattspan.store.queries import certificates as certificate_queries
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.records import IssuedCertificate, SigningRequest
from wattspan.store.store import Store
from wattspan.telemetry.logs import limited
from wattspan.versions.base import Payload

log = logging.getLogger(__name__)

LOOK_S = 3600.0
"""How often certificates that expire soon are looked for."""
ASK_AGAIN_S = 86_400.0
"""After how long a charge point that was asked to renew, and did not, is asked again."""
DAY_S = 86_400.0
CLIENT = ("", "ChargingStationCertificate")
"""Certificate types that Wattspan's own authority signs; "" is of 1.6, and of a 2.x charge point that names none."""
SIGNED = "CertificateSigned"
RETRY_S = (30.0, 120.0, 600.0, 3600.0, 21_600.0)
"""Delays after which a certificate that the charge point did not take is sent again."""
MAX_REASON = 200
"""Characters of a reason that a charge point gave."""

Send = Callable[[str, str, Payload], Awaitable[CommandResult]]
"""(cp_id, action, payload): see `csms.commands.Commands.send_payload`."""
WaitConnected = Callable[[str, float], Awaitable[None]]
Record = Callable[[Iterable[Event]], None]


@dataclass(slots=True, kw_only=True)
class Signing:
    """Handles signing requests. Without an authority and a plugin that signs, all are refused.

    `wait_connected` returns when the charge point has a connection, or raises TimeoutError after some seconds.
    """

    authority: Authority | None
    plugins: PluginHost
    days: float
    store: Store
    send: Send
    wait_connected: WaitConnected
    fleet: Fleet
    record: Record
    spawn: Spawn
    clock: Callable[[], float]
    _in_progress: set[str] = field(default_factory=set)
    """Charge points whose certificate is being signed or sent."""
    _deliveries: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)
    """By charge point and type of certificate; most of the time they wait for the next try."""

    @property
    def possible(self) -> bool:
        """Whether there is an authority or a plugin that signs."""
        return self.authority is not None or self.plugins.signs

    async def request(self, cp_id: str, csr: str, kind: str, echo: Payload) -> bool:
        """Return whether the request is accepted; if so, CertificateSigned follows, with the fields `echo` in it.

        One at a time a charge point: a second request meanwhile is refused (2.0.1 A02.FR.17). While the next try to
        deliver a certificate is awaited, a new request replaces the old one.
        """
        if not self.possible or cp_id in self._in_progress or (kind not in CLIENT and not self.plugins.signs):
            return False
        try:
            serial_number = await self._registered_serial(cp_id)
            await asyncio.to_thread(read_csr, csr, cp_id, serial_number=serial_number)
        except CsrRefused as refused:
            limited(log, logging.WARNING, "csr", "certificate for %s not signed: %s", cp_id, refused)
            return False
        self._in_progress.add(cp_id)
        # No await from here to the answer, so that the answer is sent before the certificate.
        new = SigningRequest(
            cp_id=cp_id, kind=kind, state=PENDING, requested_ts=self.clock(), echo=orjson.dumps(echo).decode()
        )
        self._spawn(new, self._sign_and_deliver(new, csr, serial_number))
        return True

    async def resume(self) -> None:
        """Continue the deliveries that were open when the server stopped. Raises StoreError."""
        for request in await self.store.read(certificate_queries.open_signing_requests):
            if request.chain:
                self._spawn(request, self._deliver(request))
            else:
                await self._save(replace(request, state=FAILED, reason="the server stopped before it was signed"))

    def close(self) -> None:
        """End the deliveries; `resume` continues them at the next start."""
        for task in list(self._deliveries.values()):
            task.cancel()

    def _spawn(self, request: SigningRequest, work: Coroutine[Any, Any, None]) -> None:
        key = (request.cp_id, request.kind)
        former = self._deliveries.pop(key, None)
        if former is not None:
            former.cancel()
        task = self._deliveries[key] = self.spawn(work)
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._deliveries.get(key) is task:
            del self._deliveries[key]

    async def _registered_serial(self, cp_id: str) -> str:
        """Return the registered serial number of a charge point, or "".

        Raises CsrRefused if its identity is another one's serial number: it would get that one's certificate.
        """
        if await self.store.read(charge_point_queries.identity_conflicts, cp_id):
            raise CsrRefused("its identity is the registered serial number of another charge point")
        known = await self.store.read(charge_point_queries.registration, cp_id)
        return "" if known is None else known.registered_serial

    async def _sign_and_deliver(self, request: SigningRequest, csr: str, serial_number: str) -> None:
        """Sign a request, and send the certificate until the charge point has it."""
        signed: Signed | None = None
        try:
            await self._save(request)
            signed = await self._signed(request.cp_id, csr, request.kind, serial_number)
            reason = "no plugin signed it"
        except (AuthorityError, CsrRefused) as exc:
            log.warning("certificate for %s: %s", request.cp_id, exc)
            reason = str(exc)
        except Exception:
            log.exception("certificate for %s could not be signed", request.cp_id)
            reason = "see the server's log"
        finally:
            self._in_progress.discard(request.cp_id)
        if signed is None:
            await self._save(replace(request, state=FAILED, reason=reason))
            return
        now_ts = self.clock()
        request = replace(
            request, serial=signed.serial, expires_ts=signed.expires_ts, chain=signed.chain, next_try_ts=now_ts
        )
        issued = IssuedCertificate(
            serial=signed.serial, cp_id=request.cp_id, issued_ts=now_ts, expires_ts=signed.expires_ts
        )
        try:
            await self.store.do(certificate_queries.add_certificate, issued)
        except StoreError as exc:
            log.warning("certificate for %s is not on file: %s", request.cp_id, exc)
        await self._deliver(request)

    async def _signed(self, cp_id: str, csr: str, kind: str, serial_number: str) -> Signed | None:
        chain = await self.plugins.sign_certificate(cp_id, csr, kind)
        if chain is not None:
            return _described(chain)
        if self.authority is None or kind not in CLIENT:
            log.warning("no plugin signed a certificate of type %r for %s", kind, cp_id)
            return None
        return await asyncio.to_thread(self.authority.sign, csr, cp_id, self.days, serial_number=serial_number)

    async def _deliver(self, request: SigningRequest) -> None:
        """Send a certificate, and again after each delay of RETRY_S, until the charge point accepts it.

        While the charge point is not connected, the next try waits, at most until the certificate expires.
        """
        while request.next_try_ts is not None:
            await asyncio.sleep(max(0.0, request.next_try_ts - self.clock()))
            left_s = max(0.0, (request.expires_ts or 0.0) - self.clock())
            try:
                await self.wait_connected(request.cp_id, left_s)
            except TimeoutError:
                await self._save(replace(request, next_try_ts=None))
                return
            if request.tries and not await self._is_current(request):
                return
            cp = self.fleet.charge_points.get(request.cp_id)
            if request.tries and cp is not None and cp.certificate_expires_ts == request.expires_ts:
                # It connected with the certificate since: only its answer was lost.
                request = replace(request, state=INSTALLED, reason="", next_try_ts=None)
                await self._installed(request)
            else:
                request = await self._tried(request)
            await self._save(request)
            if request.state != INSTALLED:
                verb = "rejected" if request.state == REFUSED else "did not answer for"
                then = "it is sent again" if request.next_try_ts is not None else "it is not sent again"
                log.warning("%s %s its certificate: %s; %s", request.cp_id, verb, request.reason, then)

    async def _tried(self, request: SigningRequest) -> SigningRequest:
        """Send CertificateSigned once, and return the request as it is then."""
        self._in_progress.add(request.cp_id)
        payload = {"certificateChain": request.chain, **orjson.loads(request.echo)}
        tries = request.tries + 1
        retry = tries <= len(RETRY_S)
        request = replace(
            request, tries=tries, next_try_ts=self.clock() + RETRY_S[tries - 1] if retry else None, reason=""
        )
        try:
            result = await self.send(request.cp_id, SIGNED, payload)
        except CommandRefused as exc:
            return replace(request, state=REFUSED, reason=_shown(f"{exc.code} {exc.description}"))
        except (CommandError, StoreError) as exc:
            return replace(request, state=FAILED, reason=_shown(str(exc)))
        except Exception:
            log.exception("certificate for %s could not be sent", request.cp_id)
            return replace(request, state=FAILED, reason="see the server's log")
        finally:
            self._in_progress.discard(request.cp_id)
        if not result.accepted:
            return replace(request, state=REFUSED, reason=_refusal(result))
        await self._installed(request)
        return replace(request, state=INSTALLED, next_try_ts=None)

    async def _installed(self, request: SigningRequest) -> None:
        try:
            await self.store.do(certificate_queries.certificate_installed, request.serial, self.clock())
        except StoreError as exc:
            log.warning("certificate for %s is not on file as installed: %s", request.cp_id, exc)
        if request.kind in CLIENT and request.expires_ts is not None:
            held = CertificateHeld(cp_id=request.cp_id, received_ts=self.clock(), expires_ts=request.expires_ts)
            self.record([held])

    async def _is_current(self, request: SigningRequest) -> bool:
        """Return whether the charge point was not decommissioned since; another one may have its identity."""
        try:
            stored = await self.store.read(certificate_queries.signing_requests, request.cp_id)
        except StoreError:
            return True
        return any(each.serial == request.serial for each in stored)

    async def _save(self, request: SigningRequest) -> None:
        """Store a request. If the store fails, delivery continues, but a restart would not know of it."""
        try:
            await self.store.do(certificate_queries.put_signing_request, request)
        except StoreError as exc:
            log.warning("signing request of %s is not on file: %s", request.cp_id, exc)


@dataclass(slots=True, kw_only=True)
class Renewal:
    """Asks charge points to renew client certificates that expire within `ahead_s` seconds."""

    fleet: Fleet
    signing: Signing
    ahead_s: float
    operations: OperationMethods
    clock: Callable[[], float]
    counters: ServerCounters
    _requested: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Run until cancelled; returns at once if no certificate could be signed."""
        while self.ahead_s and self.signing.possible:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask every connected charge point whose certificate is due, one after the other."""
        now_ts = self.clock()
        self._requested = {cp_id: at for cp_id, at in self._requested.items() if now_ts - at < ASK_AGAIN_S}
        for cp in [cp for cp in self.fleet.charge_points.values() if self._is_due(cp, now_ts)]:
            self._requested[cp.cp_id] = now_ts
            try:
                await self.operations.perform(cp.cp_id, RequestCertificateRenewal())
            except CommandError as exc:
                self.counters.maintenance_failed("renewal")
                fields = {"event.name": MAINTENANCE_FAILED, "task": "renewal", "cp_id": cp.cp_id}
                log.warning("certificate renewal could not be requested: %s", exc, extra=fields)

    def _is_due(self, cp: ChargePoint, now_ts: float) -> bool:
        ends_ts = cp.certificate_expires_ts
        return (
            cp.connected and ends_ts is not None and ends_ts - self.ahead_s < now_ts and cp.cp_id not in self._requested
        )


def _described(chain: str) -> Signed:
    """Return a plugin's chain with its serial number and expiry. Raises AuthorityError if it is no PEM chain."""
    try:
        own = x509.load_pem_x509_certificates(chain.encode())[0]
    except ValueError as exc:
        raise AuthorityError("the plugin returned no PEM certificate") from exc
    return Signed(chain=chain, serial=f"{own.serial_number:x}", expires_ts=own.not_valid_after_utc.timestamp())


def _refusal(result: CommandResult) -> str:
    """Return the status of a refusal and, in 2.x, its statusInfo."""
    info = result.payload.get("statusInfo")
    details = [info.get(name) for name in ("reasonCode", "additionalInfo")] if isinstance(info, dict) else []
    return _shown(" ".join([result.status, *(each for each in details if isinstance(each, str))]))


def _shown(text: str) -> str:
    """Return a charge point's text as it can be stored and logged."""
    return "".join(each if each.isprintable() else " " for each in text)[:MAX_REASON].strip()
