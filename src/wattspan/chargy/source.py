"""Fetches the feed. It owns HTTP, its limits and its validators; what a document says it must not know."""

import asyncio
import zlib
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Self

import httpx

from wattspan.errors import FeedError

AGENT = f"wattspan/{version('wattspan')}"
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_ENCODINGS = {"gzip", "x-gzip", "deflate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What a document is asked for again with (RFC 9110 §13.1). None: the server told none."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: httpx.Headers) -> Self:
        """Those of an answer."""
        return cls(etag=headers.get("ETag"), last_modified=headers.get("Last-Modified"))

    @property
    def conditions(self) -> dict[str, str]:
        """As headers of a request."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A body, and what it is asked for again with."""

    body: bytes = field(repr=False)
    validators: Validators


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the feed is. `timeout_s` is for a whole fetch, redirects and body included; `max_bytes` is decompressed."""

    url: str
    timeout_s: float
    max_bytes: int

    async def fetch(self, client: httpx.AsyncClient, validators: Validators) -> Document | None:
        """The document; None: it is still what `validators` stand for. Cancellation: safe.

        Raises:
            FeedError: with the reason that `chargy_fetches_total` knows.
        """
        headers = validators.conditions | {"User-Agent": AGENT, "Accept-Encoding": "gzip"}
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                client.stream("GET", self.url, headers=headers, timeout=self.timeout_s) as answer,
            ):
                if answer.status_code == httpx.codes.NOT_MODIFIED and validators.conditions:
                    return None
                if answer.status_code != httpx.codes.OK:
                    raise FeedError("status", f"HTTP status {answer.status_code}")
                return Document(body=await self._body(answer), validators=Validators.of(answer.headers))
        except (TimeoutError, httpx.TimeoutException) as exc:
            raise FeedError("timeout", f"no whole answer within {self.timeout_s:g} s") from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            raise FeedError("network", f"{type(exc).__name__}: {exc}") from exc

    async def _body(self, answer: httpx.Response) -> bytes:
        """The body, unpacked as it comes, so that neither a large one nor a packed bomb is ever in memory whole."""
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS | {"", "identity"}:
            raise FeedError("malformed", f"content encoding {encoding}")
        unpack = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in _ENCODINGS else None
        body = bytearray()
        async for piece in answer.aiter_raw():
            room = self.max_bytes - len(body) + 1
            try:
                body += piece if unpack is None else unpack.decompress(piece, room)
            except zlib.error as exc:
                raise FeedError("malformed", f"cannot be unpacked: {exc}") from exc
            if len(body) > self.max_bytes:
                raise FeedError("too_large", f"over {self.max_bytes} bytes")
        if unpack is not None and not unpack.eof:
            raise FeedError("malformed", "packed, and cut off")
        return bytes(body)
