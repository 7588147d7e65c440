# mypy: disable-error-code="arg-type,no-untyped-call,untyped-decorator"
# The ocpp package is not typed throughout.
"""Programs built on the `ocpp` package, for tests of what instruments them. They have no line of telemetry."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ocpp.exceptions import SecurityError
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call_result as result16
from ocpp.v21 import ChargePoint as ChargePoint21
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call_result as result201
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from support.chargers import Charger
from support.observing import tracing
from wattspan.instrumentation import OcppInstrumentor

NOW = "2026-03-02T08:00:00Z"


class Central16(ChargePoint16):
    """A central system of 1.6. `seen` has what its handlers noticed."""

    ids = itertools.count(4711)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[Any] = []

    @on("BootNotification")
    async def on_boot(self, **_: Any) -> Any:
        self.seen.append(trace.get_current_span().get_span_context().span_id)
        with trace.get_tracer("theirs").start_as_current_span("look up"):
            await asyncio.sleep(0)
        return result16.BootNotification(current_time=NOW, interval=60, status="Accepted")

    @after("BootNotification")
    async def after_boot(self, **_: Any) -> None:
        self.seen.append(trace.get_current_span().get_span_context().span_id)

    @on("Heartbeat")
    def on_heartbeat(self) -> Any:
        return result16.Heartbeat(current_time=NOW)

    @on("Authorize")
    def on_authorize(self, **_: Any) -> Any:
        raise SecurityError("no")

    @on("StatusNotification")
    def on_status(self, **_: Any) -> Any:
        raise RuntimeError("a fault of theirs")

    @on("StartTransaction")
    def on_start(self, **_: Any) -> Any:
        return result16.StartTransaction(transaction_id=next(self.ids), id_tag_info={"status": "Accepted"})

    @on("StopTransaction")
    def on_stop(self, **_: Any) -> Any:
        return result16.StopTransaction()

    @on("MeterValues")
    def on_meter_values(self, **_: Any) -> Any:
        return result16.MeterValues()


class Central201(ChargePoint201):
    """A central system of 2.0.1."""

    @on("BootNotification")
    def on_boot(self, **_: Any) -> Any:
        return result201.BootNotification(current_time=NOW, interval=60, status="Accepted")

    @on("TransactionEvent")
    def on_transaction(self, **_: Any) -> Any:
        return result201.TransactionEvent()


class Adapter:
    """A connection of another library, whose class is of neither role. `sent` has the messages."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, message: str) -> None:
        self.sent.append(json.loads(message))


class Scripted:
    """Answers nothing by itself: whoever has it sends the answers. `received` has the texts that arrived."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.received: asyncio.Queue[str] = asyncio.Queue()

    async def route_message(self, raw_msg: str) -> None:
        await super().route_message(raw_msg)  # type: ignore[misc]
        self.received.put_nowait(raw_msg)

    async def _handle_call(self, _msg: Any) -> None:
        return


SCRIPTED = {
    "ocpp1.6": type("Scripted16", (Scripted, ChargePoint16), {}),
    "ocpp2.0.1": type("Scripted201", (Scripted, ChargePoint201), {}),
    "ocpp2.1": type("Scripted21", (Scripted, ChargePoint21), {}),
}
"""By subprotocol."""


@dataclass
class Program:
    """A central system that listens, its charge points by id, and how many connections are open."""

    port: int
    charge_points: dict[str, Any] = field(default_factory=dict)
    open: int = 0

    def charger(self, cp_id: str, subprotocol: str = "ocpp1.6") -> Charger:
        return Charger(f"ws://127.0.0.1:{self.port}/{cp_id}", subprotocols=[Subprotocol(subprotocol)])


@asynccontextmanager
async def central_program(kind: type[Any] = Central16, timeout_s: float = 30) -> AsyncIterator[Program]:
    """Run a central system as the package's documentation shows it."""
    program = Program(0)

    async def accept(connection: ServerConnection) -> None:
        assert connection.request is not None
        cp_id = connection.request.path.strip("/")
        program.charge_points[cp_id] = charge_point = kind(cp_id, connection, response_timeout=timeout_s)
        program.open += 1
        try:
            with suppress(ConnectionClosed):
                await charge_point.start()
        finally:
            program.open -= 1

    subprotocols = [Subprotocol(each) for each in SCRIPTED]
    async with serve(accept, "127.0.0.1", 0, subprotocols=subprotocols, ping_interval=None) as server:
        program.port = server.sockets[0].getsockname()[1]
        yield program


def queued_tracing() -> tuple[TracerProvider, InMemorySpanExporter]:
    """Return a provider, and what receives its spans from a queue."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, exporter


@dataclass
class Instrumented:
    """What an instrumented program records."""

    provider: TracerProvider
    spans: InMemorySpanExporter
    reader: InMemoryMetricReader
    instrumentor: OcppInstrumentor

    def flush(self) -> None:
        """Have all that waits observed and exported."""
        runtime = self.instrumentor.runtime
        assert runtime is not None
        runtime.connections.deferred.observe()
        self.provider.force_flush()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def messages(self) -> list[ReadableSpan]:
        """Return the ended spans of messages."""
        return [span for span in self.spans.get_finished_spans() if "rpc.method" in (span.attributes or {})]

    def only(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def metrics(self) -> dict[tuple[str, tuple[Any, ...]], Any]:
        """Return the points by name and label values; of histograms, the number of recordings."""
        return {
            (name, labels): point.value if hasattr(point, "value") else point.count
            for name, labels, point in self._points()
        }

    def samples(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return all values as `observing.samples` does of a state."""
        found: dict[tuple[str, tuple[str, ...]], float] = {}
        for name, labels, point in self._points():
            if hasattr(point, "value"):
                found[name, labels] = point.value
            else:
                found[f"{name}_count", labels], found[f"{name}_sum", labels] = point.count, round(point.sum, 6)
        return found

    def _points(self) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        yield metric.name, tuple((point.attributes or {}).values()), point


@contextmanager
def instrumented(*, queued: bool = False, **options: Any) -> Iterator[Instrumented]:
    """Instrument `ocpp` with providers of its own, and undo it.

    `queued`: spans are put into a queue, so that messages may wait to be observed; `Instrumented.flush` ends that.
    """
    provider, spans = queued_tracing() if queued else tracing()
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    instrumentor = OcppInstrumentor()
    instrumentor.instrument(tracer_provider=provider, meter_provider=meters, **options)
    try:
        yield Instrumented(provider, spans, reader, instrumentor)
    finally:
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
        meters.shutdown()
        provider.shutdown()
