"""Wattspan amid the stack as it is shipped: what is kept of traces, what rates say, and the way from graph to log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from ocpp.v16 import call

from stack.process import LOOPBACK, eventually
from stack.servers import Jaeger, attributes
from stack.shipped import LOG_RULES, TOKEN, Stack
from stack.wattspan_server import WattspanServer, to_collector
from support.central import Csms
from support.chargers import BOOT, START, Charger, energy, meter_values, status, stop

CHARGERS = 10
EACH = 200
TENTH = range(5, 17)
"""Per cent that a tenth of some two thousand may be, by seven standard deviations."""


@pytest.fixture
async def csms(tmp_path: Path, shipped_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Csms]:
    """In this process, for what has no command line: commands and slow answers."""
    for name, value in to_collector(shipped_stack.collector).items():
        monkeypatch.setenv(name, value)
    csms = Csms(tmp_path / "fleet.db")
    await csms.start()
    yield csms
    await csms.stop()


async def test_what_is_promised_is_kept_and_a_tenth_of_the_rest_and_rates_count_all(
    csms: Csms, shipped_stack: Stack
) -> None:
    jaeger = shipped_stack.jaeger
    async with asyncio.TaskGroup() as chargers:
        for number in range(CHARGERS):
            chargers.create_task(heartbeats(csms, f"QUICK{number}"))
    for number in range(20):
        await session(csms, f"SESSION{number}")
    async with csms.charger("COMMANDED") as charger:
        for _ in range(20):
            sending = csms.central._spawn(unlock(csms, "COMMANDED"))
            await charger.reply(await charger.expect("UnlockConnector"), {"status": "Unlocked"})
            await sending
    async with csms.charger("WRONG") as charger:
        for number in range(20):
            await charger.raw(f'[2,"{number}","NoSuchAction",{{}}]')
    await lasting(csms, "slow one", 600)
    await lasting(csms, "nearly slow one", 400)

    sessions = await all_of(jaeger, "charging session", 20)
    assert all(len(trace["spans"]) > 1 for trace in sessions)
    await all_of(jaeger, "UnlockConnector", 20)
    await all_of(jaeger, "other", 20)
    await all_of(jaeger, "slow one", 20)
    beats = CHARGERS * EACH
    found = await eventually(partial(settled, jaeger, "Heartbeat"))
    forced = sum("csms.force_sample" in attributes(trace["spans"][0]) for trace in found)
    assert round(100 * (len(found) - forced) / (beats - forced)) in TENTH
    assert len(await jaeger.traces("wattspan", operation="nearly slow one")) < 10

    for series in ("traces_span_metrics_calls", "traces_span_metrics_duration_count"):
        for name, count in {"Heartbeat": beats, "nearly slow one": 20, "charging session": 20}.items():
            await eventually(partial(counted, shipped_stack, f'sum({series}{{span_name="{name}"}})', count))


async def counted(stack: Stack, query: str, count: int) -> bool:
    told = await stack.prometheus.query(query)
    return bool(told) and told[0][1] == count


async def heartbeats(csms: Csms, cp_id: str) -> None:
    async with csms.charger(cp_id) as charger:
        for _ in range(EACH):
            await charger.call("Heartbeat")


async def session(csms: Csms, cp_id: str) -> None:
    """One of some milliseconds: nothing but the promise keeps its trace."""
    async with csms.charger(cp_id) as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("StatusNotification", status("Charging"))
        transaction_id = (await charger.call("StartTransaction", START | {"timestamp": now()}))["transactionId"]
        await charger.call("MeterValues", meter_values(transaction_id, energy(2000)))
        await charger.call("StatusNotification", status("Finishing"))
        await charger.call("StopTransaction", stop(transaction_id, 8500, timestamp=now()))


def now() -> str:
    return datetime.now(UTC).isoformat()


async def unlock(csms: Csms, cp_id: str) -> None:
    await csms.central.call(cp_id, call.UnlockConnector(connector_id=1))


async def lasting(csms: Csms, name: str, duration_ms: int) -> None:
    """Twenty spans that nobody promised anything."""
    tracer = csms.central.telemetry.tracer_provider.get_tracer("test")
    now_ns = time.time_ns()
    for _ in range(20):
        tracer.start_span(name, start_time=now_ns - duration_ms * 1_000_000).end(now_ns)


async def all_of(jaeger: Jaeger, operation: str, count: int) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]]:
        found = await jaeger.traces("wattspan", operation=operation, limit=5000)
        return found if len(found) >= count else []

    found = await eventually(enough)
    assert len(found) == count
    return found


async def settled(jaeger: Jaeger, operation: str) -> list[dict[str, Any]]:
    """All traces of an operation, once no more come."""
    before = await jaeger.traces("wattspan", operation=operation, limit=5000)
    await asyncio.sleep(1)
    after = await jaeger.traces("wattspan", operation=operation, limit=5000)
    return after if len(before) == len(after) else []


async def test_a_hundred_exemplars_lead_to_a_hundred_traces(shipped_stack: Stack, tmp_path: Path) -> None:
    began_s = time.time()
    environment = to_collector(shipped_stack.collector) | {"WATTSPAN_METRICS_TOKEN": TOKEN}
    found: dict[str, str] = {}
    async with WattspanServer.run(tmp_path, environment, metrics_port=shipped_stack.metrics_port) as server:
        driving = asyncio.create_task(drive(server))

        async def hundred() -> bool:
            series = await shipped_stack.prometheus.exemplars(
                "ocpp_msg_handling_seconds_bucket", start_s=began_s - 5, end_s=time.time() + 5
            )
            for each in series:
                for exemplar in each["exemplars"]:
                    found[exemplar["labels"]["trace_id"]] = each["seriesLabels"]["cp_id"]
            return len(found) >= 100

        try:
            await eventually(hundred, within_s=120)
        finally:
            driving.cancel()
            await asyncio.wait([driving])
    for trace_id, cp_id in found.items():
        trace = await eventually(partial(shipped_stack.jaeger.trace, trace_id))
        assert trace is not None
        assert attributes(trace["spans"][0])["cp_id"] == cp_id


async def drive(server: WattspanServer) -> None:
    """Forty chargers that say something now and then, until cancelled; in step, the same would get each exemplar."""

    async def one(number: int) -> None:
        pauses = Random(number)
        async with Charger(f"{server.url}/EX{number:02}") as charger:
            await charger.call("BootNotification", BOOT)
            while True:
                await charger.call("Heartbeat")
                await asyncio.sleep(pauses.uniform(0.05, 0.6))

    async with asyncio.TaskGroup() as chargers:
        for number in range(40):
            chargers.create_task(one(number))


async def test_one_session_from_the_graph_to_its_trace_to_its_log_lines(shipped_stack: Stack, tmp_path: Path) -> None:
    """As an operator goes: the exemplar of a graph, its trace, the trace's lines; and from a charger's lines back."""
    began_s = time.time()
    environment = to_collector(shipped_stack.collector) | {"WATTSPAN_METRICS_TOKEN": TOKEN}
    async with WattspanServer.run(tmp_path, environment, metrics_port=shipped_stack.metrics_port) as server:
        async with Charger(f"{server.url}/CP1") as charger:
            await charger.call("BootNotification", BOOT)
            transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
            await charger.call("StopTransaction", stop(transaction_id, 8500))

            async def graph() -> list[dict[str, Any]]:
                return await shipped_stack.prometheus.exemplars(
                    "ocpp_tx_duration_seconds_bucket", start_s=began_s - 5, end_s=time.time() + 5
                )

            (series,) = await eventually(graph, within_s=60)
        (exemplar,) = series["exemplars"]
        trace_id = exemplar["labels"]["trace_id"]

        async def is_whole() -> bool:
            trace = await shipped_stack.jaeger.trace(trace_id)
            return trace is not None and "charging session" in {span["operationName"] for span in trace["spans"]}

        await eventually(is_whole)

        by_trace = f'{{service.name="wattspan"}} trace_id:="{trace_id}"'
        (line,) = await eventually(partial(shipped_stack.logs.lines, by_trace))
        assert line.text == "session ended: 7500 Wh, Local"
        assert (line.fields["cp_id"], line.fields["connector_id"]) == ("CP1", "1")
        by_charger = '{service.name="wattspan"} cp_id:="CP1"'
        lines = await shipped_stack.logs.lines(by_charger)  # those of the connection and of messages have other traces
        of_session = [each for each in lines if each.text.startswith("session ended")]
        assert [each.fields["trace_id"] for each in of_session] == [trace_id]
        by_session = f'{{service.name="wattspan"}} transaction_id:="{transaction_id}"'
        assert [each.fields["trace_id"] for each in await shipped_stack.logs.lines(by_session)] == [trace_id]
        assert await shipped_stack.logs.stream_fields() <= {"service.name", "deployment.environment.name"}


async def test_a_containers_json_line_is_found_by_service_charger_and_trace(shipped_stack: Stack) -> None:
    """As Docker's fluentd log driver sends it."""
    trace_id = f"{time.time_ns():032x}"
    json_line = {
        "level": "warning",
        "message": "odd",
        "cp_id": "CP7",
        "trace_id": trace_id,
        "span_id": "00f067aa0ba902b7",
    }
    for service, text in (("chargy", json.dumps(json_line)), ("grafana", "plain words, password=hunter2")):
        await fluent(shipped_stack.collector.fluent, f"wattspan-{service}-1", text)
    (line,) = await eventually(partial(shipped_stack.logs.lines, f'{{service.name="chargy"}} trace_id:="{trace_id}"'))
    assert (line.fields["cp_id"], line.fields["severity_text"]) == ("CP7", "WARNING")
    assert json.loads(line.text)["message"] == "odd"
    (plain,) = await eventually(partial(shipped_stack.logs.lines, '{service.name="grafana"}'))
    assert plain.text == "plain words, password=***"


