"""CentralSystem(tracer_provider=…, meter_provider=…): a program's own providers receive what charge points do."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.chargers import START, stop
from wattspan.testing import Charger, central_system

BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One"}


async def test_a_session_reaches_the_providers_of_the_program():
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(shutdown_on_exit=False), MeterProvider([reader], shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    async with central_system(tracer_provider=tracers, meter_provider=meters) as csms:
        async with Charger(csms.port, "CP1") as charger:
            await charger.call("BootNotification", BOOT)
            transaction = await charger.call("StartTransaction", START)
            await charger.call("StopTransaction", stop(transaction["transactionId"]))
        data = reader.get_metrics_data()
    assert data is not None
    names = {metric.name for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics}
    assert {"ocpp_tx_total", "ocpp_msg_handling_seconds", "ocpp_tx_duration_seconds"} <= names
    found = {span.name: span for span in spans.get_finished_spans()}
    assert {"BootNotification", "StartTransaction", "StopTransaction", "charging session"} <= set(found)
    assert found["StartTransaction"].attributes["cp_id"] == "CP1"
