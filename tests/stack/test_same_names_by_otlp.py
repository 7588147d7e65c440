"""One fleet, two pages: our /metrics and the Collector's, fed by OTLP, are the same line by line."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from ocpp.v16 import call
from ocpp.v16.enums import ResetType
from opentelemetry.sdk.metrics import MeterProvider

from stack.process import eventually
from stack.servers import Collector
from stack.wattspan_server import otlp
from support.central import Csms
from support.chargers import BOOT, START, Charger, energy, meter_values, status, stop
from support.operators import PASSWORD, admin, anonymous
from support.raw import CONTINUATION, TEXT, masked
from wattspan import Plugin
from wattspan.domain.events import Event
from wattspan.domain.model import MAX_CONNECTORS
from wattspan.errors import CommandRefused
from wattspan.telemetry.catalogue import METRICS

LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
COLLECTORS_OWN = {"job", "instance"}
COUNTED_BY_THE_COLLECTOR = re.compile(r"(# (HELP|TYPE) )?(target_info|traces_span_metrics_)")
BY_OTLP_ONLY = re.compile(r"(# (HELP|TYPE) )?http_server_request_duration")
"""The HTTP conventions' histogram; the page has the specified `http_*` metrics."""
MOVING = (
    "process_",
    "ocpp_store_commit_seconds",
    "database_health_check_",
    "system_health_check_",
    "user_sessions_active",
)
"""Figures that are others at each look; their names and types are compared, not their values."""

ONLY_WITH_TLS = "_certificate_expires_ts"
"""How metrics end that a server without certificates does not have; this one has none."""

ELSEWHERE = (
    *("ocpp_proxy_", "ocpp_observer_"),
    *("ocpp_central_adoptions_", "ocpp_central_clock_difference_", "ocpp_central_fenced_", "ocpp_central_lease_age_"),
    *("ocpp_central_node", "ocpp_central_owned_", "ocpp_central_redis_", "ocpp_central_routed_"),
    *("ocpp_central_takeovers_", "redis_health_check_"),
)
"""How metrics begin that a central system does not have: those of the proxy, of the observer and of nodes."""

WITHOUT_FAULT = {"ocpp_central_history_dropped_total", "ocpp_central_maintenance_failures_total"}
"""Metrics without a series until something fails that does not fail here."""


class Broken(Plugin):
    """For the metric of plugins' faults."""

    name = "broken"

    async def on_event(self, event: Event) -> None:
        raise RuntimeError