async def fluent(address: str, tag: str, text: str) -> None:
    """One event in the Forward protocol's message mode: [tag, time, record], in msgpack."""
    record = b"\x83" + b"".join(
        packed(word) for pair in (("log", text), ("source", "stdout"), ("container_name", f"/{tag}")) for word in pair
    )
    host, _, port = address.partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x93" + packed(tag) + b"\xce" + int(time.time()).to_bytes(4, "big") + record)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def packed(text: str) -> bytes:
    """msgpack's str 16."""
    return b"\xda" + len(text.encode()).to_bytes(2, "big") + text.encode()


async def test_prometheus_reads_the_shipped_file_and_scrapes_what_runs(shipped_stack: Stack) -> None:
    async def up() -> bool:
        alive = {labels["job"] for labels, value in await shipped_stack.prometheus.query("up") if value}
        return {"otelcol", "jaeger", "victorialogs", "vmalert", "prometheus", "spans"} <= alive

    await eventually(up)

    async def watched() -> bool:
        return any(alert["labels"]["alertname"] == "Watchdog" for alert in await shipped_stack.alertmanager.alerts())

    await eventually(watched, within_s=150)


async def test_vmalert_evaluates_the_shipped_rules(shipped_stack: Stack) -> None:
    shipped = {
        rule["alert"]
        for file in LOG_RULES.glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    }

    async def loaded() -> bool:
        return await shipped_stack.vmalert.alerts() == shipped

    await eventually(loaded, within_s=90)


async def test_nodes_come_from_the_api_and_the_first_is_no_second_target(shipped_stack: Stack) -> None:
    """The node in the file is in the API's answer as well, with a label of its own: still one target."""
    first, second = f"{LOOPBACK}:{shipped_stack.metrics_port}", f"{LOOPBACK}:1"
    labels = {"__scheme__": "http", "service": "wattspan"}
    nodes = json.dumps([{"targets": [first, second], "labels": labels}]).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(nodes)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + nodes)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, LOOPBACK, shipped_stack.api_port):

        async def scraped() -> list[str]:
            targets = await shipped_stack.prometheus.targets()
            ours = [each for each in targets if each["labels"]["job"] == "wattspan"]
            found = sorted(each["discoveredLabels"]["__address__"] for each in ours)
            return found if second in found else []

        assert await eventually(scraped, within_s=60) == sorted([first, second])
