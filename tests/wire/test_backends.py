"""docs/backends.md: what a vendor's server gets when the page's own lines are followed."""

import base64
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from support.central import Csms
from support.chargers import BOOT, START, stop
from support.otlp import Receiver, receiver
from support.recipes import recipe, variables
from support.waiting import eventually

MakeCsms = Callable[..., Awaitable[Csms]]
KEY = "glc_ey+J/=="
BASIC = "Basic " + base64.b64encode(f"123456:{KEY}".encode()).decode()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "vendor_key"
    path.write_text(KEY)
    return str(path)


async def charge(csms: Csms) -> None:
    """A session."""
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call("StopTransaction", stop(transaction_id))


class Vendor(NamedTuple):
    """A recipe of the page, what stands there for the server, and what that server is like."""

    name: str
    spot: str
    base: str
    wants: dict[str, str]


VENDORS = [
    Vendor("vendor", "vendor", "", {"api-key": KEY}),
    Vendor("base path and basic credentials", "gateway", "/otlp", {"Authorization": BASIC}),
]


@pytest.mark.parametrize("kind", VENDORS, ids=lambda kind: kind.spot)
async def test_a_vendor_gets_all_three_signals_by_the_recipe(
    make_csms: MakeCsms,
    monkeypatch: pytest.MonkeyPatch,
    secret: str,
    caplog: pytest.LogCaptureFixture,
    kind: Vendor,
) -> None:
    caplog.set_level(logging.INFO, "wattspan")  # as `wattspan serve` has it
    with receiver(base=kind.base, wants=kind.wants) as vendor:
        for variable, value in variables(recipe(kind.name, **{kind.spot: vendor.endpoint, "secret": secret})).items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "100")
        csms = await make_csms()
        await charge(csms)
        await eventually(partial(has_all, vendor))
        assert vendor.refused == 0
        await csms.stop()


def has_all(vendor: Receiver) -> bool:
    """The session's span, the energy counter under its very name, the session's log line."""
    lines = [
        record.body.string_value
        for request in list(vendor.logs)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
    energy = [point for point in vendor.metric("ocpp_cp_energy_total_wh") if (point.as_double or point.as_int) == 7500]
    return (
        "charging session" in {span.name for span in vendor.spans()}
        and bool(energy)
        and "session ended: 7500 Wh, Local" in lines
    )


async def test_a_vendor_that_refuses_the_key_changes_nothing_but_a_count(
    make_csms: MakeCsms, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    with receiver(wants={"api-key": "another"}) as vendor:
        for variable, value in variables(recipe("vendor", vendor=vendor.endpoint, secret=secret)).items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        csms = await make_csms()
        await charge(csms)

        async def lost() -> bool:
            dropped = await csms.metric("ocpp_central_telemetry_dropped_total", signal="traces")
            return vendor.refused > 0 and bool(dropped)

        await eventually(lost)
        await csms.stop()
    assert vendor.spans() == []


DELTAS = [
    Vendor("dynatrace", "dynatrace", "/api/v2/otlp", {"Authorization": f"Api-Token {KEY}"}),
    Vendor("datadog", "datadog", "", {"dd-api-key": KEY}),
]


@pytest.mark.parametrize("kind", DELTAS, ids=lambda kind: kind.spot)
async def test_a_vendor_that_wants_deltas_gets_them_by_the_recipe(
    make_csms: MakeCsms,
    monkeypatch: pytest.MonkeyPatch,
    secret: str,
    caplog: pytest.LogCaptureFixture,
    kind: Vendor,
) -> None:
    caplog.set_level(logging.INFO, "wattspan")
    with receiver(base=kind.base, wants=kind.wants | {"Content-Encoding": "gzip"}) as vendor:
        address = vendor.endpoint.removesuffix(kind.base)
        for variable, value in variables(recipe(kind.name, **{kind.spot: address, "secret": secret})).items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
        monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "100")
        csms = await make_csms()
        await charge(csms)

        def has_metrics_and_logs() -> bool:
            energy = [point.as_double or point.as_int for point in vendor.metric("ocpp_cp_energy_total_wh")]
            return 7500 in energy and 0 in energy and bool(vendor.logs)

        await eventually(has_metrics_and_logs)
        assert vendor.refused == 0
        assert vendor.temporalities() == {AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA}
        await csms.stop()
