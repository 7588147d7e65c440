"""An OTLP/HTTP receiver on a real socket, and Collectors that misbehave."""

import asyncio
import gzip
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

DEADLINE_S = 10.0


@dataclass
class Receiver:
    """What came in, by signal. `endpoint` is for OTEL_EXPORTER_OTLP_ENDPOINT."""

    endpoint: str
    traces: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    refused: int = 0
    """Requests without what it wants."""

    def spans(self) -> list[Any]:
        """Every span received, parsed."""
        return [
            span
            for request in list(self.traces)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metric(self, name: str) -> list[Any]:
        """Every point of a metric, in the order received."""
        return [
            point
            for request in list(self.metrics)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in getattr(metric, metric.WhichOneof("data")).data_points
        ]

    def temporalities(self) -> set[int]:
        """The temporality of every sum and histogram received."""
        return {
            getattr(metric, kind).aggregation_temporality
            for request in list(self.metrics)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if (kind := metric.WhichOneof("data")) != "gauge"
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave a failed handshake to the client; anything else is shown."""
        if not isinstance(sys.exception(), ssl.SSLError):
            super().handle_error(request, client_address)


_TYPES: dict[str, tuple[str, Callable[[], Message]]] = {
    "/v1/traces": ("traces", ExportTraceServiceRequest),
    "/v1/metrics": ("metrics", ExportMetricsServiceRequest),
    "/v1/logs": ("logs", ExportLogsServiceRequest),
}


@contextmanager
def receiver(
    *,
    before_answer: Callable[[], object] = lambda: None,
    base: str = "",
    wants: Mapping[str, str] | None = None,
    keep: Callable[[Any], bool] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Receiver]:
    """An OTLP/HTTP server on a free port, below the path `base`; 401 to who does not bring the headers it `wants`.

    `before_answer` is called on the thread of each request, and may take its time. `keep`: which spans are kept, of
    more than memory should hold; None: all. `tls` None: without TLS.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if any(self.headers.get(name) != value for name, value in (wants or {}).items()):
                received.refused += 1
                self.answer(401)
                return
            signal, make = _TYPES[self.path.removeprefix(base)]
            request = make()
            request.ParseFromString(body)
            before_answer()
            if keep is None:
                received.headers.append(dict(self.headers))
            elif isinstance(request, ExportTraceServiceRequest):
                _reduce(request, keep)
            getattr(received, signal).append(request)
            self.answer(200)

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:  # a handshake is for the thread of its connection, which the first read begins
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if tls is None else "https"
    received = Receiver(f"{scheme}://127.0.0.1:{server.server_address[1]}{base}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _reduce(request: ExportTraceServiceRequest, keep: Callable[[Any], bool]) -> None:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            kept = [span for span in scope.spans if keep(span)]
            del scope.spans[:]
            scope.spans.extend(kept)


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A Collector that takes connections and never answers; yields its endpoint."""
    held: list[asyncio.StreamWriter] = []

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in held:
            writer.close()


def until(true: Callable[[], object]) -> None:
    """Wait for another thread; fails after DEADLINE_S."""
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, "did not come true"
        time.sleep(0.005)
