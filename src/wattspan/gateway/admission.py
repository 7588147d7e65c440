"""Admission of connections: which handshakes are accepted, and the count and record of those that are refused.

It knows the rules of a handshake, and nothing of what happens on a connection afterwards.
"""

import http
import logging
import math
from collections.abc import Callable, Sequence

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from wattspan.csms.core import Core
from wattspan.errors import HandshakeRefused, StoreError
from wattspan.gateway.certificates import PeerCertificate
from wattspan.gateway.connection import ChargePointConnection
from wattspan.gateway.handshake import ConnectionAttempt, HandshakeAuthenticator, choose, identity, is_browser
from wattspan.gateway.pending import MAX_PENDING_MESSAGE_BYTES, PendingConnections
from wattspan.gateway.throttle import source_of
from wattspan.settings import Settings
from wattspan.telemetry import catalogue
from wattspan.telemetry.connection import address_of
from wattspan.telemetry.evidence import Fields

log = logging.getLogger(__name__)

NO_FIELDS: Fields = {}
RETRY_AFTER_S = 10
MAX_LOGGED_PATH = 100
"""Characters of a refused handshake's path in the log."""

_LIMITS = {
    "message_too_big": "a message was longer than allowed (max_frame_bytes)",
    "flood": "it sent more than the central system can take from one peer",
    "empty_fragments": "it sent a message of empty fragments",
}
"""What a reason means, for the log."""


class Admission:
    """Admits charge points, and refuses everybody else."""

    def __init__(
        self,
        core: Core,
        settings: Settings,
        authenticator: HandshakeAuthenticator,
        pending: PendingConnections,
        is_accepting: Callable[[], bool],
    ) -> None:
        """`is_accepting`: whether the server still takes connections."""
        self._core = core
        self._settings = settings
        self._authenticator = authenticator
        self._pending = pending
        self._is_accepting = is_accepting
        self._on_limit = self.limit_exceeded

    async def admit(self, connection: ChargePointConnection, request: Request) -> Response | None:
        """`process_request` of websockets: return None to accept, or the response that refuses."""
        try:
            if not self._core.journal.available:
                raise HandshakeRefused(503, "store", "the store is not writable now", retry_after_s=RETRY_AFTER_S)
            if is_browser(request.headers):
                raise HandshakeRefused(403, "browser", "charge points connect here, browsers do not")
            admitted = await self._authenticator.admit(_attempt(connection, request))
            if admitted.pending and not self._pending.has_room(source_of(connection.remote_address)):
                raise HandshakeRefused(503, "waiting_room", "too many wait for approval", retry_after_s=RETRY_AFTER_S)
        except StoreError:
            unreadable = HandshakeRefused(503, "store", "the store can't be read now", retry_after_s=RETRY_AFTER_S)
            return self._refused(connection, request, unreadable)
        except HandshakeRefused as refusal:
            return self._refused(connection, request, refusal)
        connection.admitted = admitted
        if admitted.pending:
            connection.restrict(MAX_PENDING_MESSAGE_BYTES)
        else:
            connection.allow(self._settings.max_frame_bytes)
        connection.on_limit = self._on_limit
        return None

    def answered(self, connection: ChargePointConnection, _request: Request, response: Response) -> None:
        """`process_response` of websockets: count admitted requests that turn out to be no valid WebSocket upgrade."""
        switching = response.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS
        if connection.admitted is not None and not switching:
            self.rejected("request", "the request is no WebSocket handshake", fields_of(connection))
        if not switching or not self._is_accepting():
            connection.handshake_ended()

    def limit_exceeded(self, connection: ChargePointConnection, reason: str) -> None:
        """Count and log a connection that is closed because its peer exceeded a limit."""
        counts = self._core.counters.limit_closes
        counts[reason] = counts.get(reason, 0) + 1
        self._core.recorder.evidence.record(
            catalogue.LIMIT_SPAN,
            "connection of %s closed: %s",
            connection.admitted.cp_id,
            _LIMITS[reason],
            fields=fields_of(connection, connection.admitted.cp_id),
            level=logging.WARNING,
            error=reason,
            limit=f"limit {reason}",
            logger=log,
        )

    def rejected(self, reason: str, text: str, fields: Fields = NO_FIELDS, path: str = "") -> None:
        """Count a handshake that was refused, and record it with the identity and the address that are known."""
        counts = self._core.counters.handshakes_rejected
        counts[reason] = counts.get(reason, 0) + 1
        self._core.recorder.evidence.record(
            catalogue.REFUSED_SPAN,
            "handshake from %s for %s refused: %s",
            fields.get(catalogue.PEER_ADDRESS, "an unknown address"),
            path[:MAX_LOGGED_PATH] or fields.get(catalogue.CP_ID, "nobody"),
            text,
            fields=fields,
            level=logging.WARNING,
            error=reason,
            limit=reason,
            logger=log,
        )

    def _refused(self, connection: ChargePointConnection, request: Request, refusal: HandshakeRefused) -> Response:
        path = request.path.split("?", 1)[0]  # a query may hold a secret
        self.rejected(refusal.reason, str(refusal), fields_of(connection, _identity_tried(request)), path)
        response = connection.respond(http.HTTPStatus(refusal.status), f"{refusal}\n")
        if refusal.retry_after_s is not None:
            response.headers["Retry-After"] = str(math.ceil(refusal.retry_after_s))
        if refusal.status == http.HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="wattspan", charset="UTF-8"'
        return response

    def select(self, _connection: ServerConnection, names: Sequence[Subprotocol]) -> Subprotocol | None:
        name = choose(names, self._settings.default_subprotocol)[1]
        return None if name is None else Subprotocol(name)


