"""Fetches the feed. It owns HTTP, its limits and validators; it must not know the content of a document."""

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
    """Validators for a conditional request (RFC 9110 §13.1). None: the server sent none."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: httpx.Headers) -> Self:
        """Return the validators in the headers of an answer."""
        return cls(etag=headers.get("ETag"), last_modified=headers.get("Last-Modified"))

    @property
    def conditions(self) -> dict[str, str]:
        """The request headers that make a request conditional."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A decompressed body and its validators."""

    body: bytes = field(repr=False)
    validators: Validators


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The feed's URL and limits.

    `timeout_s` is for the whole fetch, including redirects and body; `max_bytes` is the decompressed size.
    """

    url: str
    timeout_s: float
    max_bytes: int

    async def fetch(self, client: httpx.AsyncClient, validators: Validators) -> Document | None:
        """Return the document, or None if it has not changed since `validators`. Cancellation: safe.

        Raises:
            FeedError: its `reason` is a value of the label `result` of `chargy_fetches_total`.
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
            raise FeedError("timeout", f"no complete answer within {self.timeout_s:g} s") from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            raise FeedError("network", f"{type(exc).__name__}: {exc}") from exc

    async def _body(self, answer: httpx.Response) -> bytes:
        """Return the decompressed body. Decompression is incremental: a decompression bomb cannot fill the memory."""
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS | {"", "identity"}:
            raise FeedError("malformed", f"content encoding {encoding}")
        decompressor = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in _ENCODINGS else None
        body = bytearray()
        async for chunk in answer.aiter_raw():
            room = self.max_bytes - len(body) + 1
            try:
                body += chunk if decompressor is None else decompressor.decompress(chunk, room)
            except zlib.error as exc:
                raise FeedError("malformed", f"decompression failed: {exc}") from exc
            if len(body) > self.max_bytes:
                raise FeedError("too_large", f"over {self.max_bytes} bytes")
        if decompressor is not None and not decompressor.eof:
            raise FeedError("malformed", "the compressed body is cut off")
        return bytes(body)
