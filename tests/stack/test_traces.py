"""Messages, sessions and commands as traces in a real Jaeger, by way of a real Collector (ADR 12, decision 9)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ocpp.v16 import call
from opentelemetry import trace

from stack.ocpp_rpc import RunOcppRpc, boot
from stack.process import eventually
from stack.servers import Collector, Jaeger, attributes
from stack.wattspan_server import WattspanServer, to_collector
from support.central import Csms
from support.chargers import BOOT, Charger, Payload, energy

Span = dict[str, Any]
Trace = dict[str, Any]

TAG = "SECRETTAG04E1C9"
MINUTE_S = 60
SESSION = "charging session"
PLACES = 6
"""Minutes, rounded to what a float of Unix seconds is good for."""


def stamp(ts: float) -> str:
    """Unix seconds as a charger tells them: milliseconds, UTC."""
    return datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Day:
    """A charger that tells this morning's session: its times are over 5 minutes old, so they are taken for true."""

    now_ts: float

    @classmethod
    def of_now(cls) -> Day:
        return cls(float(int(time.time())))

    def at(self, minutes_ago: float) -> float:
        return self.now_ts - minutes_ago * MINUTE_S

    def told(self, spans: Iterable[Span]) -> list[tuple[str, float, float]]:
        """Name, start and end of spans, in minutes ago."""
        told = ((span["operationName"], stretch(span)) for span in spans)
        return [(name, self._minutes_ago(began), self._minutes_ago(ended)) for name, (began, ended) in told]

    def _minutes_ago(self, ts: float) -> float:
        return round((self.now_ts - ts) / MINUTE_S, PLACES)

    async def status(self, charger: Charger, word: str, minutes_ago: float, error_code: str = "NoError") -> None:
        told = {"connectorId": 1, "status": word, "errorCode": error_code, "timestamp": stamp(self.at(minutes_ago))}
        await charger.call("StatusNotification", told)

    async def start(self, charger: Charger, minutes_ago: float) -> int:
        told = {"connectorId": 1, "idTag": TAG, "meterStart": 1000, "timestamp": stamp(self.at(minutes_ago))}
        transaction_id: int = (await charger.call("StartTransaction", told))["transactionId"]
        return transaction_id

    async def meter(self, charger: Charger, transaction_id: int, minutes_ago: float, register_wh: float) -> None:
        value: Payload = {"timestamp": stamp(self.at(minutes_ago)), "sampledValue": [energy(register_wh)]}
        told = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]}
        await charger.call("MeterValues", told)

    async def stop(self, charger: Charger, transaction_id: int, minutes_ago: float) -> None:
        told = {"transactionId": transaction_id, "idTag": TAG, "meterStop": 8500, "reason": "Local"}
        await charger.call("StopTransaction", told | {"timestamp": stamp(self.at(minutes_ago))})


OF_CONNECTIONS = {"connect", "disconnect", "connection replaced"}


@pytest.fixture
async def server(tmp_path: Path, collector: Collector) -> AsyncIterator[WattspanServer]:
    async with WattspanServer.run(tmp_path, to_collector(collector)) as server:
        yield server


@pytest.fixture
async def csms(tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Csms]:
    """In this process, for what has no command line yet: commands."""
    for name, value in to_collector(collector).items():
        monkeypatch.setenv(name, value)
    csms = Csms(tmp_path / "fleet.db")
    await csms.start()
    yield csms
    await csms.stop()