def fields_of(connection: ChargePointConnection, cp_id: str = "") -> dict[str, str | int | float | bool]:
    """Return the fields of an event of this connection."""
    found: dict[str, str | int | float | bool] = {catalogue.CP_ID: cp_id} if cp_id else {}
    peer = address_of(connection.remote_address)
    if peer is not None:
        found |= {catalogue.PEER_ADDRESS: peer[0], catalogue.PEER_PORT: peer[1] or 0}
    return found


def _identity_tried(request: Request) -> str:
    """Return the identity that a handshake named; "" if it named none that a charge point may have."""
    try:
        return identity(request.path)
    except HandshakeRefused:
        return ""


def offered(headers: Headers) -> list[str]:
    """Return the subprotocols that a charge point offered, in its order."""
    return [
        name.strip() for line in headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",") if name.strip()
    ]


def _attempt(connection: ChargePointConnection, request: Request) -> ConnectionAttempt:
    """Return what is known about the charge point that asks to connect. Raises HandshakeRefused."""
    if connection.forwarded is not None:
        return _forwarded_attempt(connection, request)
    secured = connection.transport.get_extra_info("ssl_object")
    der = None if secured is None else secured.getpeercert(binary_form=True)
    try:
        certificate = None if der is None else PeerCertificate.parse(der)
    except ValueError as exc:
        raise HandshakeRefused(403, "certificate_untrusted", "the client certificate can't be read") from exc
    return ConnectionAttempt(
        cp_id=identity(request.path),
        source=source_of(connection.remote_address),
        authorization=_only(request.headers, "Authorization"),
        tls=secured is not None,
        certificate=certificate,
        certificate_der=der or b"",
    )


def _forwarded_attempt(connection: ChargePointConnection, request: Request) -> ConnectionAttempt:
    forwarded = connection.forwarded
    return ConnectionAttempt(
        cp_id=identity(request.path),
        source=source_of(forwarded.address),
        authorization=_only(request.headers, "Authorization"),
        tls=forwarded.tls,
        certificate=forwarded.certificate,
        certificate_der=forwarded.certificate_der,
    )


def _only(headers: Headers, name: str) -> str | None:
    """Return the value of a header, or None without it. Raises HandshakeRefused if there are several."""
    values = headers.get_all(name)
    if len(values) > 1:
        raise HandshakeRefused(401, "credentials", f"more than one {name} header")
    return values[0] if values else None
