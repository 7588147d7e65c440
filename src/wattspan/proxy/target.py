"""Where a charge point is relayed to: the template of the central system's URL, and TLS towards it.

It owns what becomes of the path and the query, and must not open a connection.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from wattspan.errors import HandshakeRefused, SettingsError

PLACEHOLDER = "{cp_id}"
MAX_CP_ID = 255
"""Longest identity relayed, in characters."""
MAX_CONTEXTS = 10_000
"""Client certificates of charge points that are kept loaded."""


class Identity(NamedTuple):
    """A charge point's identity: as in the request, and decoded."""

    raw: str
    cp_id: str


def identity(target: str) -> Identity:
    """Return the identity from a request target, which is the last segment of its path.

    Raises:
        HandshakeRefused: 404; the target has no segment that can be an identity.
    """
    path = target.split("?", 1)[0]
    if "://" in path:
        path = urlsplit(path).path
    raw = next((part for part in reversed(path.split("/")) if part), "")
    try:
        cp_id = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise HandshakeRefused(404, "identity", "the identity is not UTF-8") from None
    if not cp_id.strip() or not cp_id.isprintable() or len(cp_id) > MAX_CP_ID or "/" in cp_id or cp_id in (".", ".."):
        raise HandshakeRefused(404, "identity", "the path has to end with the identity of the charge point")
    return Identity(raw, cp_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A URL of a central system with `{cp_id}` in its path or query."""

    text: str
    uri: WebSocketURI
    target: str = field(repr=False)
    """Path and query, with the placeholder."""

    @classmethod
    def parse(cls, text: str, name: str = "upstream") -> "Template":
        """Return the parsed template. Raises SettingsError, which names the setting `name`."""
        example = "wss://csms.example/ocpp/{cp_id}"
        try:
            uri = parse_uri(text.replace(PLACEHOLDER, "cp"))
            parts = urlsplit(text)
        except (InvalidURI, ValueError) as exc:
            raise SettingsError([f"{name}: {text} is not a WebSocket URL like {example}"]) from exc
        if uri.user_info is not None:
            raise SettingsError([f"{name}: credentials have no place in the URL; those of the charge point are passed"])
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        if PLACEHOLDER not in target or PLACEHOLDER in parts.netloc:
            raise SettingsError([f"{name}: {text} has no {PLACEHOLDER} in its path, as in {example}"])
        return cls(text=text, uri=uri, target=target)

    def target_for(self, raw_cp_id: str, request_target: str) -> str:
        """Return path and query for a charge point: the template's, and the query that the charge point sent."""
        target = self.target.replace(PLACEHOLDER, raw_cp_id)
        _, question, query = request_target.partition("?")
        if not question:
            return target
        return f"{target}{'&' if '?' in target else '?'}{query}"


class UpstreamTls:
    """The TLS contexts for a central system.

    `certificates` is a template of the PEM file, with certificate and key, that is shown for a charge point.
    """

    def __init__(self, authority: Path | None, certificates: str | None) -> None:
        """Raises SettingsError if `authority` can't be used, or `certificates` has no placeholder."""
        self._authority = authority
        self._certificates = certificates
        self._known: dict[str, tuple[int, ssl.SSLContext]] = {}
        if certificates is not None and PLACEHOLDER not in certificates:
            raise SettingsError([f"upstream_cert: {certificates} has no {PLACEHOLDER}"])
        self.shared = self._make()
        """The context without a client certificate."""

    @property
    def by_charge_point(self) -> bool:
        """Whether each charge point has a client certificate of its own."""
        return self._certificates is not None

    async def context(self, cp_id: str) -> ssl.SSLContext:
        """Return the context for a charge point. Raises HandshakeRefused 503 if its certificate can't be read."""
        if self._certificates is None:
            return self.shared
        path = Path(self._certificates.replace(PLACEHOLDER, cp_id))
        try:
            return await asyncio.to_thread(self._load, cp_id, path)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise HandshakeRefused(503, "upstream_certificate", f"{path}: {exc}") from exc

    def _load(self, cp_id: str, path: Path) -> ssl.SSLContext:
        stamp = path.stat().st_mtime_ns
        known = self._known.get(cp_id)
        if known is None or known[0] != stamp:
            if len(self._known) >= MAX_CONTEXTS:
                self._known.clear()
            context = self._make()
            context.load_cert_chain(path)
            known = self._known[cp_id] = (stamp, context)
        return known[1]

    def _make(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._authority)
        except OSError as exc:
            raise SettingsError([f"upstream_ca: {self._authority} can't be used: {exc}"]) from exc
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


HOP_BY_HOP = frozenset(
    {
        *("connection", "content-length", "host", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key"),
        *("sec-websocket-version", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Headers that belong to one connection (RFC 9110 §7.6.1, RFC 6455 §11.3)."""


def passed(headers: Headers) -> list[tuple[str, str]]:
    """Return the headers that are passed on, in order, repeated ones too."""
    return [(name, value) for name, value in headers.raw_items() if name.lower() not in HOP_BY_HOP]
