"""Signs certificates that charge points request, by a plugin or by Wattspan's own authority, and has them renewed.

OCPP 1.6 security whitepaper §4.2 and 2.0.1 Part 2 A02, A03. It must not know OCPP versions: the fields that accompany a
certificate are passed through as the version's module gave them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from cryptography import x509

from wattspan.csms.commands import CommandResult
from wattspan.csms.core import Spawn
from wattspan.csms.operations.methods import OperationMethods
from wattspan.csms.operations.parameters import RequestCertificateRenewal
from wattspan.csms.plugins.host import PluginHost
from wattspan.csms.security.authority import Authority, Signed, read_csr
from wattspan.domain.events import CertificateHeld, Event
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint
from wattspan.errors import AuthorityError, CommandError, CsrRefused, StoreError
from wattspan.store.queries import certificates as certificate_queries
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.records import IssuedCertificate
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

Send = Callable[[str, str, Payload], Awaitable[CommandResult]]
"""(cp_id, action, payload): see `csms.commands.Commands.send_payload`."""
Record = Callable[[Iterable[Event]], None]


@dataclass(slots=True, kw_only=True)
class Signing:
    """Handles signing requests. Without an authority and a plugin that signs, all are refused."""

    authority: Authority | None
    plugins: PluginHost
    days: float
    store: Store
    send: Send
    record: Record
    spawn: Spawn
    clock: Callable[[], float]
    _in_progress: set[str] = field(default_factory=set)

    @property
    def possible(self) -> bool:
        """Whether there is an authority or a plugin that signs."""
        return self.authority is not None or self.plugins.signs

    async def request(self, cp_id: str, csr: str, kind: str, echo: Payload) -> bool:
        """Return whether the request is accepted; if so, CertificateSigned follows, with the fields `echo` in it.

        One at a time a charge point: a second request meanwhile is refused (2.0.1 A02.FR.17).
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
        self.spawn(self._deliver(cp_id, csr, kind, echo, serial_number))
        return True

    async def _registered_serial(self, cp_id: str) -> str:
        """Return the registered serial number of a charge point, or "".

        Raises CsrRefused if its identity is another one's serial number: it would get that one's certificate.
        """
        if await self.store.read(charge_point_queries.identity_conflicts, cp_id):
            raise CsrRefused("its identity is the registered serial number of another charge point")
        known = await self.store.read(charge_point_queries.registration, cp_id)
        return "" if known is None else known.registered_serial

    async def _deliver(self, cp_id: str, csr: str, kind: str, echo: Payload, serial_number: str) -> None:
        try:
            signed = await self._signed(cp_id, csr, kind, serial_number)
            if signed is not None:
                await self._send(cp_id, signed, echo)
        except (AuthorityError, CsrRefused, CommandError, StoreError) as exc:
            log.warning("certificate for %s: %s", cp_id, exc)
        except Exception:
            log.exception("certificate for %s could not be delivered", cp_id)
        finally:
            self._in_progress.discard(cp_id)

    async def _signed(self, cp_id: str, csr: str, kind: str, serial_number: str) -> Signed | None:
        chain = await self.plugins.sign_certificate(cp_id, csr, kind)
        if chain is not None:
            return _described(chain)
        if self.authority is None or kind not in CLIENT:
            log.warning("no plugin signed a certificate of type %r for %s", kind, cp_id)
            return None
        return await asyncio.to_thread(self.authority.sign, csr, cp_id, self.days, serial_number=serial_number)

    async def _send(self, cp_id: str, signed: Signed, echo: Payload) -> None:
        issued = IssuedCertificate(
            serial=signed.serial, cp_id=cp_id, issued_ts=self.clock(), expires_ts=signed.expires_ts
        )
        await self.store.do(certificate_queries.add_certificate, issued)
        result = await self.send(cp_id, SIGNED, {"certificateChain": signed.chain, **echo})
        if not result.accepted:
            log.warning("%s rejected its certificate: %s", cp_id, result.status)
            return
        await self.store.do(certificate_queries.certificate_installed, signed.serial, self.clock())
        if echo.get("certificateType", "") in CLIENT:
            self.record([CertificateHeld(cp_id=cp_id, received_ts=self.clock(), expires_ts=signed.expires_ts)])


@dataclass(slots=True, kw_only=True)
class Renewal:
    """Asks charge points to renew client certificates that expire within `ahead_s` seconds."""

    fleet: Fleet
    signing: Signing
    ahead_s: float
    operations: OperationMethods
    clock: Callable[[], float]
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
                log.warning("certificate renewal could not be requested: %s", exc)

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
