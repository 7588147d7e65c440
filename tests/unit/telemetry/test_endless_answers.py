"""A Collector that answers without end costs neither memory nor time, over real sockets."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from concurrent import futures
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from support.waiting import WITHIN_S
from wattspan.telemetry.otlp import grpc_private, http_private

MIB = 1 << 20


@asynccontextmanager
async def endless(piece: bytes, pause_s: float = 0.0) -> AsyncIterator[tuple[str, Callable[[], int]]]:
    """A Collector whose answers do not end; yields its endpoint and how much it could send."""
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n\r\n")
        try:
            while sent < 500 * MIB:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                await asyncio.sleep(pause_s)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lambda: sent
    finally:
        server.close()


async def test_an_endless_http_answer_is_read_no_further_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    async with endless(b"x" * 65_536) as (endpoint, sent):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        spans, metrics = http_private.HttpSpanExporter(lambda _: b"x"), http_private.HttpMetricExporter()
        logs = http_private.HttpLogExporter()
        tracemalloc.start()
        async with asyncio.timeout(WITHIN_S):
            assert await asyncio.to_thread(spans.export, [ReadableSpan("one")]) is SpanExportResult.SUCCESS
            assert await asyncio.to_thread(metrics.send, b"x")
            await asyncio.to_thread(logs.export, [])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        for exporter in (spans, metrics, logs):
            exporter.shutdown()
    assert most < 4 * MIB
    assert sent() < 64 * MIB  # the rest is in the sockets' buffers


async def test_an_answer_in_drops_takes_no_longer_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_private, "ANSWER_S", 0.1)
    async with endless(b"x", 0.01) as (endpoint, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        exporter = http_private.HttpMetricExporter()
        began_s = time.monotonic()
        async with asyncio.timeout(WITHIN_S):
            assert await asyncio.to_thread(exporter.send, b"x")
        assert time.monotonic() - began_s < 5
        exporter.shutdown()


def test_a_long_grpc_answer_is_refused(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Service(grpc.GenericRpcHandler):
        def service(self, _details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"\x0a" * MIB)

    with futures.ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, handlers=[Service()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        stock = "opentelemetry.exporter.otlp.proto.grpc.exporter"
        monkeypatch.setattr(f"{stock}._MAX_RETRYS", 1)  # six take 30 s
        monkeypatch.setattr(f"{stock}.logger.filters", [])  # it leaves out what it logged just before
        exporter = grpc_private.GrpcMetricExporter()
        assert not exporter.send(b"x")
        assert "RESOURCE_EXHAUSTED" in caplog.text
        exporter.shutdown()
        server.stop(None).wait()