async def test_a_message_is_a_trace_of_its_own_that_is_found_by_its_charge_point(
    server: WattspanServer, jaeger: Jaeger, ocpp_rpc: RunOcppRpc
) -> None:
    async with ocpp_rpc(url=server.url, identity="RPC1") as one, ocpp_rpc(url=server.url, identity="RPC2") as other:
        for charger in (one, other):
            await boot(charger)
        await one.call("Heartbeat")
    spans = {span["operationName"]: span for span in await message_spans(jaeger, "RPC1", count=3)}
    assert sorted(spans) == ["BootNotification", "Heartbeat", "StatusNotification"]
    assert len({span["traceID"] for span in spans.values()}) == 3
    for span in spans.values():
        assert span["references"] == []
        told = attributes(span)
        assert (told["cp_id"], told["span.kind"], told["ocpp.action"]) == ("RPC1", "server", span["operationName"])
        assert 0 <= told["ocpp.store_wait_s"] <= span["duration"] / 1e6
    assert attributes(spans["StatusNotification"])["connector_id"] == "1"
    assert "connector_id" not in attributes(spans["Heartbeat"])
    assert await jaeger.services() == ["wattspan"]


async def message_spans(jaeger: Jaeger, cp_id: str, *, count: int) -> list[Span]:
    """All message spans of a charge point, once there are so many."""

    async def enough() -> list[Span]:
        found = [span for span in spans_of(await jaeger.traces("wattspan", tags={"cp_id": cp_id})) if is_message(span)]
        return found if len(found) >= count else []

    found = await eventually(enough)
    assert len(found) == count, [span["operationName"] for span in found]
    return found


def spans_of(traces: list[Trace]) -> Iterator[Span]:
    return (span for each in traces for span in each["spans"])


def is_message(span: Span) -> bool:
    return bool(attributes(span)["span.kind"] == "server")


def is_of_session(span: Span) -> bool:
    """Whether it is part of a session: not a message, nor the begin or end of a connection."""
    return attributes(span)["span.kind"] == "internal" and span["operationName"] not in OF_CONNECTIONS


async def sessions(jaeger: Jaeger, cp_id: str) -> list[Trace]:
    return await jaeger.traces("wattspan", tags={"cp_id": cp_id}, operation=SESSION)


async def the_session(jaeger: Jaeger, cp_id: str) -> tuple[Span, list[Span]]:
    """The one session of a charge point and its phases in order; there is no second, nor a part of one elsewhere."""
    (told,) = await eventually(lambda: sessions(jaeger, cp_id))
    (root,) = (span for span in told["spans"] if span["operationName"] == SESSION)
    phases = sorted((span for span in told["spans"] if span is not root), key=lambda span: span["startTime"])
    assert root["references"] == []
    for phase in phases:
        assert phase["references"] == [reference("CHILD_OF", root)]
    found = spans_of(await jaeger.traces("wattspan", tags={"cp_id": cp_id}))
    assert ids(span for span in found if is_of_session(span)) == ids(told["spans"])
    return root, phases


def ids(spans: Iterable[Span]) -> set[str]:
    return {span["spanID"] for span in spans}


def reference(kind: str, to: Span) -> dict[str, str]:
    return {"refType": kind, "traceID": to["traceID"], "spanID": to["spanID"]}


def linked_to(session: Span, messages: Iterable[Span]) -> list[str]:
    """Names of the messages that have one link, and that to the session."""
    link = [reference("FOLLOWS_FROM", session)]
    return sorted(span["operationName"] for span in messages if span["references"] == link)


def stretch(span: Span) -> tuple[float, float]:
    """Start and end, Unix seconds."""
    return span["startTime"] / 1e6, (span["startTime"] + span["duration"]) / 1e6