@pytest.fixture(params=["grpc", "http/protobuf"])
async def csms(
    request: pytest.FixtureRequest, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Csms]:
    """A central system that sends to the Collector."""
    endpoint = collector.grpc_endpoint if request.param == "grpc" else collector.http_endpoint
    # Sent when told to: an info whose labels change between two exports stays on the Collector's page for 5 minutes.
    for name, value in (otlp(endpoint, request.param) | {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"}).items():
        monkeypatch.setenv(name, value)
    csms = Csms(tmp_path / "fleet.db", plugins=[Broken()], registration=True)
    await csms.start()
    yield csms
    await csms.stop()


async def test_names_types_and_values_are_the_same_by_otlp(csms: Csms, collector: Collector) -> None:
    async with csms.charger("CP1") as first, csms.charger("CP2") as second:
        await day(csms, first)
        await second.call("BootNotification", BOOT | {"firmwareVersion": 'a "quoted" \\ one'})
        await second.call("StartTransaction", START)
        await csms.durable()

        provider = csms.central.telemetry.meter_provider
        assert isinstance(provider, MeterProvider)
        await eventually(partial(same, csms, collector, provider))
        ours = told(await csms.page())
    named = {line.split()[2] for line in ours if line.startswith("# TYPE ")}
    expected = {name for name in METRICS if not name.endswith(ONLY_WITH_TLS) and not name.startswith(ELSEWHERE)}
    assert named == expected - WITHOUT_FAULT
    assert "# TYPE ocpp_cp_energy_total_wh counter" in ours
    assert 'ocpp_cp_energy_total_wh{cp_id="CP1"} 7500' in ours


async def day(csms: Csms, charger: Charger) -> None:
    """Something for every metric to tell."""
    await charger.call("BootNotification", BOOT)
    await charger.call("Heartbeat")
    await charger.call("Authorize", {"idTag": "TAG1"})
    ahead = {"timestamp": "2099-01-01T00:00:00Z"}
    await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure") | ahead)
    transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
    current = {"value": "15.5", "measurand": "Current.Import", "unit": "A", "phase": "L1"}
    offered = {"value": "32", "measurand": "Current.Offered", "unit": "A"}
    power = {"value": "3.6", "measurand": "Power.Active.Import", "unit": "kW"}
    await charger.call("MeterValues", meter_values(transaction_id, energy(2000.5), current, offered, power))
    await charger.call("StopTransaction", stop(transaction_id, 8500))
    running = (await charger.call("StartTransaction", START | {"connectorId": 2, "meterStart": 0}))["transactionId"]
    for register_wh in (100, 20_100, 20_200):
        values = meter_values(running, energy(register_wh), current, offered, power, connector_id=2)
        await charger.call("MeterValues", values)
    await charger.call("StatusNotification", {"connectorId": 1, "status": "Available"})
    await charger.send_raw("no frame")
    await charger.raw('[2,"x","Nonsense",{}]')
    await charger.send_raw('[3,"nobody asked",{}]')
    async with csms.charger("CP3") as gone:
        await gone.call("BootNotification", BOOT)
        gone.vanish()
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP3")
    await csms.get("/metrics")
    await commands(csms, charger)
    await later_versions(csms)
    await too_many_connectors(csms)
    await empty_fragments(csms)
    await people(csms)


async def commands(csms: Csms, charger: Charger) -> None:
    """One that is accepted, one that is rejected, one that fails; and a handshake that leads nowhere."""
    for payload in ({"status": "Accepted"}, {"status": "Rejected"}):
        asking = csms.central._spawn(send(csms))
        await charger.reply(await expect_reset(charger), payload)
        await asking
    asking = csms.central._spawn(send(csms))
    _, message_id, *_ = await expect_reset(charger)
    await charger.send_raw(f'[4,"{message_id}","InternalError","",{{}}]')
    await asking
    async with csms.raw_charger("/no/such/path") as lost:
        assert lost.status == 404


async def later_versions(csms: Csms) -> None:
    """A station of 2.1 that still tells something as 1.6 does, and can't use an answer of ours."""
    async with csms.charger("CP4", subprotocols=["ocpp2.1"]) as station:
        await station.call("StatusNotification", status("Preparing"))
        await station.call("TransactionEvent", transaction("Started", 0))
        await station.call("TransactionEvent", transaction("Ended", 2))  # 1 never comes
        await station.send_raw('[5,"m1","FormatViolation","",{}]')
        await station.call("Heartbeat")
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP4")


async def too_many_connectors(csms: Csms) -> None:
    async with csms.charger("CP5") as charger:
        for number in range(MAX_CONNECTORS + 2):
            await charger.call("StatusNotification", status("Available", connector_id=number))
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP5")


async def empty_fragments(csms: Csms) -> None:
    """A peer that is closed because it exceeds a limit."""
    async with csms.raw_charger("/ws/CP6") as charger:
        charger.write(b"[", TEXT, final=False)
        charger.writer.write(masked(b"", CONTINUATION, final=False) * 10_000)
        assert (await charger.read()).close_code == 1008
    await csms.becomes(0, "ocpp_cp_connected", cp_id="CP6")


def transaction(kind: str, seq_no: int) -> dict[str, object]:
    return {
        "eventType": kind,
        "timestamp": "2026-11-21T10:00:00Z",
        "triggerReason": "CablePluggedIn",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": "T-1"},
        "evse": {"id": 1},
    }


async def people(csms: Csms) -> None:
    """One who registers, registers again and is locked out; and the first, who looks whether all is well."""
    new = {"name": "eve", "password": PASSWORD}
    async with anonymous(csms) as eve, admin(csms) as first:
        await eve.ask("POST", "/registrations", 201, json=new)
        await eve.ask("POST", "/registrations", 409, json=new)
        await first.ask("GET", "/health")
        for _ in range(5):
            await eve.ask("POST", "/session", 401, json=new | {"password": "wrong"})
    assert await csms.metric("account_lockouts_total") == 1


async def send(csms: Csms) -> None:
    try:
        await csms.central.call("CP1", call.Reset(type=ResetType.soft))
    except CommandRefused:
        return


async def expect_reset(charger: Charger) -> list[object]:
    """The command; answers to frames that were none may come before it."""
    while (frame := await charger.expect())[0] != 2:
        pass
    return frame


@dataclass(frozen=True, slots=True)
class Difference:
    """Lines that only one of two pages has."""

    only_ours: Counter[str]
    only_theirs: Counter[str]

    def __bool__(self) -> bool:
        return False


async def same(csms: Csms, collector: Collector, provider: MeterProvider) -> Literal[True] | Difference:
    """Whether both pages say the same now; else what differs, which is false.

    Sent each time: what changed by itself after the last time is no difference.
    """
    assert await asyncio.to_thread(provider.force_flush)
    ours = Counter(told(await csms.page()))
    theirs = Counter(told((await collector.page()).splitlines()))
    return ours == theirs or Difference(ours - theirs, theirs - ours)


def told(page: list[str]) -> list[str]:
    """What a page says, in one order and one writing: HELP, TYPE and samples without what the Collector adds."""
    apart = (COUNTED_BY_THE_COLLECTOR, BY_OTLP_ONLY)
    return sorted(normal(line) for line in page if not any(each.match(line) for each in apart))


def normal(line: str) -> str:
    if line.startswith("#"):
        return line.rstrip()
    series, _, value = line.rpartition(" ")
    name, _, labels = series.partition("{")
    kept = sorted((key, text) for key, text in LABEL.findall(labels) if key not in COLLECTORS_OWN)
    written = ",".join(f'{key}="{text}"' for key, text in kept)
    return f"{name}{{{written}}} {'…' if name.startswith(MOVING) else f'{float(value):.15g}'}"
