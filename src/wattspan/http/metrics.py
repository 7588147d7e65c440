"""The routes of the metrics port: /metrics, /healthz and /readyz.

It owns status codes and headers. What is on the page and what makes the server ready is passed in.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from wattspan.http.access import Access
from wattspan.telemetry.prometheus.exposition import Format, takes_gzip, wanted

MAX_PAGES = 8
"""Pages in memory at a time. Further scrapes wait: each page is as large as the fleet, and its reader may be slow."""

Ready = Callable[[], Sequence[str]]
"""Returns why the server is not ready, one reason an entry; empty when it is ready."""


class Scraper(Protocol):
    """The source of the page: `PrometheusReader`."""

    async def scrape(self, form: Format, *, names: Sequence[str], gzip: bool) -> list[bytes]:
        """Return the page in pieces; `names` limits it to these families, empty means all."""


def metrics_app(
    scraper: Scraper,
    *,
    ready: Ready,
    access: Access | None = None,
    any_path: bool = False,
    native_histograms: bool = False,
    texts: Mapping[str, Callable[[], str]] | None = None,
) -> Starlette:
    """Return the ASGI application of the metrics port. The health routes need no credentials.

    `native_histograms`: offer Prometheus' protobuf format, which has them. `any_path`: every path except those of the
    health routes returns the page. `texts`: further pages of plain text by their path, which need the same credentials.
    """
    readers = access or Access()
    pages = asyncio.Semaphore(MAX_PAGES)

    async def metrics(request: Request) -> Response:
        if not _allows(readers, request):
            return PlainTextResponse("credentials needed\n", 401, {"WWW-Authenticate": readers.challenge})
        form = wanted(request.headers.get("accept", ""), protobuf=native_histograms)
        gzip = takes_gzip(request.headers.get("accept-encoding", ""))
        headers = {"Content-Type": form.value, "Vary": "Accept, Accept-Encoding", "Cache-Control": "no-store"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
        if request.method == "HEAD":
            return Response(headers=headers)
        await pages.acquire()
        try:
            pieces = await scraper.scrape(form, names=request.query_params.getlist("name[]"), gzip=gzip)
        except BaseException:
            pages.release()
            raise
        headers["Content-Length"] = str(sum(map(len, pieces)))
        return _Page(pieces, headers, pages)

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        reasons = ready()
        return PlainTextResponse("".join(f"{each}\n" for each in reasons) or "ready\n", 503 if reasons else 200)

    more = [_text_page(path, write, readers) for path, write in (texts or {}).items()]
    page = Route("/{path:path}" if any_path else "/metrics", metrics)
    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), *more, page])


def _text_page(path: str, write: Callable[[], str], readers: Access) -> Route:
    async def page(request: Request) -> Response:
        if not _allows(readers, request):
            return PlainTextResponse("credentials needed\n", 401, {"WWW-Authenticate": readers.challenge})
        return PlainTextResponse(write(), headers={"Cache-Control": "no-store"})

    return Route(path, page)


def _allows(readers: Access, request: Request) -> bool:
    """Return whether the request has the credentials; several Authorization headers are none."""
    authorization = request.headers.getlist("authorization")
    return readers.allows(authorization[0] if len(authorization) == 1 else "")


class _Page(StreamingResponse):
    """A page in pieces, which releases its place among the pages at its end."""

    def __init__(self, pieces: list[bytes], headers: dict[str, str], pages: asyncio.Semaphore) -> None:
        super().__init__(_each(pieces), headers=headers)
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pages.release()


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces in order and release each after it is sent: to free a whole page at once takes 10 ms."""
    pieces.reverse()
    while pieces:
        yield pieces.pop()
