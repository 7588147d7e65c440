"""The telemetry of a program that is not ours: everything goes to the providers of the program.

It owns which metrics such a program has. It must not know where the messages come from.
"""

from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import TracerProvider

from wattspan.telemetry import catalogue
from wattspan.telemetry.catalogue import Metric
from wattspan.telemetry.instruments import ApiMeasures, FleetInstruments
from wattspan.telemetry.recorder import Recorder
from wattspan.telemetry.resource import VERSION
from wattspan.telemetry.sessions import SessionSpans
from wattspan.telemetry.spans.given import GivenSpans, given_spans
from wattspan.telemetry.spans.ids import preset_ids_of
from wattspan.telemetry.tokens import TokenHash

PREFIX = "ocpp_"
OF_SERVER = frozenset({
    catalogue.COMMITS,
    catalogue.HISTORY_DROPPED,
    catalogue.MAINTENANCE_FAILURES,
    catalogue.PENDING,
    catalogue.STORE_FAILURES,
    catalogue.STORE_WAITING,
    catalogue.TELEMETRY_DROPPED,
})  # fmt: skip
"""Metrics of parts that only Wattspan's own server has: its store, its pending charge points, its exporters."""


def applies(metric: Metric) -> bool:
    """Return whether a program that is observed has this metric."""
    return metric.name.startswith(PREFIX) and metric not in OF_SERVER


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTelemetry:
    """A recorder that uses a program's providers, and the instruments that read its state."""

    recorder: Recorder
    instruments: FleetInstruments
    may_defer: Callable[[], bool]
    """Whether spans may begin and end a moment late with the times that they had; it may change."""


def given_telemetry(
    tracer_provider: TracerProvider, meter_provider: MeterProvider, *, token_key: bytes | None = None
) -> GivenTelemetry:
    """Create the instruments and return them with the recorder. The providers are never shut down here.

    Add the state that metrics are read from with `instruments.add`. `token_key` hashes id tokens, see `tokens`.
    """
    tracer = tracer_provider.get_tracer(catalogue.METER, VERSION, catalogue.SCHEMA_URL)
    meter = meter_provider.get_meter(catalogue.METER, VERSION, catalogue.SCHEMA_URL)
    spans = given_spans(tracer_provider, tracer, InstrumentationScope(catalogue.METER, VERSION, catalogue.SCHEMA_URL))
    recorder = Recorder(
        spans,
        ApiMeasures(meter, wanted=applies),
        SessionSpans(tracer, preset_ids_of(tracer), TokenHash(token_key)),
    )
    instruments = FleetInstruments.of(meter_provider, meter, wanted=applies)
    may_defer = spans.may_defer if isinstance(spans, GivenSpans) else lambda: False
    return GivenTelemetry(recorder=recorder, instruments=instruments, may_defer=may_defer)
