"""The Collector's fragments for vendors, each run by a real Collector against a server that is like the vendor's."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from stack.process import eventually
from stack.servers import Collector
from stack.test_backends import has_all
from stack.test_stack_gates import NOT_VALIDATED, VENDORS
from stack.test_stack_troubles import charge
from stack.wattspan_server import WattspanServer, to_collector
from support.otlp import receiver

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
KEY = "key-of-the-vendor"
BASIC = base64.b64encode(b"123456:token").decode()


class Vendor(NamedTuple):
    """What a vendor's OTLP intake is like: see its documentation. `variable` has its address."""

    variable: str
    headers: Mapping[str, str]
    base: str = ""
    secret: str = KEY
    metrics_headers: Mapping[str, str] = {}
    signals: Sequence[str] = ("traces", "metrics", "logs")
    temporality: int = CUMULATIVE
    """Of sums that only rise, and of histograms."""


INTAKES = {
    "grafana-cloud": Vendor("GRAFANA_OTLP", {"Authorization": f"Basic {BASIC}"}, base="/otlp", secret=BASIC),
    "honeycomb": Vendor(
        "HONEYCOMB", {"x-honeycomb-team": KEY}, metrics_headers={"x-honeycomb-dataset": "wattspan-metrics"}
    ),
    "new-relic": Vendor("NEW_RELIC", {"api-key": KEY}),
    "elastic": Vendor("ELASTIC_OTLP", {"Authorization": f"ApiKey {KEY}"}),
    "signoz": Vendor("SIGNOZ_OTLP", {"signoz-ingestion-key": KEY}),
    "datadog": Vendor("DATADOG_OTLP", {"dd-api-key": KEY}, signals=("metrics", "logs"), temporality=DELTA),
    "dynatrace": Vendor(
        "DYNATRACE_OTLP", {"Authorization": f"Api-Token {KEY}"}, base="/api/v2/otlp", temporality=DELTA
    ),
}
SIGNED = {"aws"}
"""Whose requests are signed for the addresses of the vendor itself: they are validated, and not run."""


def test_every_fragment_that_the_collector_can_run_is_tried() -> None:
    assert INTAKES.keys() | SIGNED == {
        path.stem for path in VENDORS if NOT_VALIDATED not in path.read_text(encoding="utf-8")
    }


@pytest.mark.parametrize("name", INTAKES)
async def test_a_vendor_gets_the_signals_that_it_takes_as_it_wants_them(name: str, tmp_path: Path) -> None:
    vendor = INTAKES[name]
    (fragment,) = (path for path in VENDORS if path.stem == name)
    secret, file = tmp_path / "vendor_key", tmp_path / fragment.name
    secret.write_text(vendor.secret)
    file.write_text(fragment.read_text(encoding="utf-8").replace("/run/secrets/vendor_key", str(secret)))
    wants = {**vendor.headers, **vendor.metrics_headers, "Content-Encoding": "gzip"}
    with receiver(base=vendor.base, wants=wants) as intake:
        address: dict[str, Any] = {vendor.variable: intake.endpoint}
        collector = Collector.run(tmp_path, more=[file], **address)
        async with collector as running, WattspanServer.run(tmp_path, to_collector(running)) as server:
            await charge(server, "CP1")

            async def received() -> bool:
                if vendor.temporality == CUMULATIVE:
                    return has_all(intake)
                deltas = [point.as_double or point.as_int for point in intake.metric("ocpp_cp_energy_total_wh")]
                return sum(deltas) == 7500 and all(getattr(intake, signal) for signal in vendor.signals)

            await eventually(received)
        assert intake.refused == 0
        assert intake.temporalities() == {vendor.temporality}