async def test_a_session_is_one_trace_with_its_phases_and_what_happened(csms: Csms, jaeger: Jaeger) -> None:
    day = Day.of_now()
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await day.status(charger, "Preparing", 190)
        transaction_id = await day.start(charger, 180)
        await day.status(charger, "Charging", 170)
        await day.meter(charger, transaction_id, 120, 4000)
        await day.status(charger, "SuspendedEV", 60)
    async with csms.charger("CP1") as charger:
        await day.status(charger, "SuspendedEVSE", 40, "HighTemperature")
        sending = csms.central._spawn(unlock(csms))
        await charger.reply(await charger.expect("UnlockConnector"), {"status": "UnlockFailed"})
        await sending
        await day.status(charger, "Charging", 30)
        await day.status(charger, "Finishing", 10)
        await day.stop(charger, transaction_id, 6)
        await charger.call("Heartbeat")
    messages = await message_spans(jaeger, "CP1", count=11)
    root, phases = await the_session(jaeger, "CP1")

    assert day.told([root]) == [(SESSION, 180, 6)]
    told = attributes(root)
    assert {key: told[key] for key in ("cp_id", "connector_id", "ocpp.transaction_id", "ocpp.reason")} == {
        "cp_id": "CP1",
        "connector_id": "1",
        "ocpp.transaction_id": str(transaction_id),
        "ocpp.reason": "Local",
    }
    assert told["ocpp.energy_wh"] == 7500
    assert told["csms.force_sample"] is True
    assert len(told["ocpp.id_token_hash"]) == 16
    assert day.told(phases) == [
        ("preparing", 180, 170),
        ("charging", 170, 60),
        ("suspended by EV", 60, 40),
        ("suspended by EVSE", 40, 30),
        ("charging", 30, 10),
        ("finishing", 10, 6),
    ]
    events = [attributes(event) for event in root["logs"]]
    assert [event.pop("event") for event in events] == ["disconnected", "reconnected", "error", "command"]
    command = await command_span(jaeger, "UnlockConnector")
    assert events == [
        {"ws.close_code": 1000},
        {},
        {"ocpp.error_code": "HighTemperature"},
        {
            "ocpp.action": "UnlockConnector",
            "ocpp.status": "UnlockFailed",
            "ocpp.command.trace_id": command["traceID"],
            "ocpp.command.span_id": command["spanID"],
        },
    ]
    assert linked_to(root, messages) == [
        "MeterValues",
        "StartTransaction",
        *["StatusNotification"] * 5,
        "StopTransaction",
    ]


async def command_span(jaeger: Jaeger, action: str) -> Span:
    """The span of the only command with this action."""
    traces = await eventually(lambda: jaeger.traces("wattspan", tags={"ocpp.action": action}, operation=action))
    (span,) = (each for each in spans_of(traces) if each["operationName"] == action)
    return span


async def unlock(csms: Csms) -> None:
    await csms.central.call("CP1", call.UnlockConnector(connector_id=1))


@pytest.mark.parametrize("end", [WattspanServer.stop, WattspanServer.kill], ids=["SIGTERM", "SIGKILL"])
async def test_a_session_that_outlives_the_server_is_still_one_trace(
    server: WattspanServer, jaeger: Jaeger, end: Callable[[WattspanServer], Awaitable[None]]
) -> None:
    day = Day.of_now()
    async with Charger(f"{server.url}/CP1") as charger:
        await charger.call("BootNotification", BOOT)
        transaction_id = await day.start(charger, 180)
        await day.status(charger, "Charging", 170)
        await day.meter(charger, transaction_id, 120, 4000)
        before = await message_spans(jaeger, "CP1", count=4)
        await end(server)
    assert await sessions(jaeger, "CP1") == []
    await server.start()
    assert await server.value('ocpp_tx_energy_wh{cp_id="CP1",connector_id="1"}') == 3000
    async with Charger(f"{server.url}/CP1") as charger:
        await day.meter(charger, transaction_id, 60, 7000)
        await day.status(charger, "Finishing", 10)
        await day.stop(charger, transaction_id, 6)
        await charger.call("Heartbeat")
        messages = await message_spans(jaeger, "CP1", count=8)
        root, phases = await the_session(jaeger, "CP1")

    assert day.told([root]) == [(SESSION, 180, 6)]
    assert attributes(root)["ocpp.energy_wh"] == 7500
    assert day.told(phases) == [("preparing", 180, 170), ("charging", 170, 10), ("finishing", 10, 6)]
    events = [attributes(event)["event"] for event in root["logs"]]
    assert events == (["disconnected"] if end is WattspanServer.stop else []) + ["reconnected"]
    earlier = [span for span in messages if span["spanID"] in ids(before)]
    later = [span for span in messages if span["spanID"] not in ids(before)]
    assert linked_to(root, earlier) == ["MeterValues", "StartTransaction", "StatusNotification"]
    assert linked_to(root, later) == ["MeterValues", "StatusNotification", "StopTransaction"]


