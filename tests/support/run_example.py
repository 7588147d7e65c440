"""Runs an example and one charge point in a process of their own, and prints the spans and metrics as JSON.

`python run_example.py FILE PORT SUBPROTOCOL BOOT`. Providers are set first, as a program would, unless something else
has set them: then `opentelemetry-instrument` exports them.
"""

import asyncio
import json
import runpy
import sys
from contextlib import suppress

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
example, port, subprotocol, boot = sys.argv[1:]


async def charge() -> None:
    while True:
        with suppress(ConnectionRefusedError):
            async with connect(
                f"ws://127.0.0.1:{port}/CP1",
                subprotocols=[Subprotocol(subprotocol)],
                proxy=None,
            ) as socket:
                await socket.send(json.dumps([2, "1", "BootNotification", json.loads(boot)]))
                await socket.recv()
                return
        await asyncio.sleep(0.05)


async def run() -> None:
    server = asyncio.create_task(runpy.run_path(example)["main"](int(port)))
    async with asyncio.timeout(30):
        await charge()
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


if not isinstance(trace.get_tracer_provider(), TracerProvider):
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader]))
asyncio.run(run())
data = reader.get_metrics_data() if spans.get_finished_spans() else None
names = [
    metric.name
    for resource in (data.resource_metrics if data is not None else ())
    for scope in resource.scope_metrics
    for metric in scope.metrics
]
found = [[span.name, span.kind.name, dict(span.attributes or {})] for span in spans.get_finished_spans()]
sys.stdout.write(json.dumps({"spans": found, "metrics": names}) + "\n")
