"""A central system on whichever `ocpp` package is installed, instrumented. Prints what it sent and recorded as JSON.

It uses only what each release of the package from 0.26 to 2.1 has.
"""

# The package ships no types.
# mypy: disable-error-code="no-untyped-call, untyped-decorator"
from __future__ import annotations

import asyncio
import itertools
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import Any

from ocpp.exceptions import SecurityError
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call_result as result201
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wattspan.instrumentation import OcppInstrumentor

NOW = "2026-03-02T08:00:00Z"
READING = [{"timestamp": NOW, "sampledValue": [{"value": "3000"}]}]
BOOT_2X = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "Two"}}
EVENT = {"timestamp": NOW, "triggerReason": "Authorized", "evse": {"id": 1}, "transactionInfo": {"transactionId": "T1"}}
Messages = tuple[tuple[str, dict[str, Any]], ...]
MESSAGES_16: Messages = (
    ("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "One"}),
    ("StartTransaction", {"connectorId": 1, "idTag": "TAG1", "meterStart": 1000, "timestamp": NOW}),
    ("MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": READING}),
    ("StopTransaction", {"transactionId": 7, "meterStop": 8500, "timestamp": NOW}),
    ("Authorize", {"idTag": "TAG1"}),
    ("Heartbeat", {}),
    ("NoSuchAction", {}),
    ("BootNotification", {"chargePointVendor": "Acme"}),
)
MESSAGES_201: Messages = (
    ("BootNotification", BOOT_2X),
    ("TransactionEvent", {**EVENT, "eventType": "Started", "seqNo": 0}),
    ("TransactionEvent", {**EVENT, "eventType": "Ended", "seqNo": 1, "triggerReason": "StopAuthorized"}),
)


def payload(module: Any, name: str, **fields: Any) -> Any:
    """Return a payload of the package: before 1.0 its classes have another name."""
    kind = getattr(module, name, None) or getattr(module, f"{name}Payload")
    return kind(**fields)


class Central16(ChargePoint16):
    """A central system of 1.6."""

    @on("BootNotification")
    def on_boot(self, **_: Any) -> Any:
        return payload(result16, "BootNotification", current_time=NOW, interval=9, status="Accepted")

    @after("BootNotification")
    async def after_boot(self, **_: Any) -> None:
        await asyncio.sleep(0)

    @on("StartTransaction")
    def on_start(self, **_: Any) -> Any:
        return payload(result16, "StartTransaction", transaction_id=7, id_tag_info={"status": "Accepted"})

    @after("StartTransaction")
    async def after_start(self, **_: Any) -> None:
        raise SecurityError

    @on("MeterValues")
    def on_meter_values(self, **_: Any) -> Any:
        return payload(result16, "MeterValues")

    @on("StopTransaction")
    def on_stop(self, **_: Any) -> Any:
        return payload(result16, "StopTransaction")

    @on("Authorize")
    def on_authorize(self, **_: Any) -> Any:
        raise RuntimeError


class Central201(ChargePoint201):
    """A central system of 2.0.1."""

    @on("BootNotification")
    def on_boot(self, **_: Any) -> Any:
        return payload(result201, "BootNotification", current_time=NOW, interval=9, status="Accepted")

    @on("TransactionEvent")
    def on_event(self, **_: Any) -> Any:
        return payload(result201, "TransactionEvent")


class Connection:
    """A connection that keeps what is sent, and answers commands with `answer` if there is one."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answer: dict[str, Any] | None = None
        self.charge_point: Any = None

    async def send(self, message: str) -> None:
        frame = json.loads(message)
        self.sent.append(frame if frame[0] != 4 else frame[:3])  # texts of errors differ
        if frame[0] == 2 and self.answer is not None:
            await self.charge_point.route_message(json.dumps([3, frame[1], self.answer]))


async def converse() -> dict[str, list[Any]]:
    """Have both central systems handle messages and send commands; return what they sent."""
    sent = {}
    for kind, messages in ((Central16, MESSAGES_16), (Central201, MESSAGES_201)):
        connection = Connection()
        central = connection.charge_point = kind(f"CP-{kind.__name__}", connection, response_timeout=0.05)
        central._unique_id_generator = partial(next, itertools.count(100))
        for number, (action, given) in enumerate(messages):
            await central.route_message(json.dumps([2, str(number), action, given]))
            await asyncio.sleep(0.01)
        if kind is Central16:
            for answer in ({"status": "Rejected"}, None):
                connection.answer = answer
                with suppress(asyncio.TimeoutError):
                    await central.call(payload(call16, "Reset", type="Soft"))
        sent[kind.__name__] = connection.sent
    return sent


def counts(reader: InMemoryMetricReader) -> Iterator[tuple[str, float]]:
    """Yield each series with its value; of a histogram, the number of recordings. Times are left out."""
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    if not metric.name.endswith("_ts"):
                        value = point.value if hasattr(point, "value") else point.count
                        yield f"{metric.name}{json.dumps(dict(point.attributes or {}))}", value


async def main() -> None:
    """Instrument, converse and print."""
    logging.disable()
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    OcppInstrumentor().instrument(tracer_provider=tracers, meter_provider=meters, role="central system")
    sent = await converse()
    metrics = dict(counts(reader))
    OcppInstrumentor().uninstrument()
    names = {span.context.span_id: span.name for span in spans.get_finished_spans() if span.context is not None}
    described = [
        [
            span.name,
            span.kind.name,
            span.status.status_code.name,
            (span.attributes or {}).get("error.type"),
            None if span.parent is None else names.get(span.parent.span_id),
        ]
        for span in spans.get_finished_spans()
    ]
    recorded = {"sent": sent, "spans": sorted(described, key=repr), "metrics": metrics}
    sys.stdout.write(json.dumps({"ocpp": version("ocpp"), "recorded": recorded}))


if __name__ == "__main__":
    asyncio.run(main())
