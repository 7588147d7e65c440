"""A Prometheus page for any program: a metric reader like OpenTelemetry's own, with the exact names of our metrics.

    from wattspan.prometheus import PrometheusReader

    reader = PrometheusReader()
    provider = MeterProvider(metric_readers=[reader])
    reader.start_http_server(9464)

The stock `PrometheusMetricReader` shows our metrics as well, but renames the counter `ocpp_cp_energy_total_wh`
(`ocpp_cp_energy_total_wh_total`) and drops exemplars. The stock exporter renders instruments of other libraries.
"""

import asyncio
import threading
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, MutableMapping
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

from wattspan.telemetry.catalogue import METRICS
from wattspan.telemetry.families import State
from wattspan.telemetry.instruments import READ_DIRECTLY
from wattspan.telemetry.prometheus.collected import collected_lines
from wattspan.telemetry.prometheus.exposition import Format, takes_gzip, wanted
from wattspan.telemetry.prometheus.foreign import ForeignPage, metrics_of
from wattspan.telemetry.prometheus.page import Page
from wattspan.telemetry.prometheus.reader import cardinality_limits

__all__ = ["MetricsServer", "PrometheusReader"]

_GZIP = 16 + zlib.MAX_WBITS
_ASGIMessage = MutableMapping[str, Any]


class PrometheusReader(MetricReader):
    """A pull reader for one MeterProvider; pass it to the provider's `metric_readers`.

    Serve its page with `start_http_server`, or mount `wsgi_app` or `asgi_app` in a web application. Every method may
    be called on any thread.
    """

    def __init__(self) -> None:
        super().__init__(**cardinality_limits())
        self._turn = threading.Lock()
        self._received: MetricsData | None = None
        self._pages: list[tuple[State, Page]] = []
        self._foreign = ForeignPage()

    def page(self, accept: str = "", names: Collection[str] = ()) -> tuple[str, str]:
        """Collect, and return the page's content type and its text.

        `accept`: the request's Accept header, which decides between Prometheus text 0.0.4 and OpenMetrics 1.0, which
        has exemplars. `names`: only these families, as in Prometheus' `name[]` parameter; empty means all.
        """
        form = wanted(accept)
        with self._turn:
            return form.value, "".join(self._text(form, frozenset(names)))

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve the page at every path (PEP 3333)."""
        content_type, text = self.page(environ.get("HTTP_ACCEPT", ""), _names(environ.get("QUERY_STRING", "")))
        headers, body = _response(content_type, text, environ.get("HTTP_ACCEPT_ENCODING", ""))
        start_response("200 OK", headers)
        return [body if environ.get("REQUEST_METHOD") != "HEAD" else b""]

    async def asgi_app(
        self,
        scope: _ASGIMessage,
        receive: Callable[[], Awaitable[_ASGIMessage]],
        send: Callable[[_ASGIMessage], Awaitable[None]],
    ) -> None:
        """Serve the page at every path (ASGI 3). It is rendered in a thread."""
        if scope["type"] != "http":
            return
        request = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        names = _names(scope.get("query_string", b"").decode("latin-1"))
        content_type, text = await asyncio.to_thread(self.page, request.get("accept", ""), names)
        headers, body = _response(content_type, text, request.get("accept-encoding", ""))
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": 200, "headers": encoded})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})

    def start_http_server(self, port: int = 9464, host: str = "127.0.0.1") -> "MetricsServer":
        """Serve the page at every path of a port, in a thread of its own; 0 picks a free port.

        Returns the server, which runs until its `stop`. Raises OSError if the port cannot be opened.
        """
        return MetricsServer(make_server(host, port, self.wsgi_app, _Server, _SilentHandler))

    def _text(self, form: Format, names: frozenset[str]) -> Iterator[str]:
        is_wanted = names.__contains__ if names else lambda _: True
        states, collected = self._gather()
        if len(states) > 1:  # one program with several fleets: their points share the families
            states, collected = [], self._gather(directly=False)[1]
        yield from self._rendered(states, form, is_wanted)
        shown = frozenset().union(*(state.names() for state in states))
        metrics = [metric for metric in metrics_of(collected) if metric.name not in shown]
        yield from collected_lines((each for each in metrics if each.name in METRICS), form, is_wanted)
        yield self._foreign.text((each for each in metrics if each.name not in METRICS), form, names)
        if form is Format.OPENMETRICS:
            yield "# EOF\n"

    def _rendered(self, states: list[State], form: Format, is_wanted: Callable[[str], bool]) -> Iterator[str]:
        """Yield what is read from the states; the labels' texts are kept until the next page."""
        known = self._pages
        self._pages = [(state, next((page for old, page in known if old is state), Page(state))) for state in states]
        for _, page in self._pages:
            yield from page.render(form, is_wanted)

    def _gather(self, *, directly: bool = True) -> tuple[list[State], MetricsData | None]:
        """Return the states that are read directly, and what the SDK collected from all other instruments."""
        states: list[State] = []
        token = READ_DIRECTLY.set(states if directly else None)
        try:
            self._received = None
            self.collect()
            return states, self._received
        finally:
            READ_DIRECTLY.reset(token)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        self._received = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Do nothing: nothing runs between pages. A server of `start_http_server` has a `stop` of its own."""


class MetricsServer:
    """The HTTP server of a page. Also a context manager that stops it at the end."""

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        self.port: int = server.server_port
        """The port that was opened."""
        self._thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and wait for the thread. May be called twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    timeout = 30.0
    """Seconds for a request to arrive, and for each write of the answer."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a scrape every few seconds is no news."""


def _names(query: str) -> list[str]:
    return parse_qs(query).get("name[]", [])


def _response(content_type: str, text: str, accept_encoding: str) -> tuple[list[tuple[str, str]], bytes]:
    body = text.encode()
    headers = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding"), ("Cache-Control", "no-store")]
    if takes_gzip(accept_encoding):
        pack = zlib.compressobj(1, wbits=_GZIP)
        body = pack.compress(body) + pack.flush()
        headers.append(("Content-Encoding", "gzip"))
    return [*headers, ("Content-Length", str(len(body)))], body