async def test_a_command_is_a_client_span_in_the_trace_of_whoever_asked(csms: Csms, jaeger: Jaeger) -> None:
    tracer = csms.central.telemetry.tracer_provider.get_tracer("operator")
    async with csms.charger("CP1") as charger:
        with tracer.start_as_current_span("POST /reset", kind=trace.SpanKind.SERVER, attributes={"cp_id": "CP1"}):
            sending = csms.central._spawn(unlock(csms))
        await charger.reply(await charger.expect("UnlockConnector"), {"status": "Unlocked"})
        await sending
        failing = csms.central._spawn(refused(csms))
        _, message_id, *_ = await charger.expect("UnlockConnector")
        await charger.send_raw(json.dumps([4, message_id, "InternalError", "", {}]))
        await failing

    async def told() -> list[Trace]:
        found = await jaeger.traces("wattspan", tags={"cp_id": "CP1"}, operation="UnlockConnector")
        return found if len(found) == 2 and max(len(each["spans"]) for each in found) == 2 else []

    asked, alone = sorted(await eventually(told), key=lambda each: -len(each["spans"]))
    (request,) = (span for span in asked["spans"] if span["operationName"] == "POST /reset")
    (answered,) = (span for span in asked["spans"] if span is not request)
    assert answered["references"] == [reference("CHILD_OF", request)]
    facts = attributes(answered)
    assert (facts["span.kind"], facts["connector_id"], facts["ocpp.status"]) == ("client", "1", "Unlocked")
    (failed,) = alone["spans"]
    facts = attributes(failed)
    assert (facts["span.kind"], facts["error.type"], facts["error"]) == ("client", "InternalError", True)


async def refused(csms: Csms) -> None:
    with pytest.raises(Exception, match="InternalError"):
        await unlock(csms)


async def test_no_id_token_is_in_any_span(csms: Csms, jaeger: Jaeger) -> None:
    """Where a token may stand, and where a charger puts it by mistake."""
    day = Day.of_now()
    async with csms.charger("CP1") as charger:
        await charger.call("Authorize", {"idTag": TAG})
        await charger.call("Authorize", {"idTag": TAG * 3})
        await charger.call("Authorize", {"idTag": {"idTag": TAG}})
        await charger.call("DataTransfer", {"vendorId": "v", "data": TAG})
        transaction_id = await day.start(charger, 60)
        await charger.raw(f'[2,"x","{TAG}",{{"idTag":"{TAG}"}}]')
        await charger.raw(f'[2,"y","Authorize",{{"idTag":"{TAG}"')
        sending = csms.central._spawn(remote_start(csms))
        await charger.reply(await charger.expect("RemoteStartTransaction"), {"status": "Rejected"})
        await sending
        await day.stop(charger, transaction_id, 10)
        await charger.call("Heartbeat")
        page = "\n".join(await csms.page())

    async def all_told() -> list[Trace]:
        found = await jaeger.traces("wattspan")
        names = {span["operationName"] for span in spans_of(found)}
        return found if {"Heartbeat", SESSION, "RemoteStartTransaction", "StopTransaction"} <= names else []

    assert TAG.lower() not in json.dumps(await eventually(all_told)).lower()
    assert TAG.lower() not in page.lower()


async def remote_start(csms: Csms) -> None:
    await csms.central.call("CP1", call.RemoteStartTransaction(id_tag=TAG, connector_id=1))
