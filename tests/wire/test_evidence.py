"""Every event beside messages leaves a log record and a span with the same fields; runbooks name lines that exist."""

import asyncio
import io
import json
import logging
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from support import evidence
from support.central import Csms
from support.observing import tracing
from support.operators import PASSWORD, admin, anonymous
from support.runbooks import PAGE, log_lines
from support.waiting import eventually
from wattspan.settings import Settings
from wattspan.store.store import Store
from wattspan.telemetry import catalogue, logs
from wattspan.telemetry.logs import setup_logging

EVENTS = {
    catalogue.CONNECT_SPAN,
    catalogue.REPLACED_SPAN,
    catalogue.DISCONNECT_SPAN,
    catalogue.REFUSED_SPAN,
    catalogue.LIMIT_SPAN,
    catalogue.PROTOCOL_FAULT_SPAN,
    catalogue.LOGIN_SPAN,
    catalogue.LOGIN_FAILED_SPAN,
    catalogue.LOCKOUT_SPAN,
    catalogue.DECOMMISSION_SPAN,
    catalogue.CREDENTIALS_SPAN,
}


class Night:
    """What a server logged and traced while each event was caused."""

    def __init__(self, lines: list[dict[str, Any]], spans: list[ReadableSpan]) -> None:
        self.lines = [{**line, **line.pop("extra")} for line in lines]
        self.spans = spans

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the log records of an event."""
        return [line for line in self.lines if line.get(catalogue.EVENT_NAME) == name]

    def span_of(self, line: dict[str, Any]) -> ReadableSpan:
        """Return the span that a log record leads to."""
        (span,) = (each for each in self.spans if f"{each.context.span_id:016x}" == line["span_id"])
        return span


@pytest.fixture(scope="module")
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    written = io.StringIO()
    setup_logging(Settings(log_level="info", log_format="json"), written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module")
def night(stream: io.StringIO, tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Night:
    """Return what one server left of every event, each caused once."""
    database = tmp_path_factory.mktemp("evidence") / "fleet.db"
    shutil.copy(empty_database, database)
    provider, spans = tracing()
    logs._line_limiter._reasons.clear()

    async def run() -> None:
        settings: dict[str, Any] = {"max_frame_bytes": 10_000, "unknown_id_tags": "reject"}
        csms = Csms(database, tracer_provider=provider, plugins=["orphans", evidence.Raises()], **settings)
        await csms.start()
        try:
            await cause_everything(csms, database.parent)
        finally:
            await csms.stop()

    with pytest.MonkeyPatch.context() as soon:
        soon.setattr("wattspan.maintenance.REGISTRY_S", 0.01)
        soon.setattr("wattspan.store.journal.journal.SLOW_COMMIT_S", -1.0)
        soon.setattr("wattspan.telemetry.recorder.LOGGED_S", -1.0)
        soon.setattr(Store, "open", partial(Store.open, busy_timeout_s=0.01))
        asyncio.run(run())
    return Night([json.loads(line) for line in stream.getvalue().splitlines()], list(spans.get_finished_spans()))


async def cause_everything(csms: Csms, folder: Path) -> None:
    """Connect, replace, break rules, fail and succeed to log in, change credentials, and decommission."""
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        await charger.send_raw("nonsense")
        await charger.call("Heartbeat")
        async with csms.charger("CP1") as newer:
            await newer.call("Heartbeat")
            await newer.socket.close(1001, "maintenance")
    async with csms.charger("CP2") as charger:
        await charger.send_raw(json.dumps([2, "1", "DataTransfer", {"vendorId": "x", "data": "x" * 20_000}]))
        await charger.socket.wait_closed()
    async with admin(csms) as boss, anonymous(csms) as stranger:
        await boss.ask("POST", "/charge-points", 201, json={"cp_id": "CP3", "credentials": True})
        wrong = evidence.basic("CP3", "wrong")
        async with csms.raw_charger("/ws/CP3?token=SECRET", Authorization=wrong) as refused:
            assert refused.status == 401
        new = {"name": "sam", "password": PASSWORD, "role": "viewer"}
        await boss.ask("POST", "/users", 201, json=new)
        for _ in range(5):
            await stranger.ask("POST", "/session", 401, json={"name": "sam", "password": "wrong"})
        audit = await boss.ask("GET", "/audit")
        failed = [each for each in audit["items"] if each["action"] == "log_in" and each["status"] == 401]
        assert {each["who"] for each in failed} == {"sam"}
        await boss.ask("DELETE", "/charge-points/CP3", 204)
    await evidence.events_of_a_charge_point(csms)
    await evidence.a_locked_database(csms)
    await evidence.a_proxy(csms, folder)
    await evidence.a_lost_redis()
    await evidence.a_feed_that_fails()
    await evidence.a_certificate_that_is_broken(csms)
    evidence.lost_telemetry()
    await eventually(lambda: csms.central.counters.sockets == 0)
    await evidence.a_failing_task(csms)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_event_leaves_a_log_record_and_a_span_with_the_same_fields(night: Night, name: str) -> None:
    line = night.of(name)[0]
    span = night.span_of(line)
    assert span.name == name
    assert line["trace_id"] == f"{span.context.trace_id:032x}"
    assert {key: line.get(key) for key in span.attributes or {}} == dict(span.attributes or {})
    assert (span.attributes or {}).keys() <= catalogue.ATTRIBUTES.keys()
    if name not in (catalogue.LOGIN_SPAN, catalogue.LOGIN_FAILED_SPAN, catalogue.LOCKOUT_SPAN):
        assert "cp_id" in line or "user.name" in line
    if name not in (catalogue.DECOMMISSION_SPAN, catalogue.CREDENTIALS_SPAN):
        assert line["network.peer.address"] == "127.0.0.1"


def test_a_disconnect_has_its_reason_and_the_last_message(night: Night) -> None:
    found = {line["ws.close_code"]: line for line in night.of(catalogue.DISCONNECT_SPAN) if line["cp_id"] == "CP1"}
    assert found[1001]["ws.close_reason"] == "maintenance"
    assert found[1001]["ocpp.last_message"] == "Heartbeat"
    assert found[1001]["ocpp.connection.duration_s"] > 0
    assert found[1008]["ocpp.connection.replaced"] is True


def test_a_refusal_names_the_reason_the_identity_and_the_address_but_no_query(night: Night) -> None:
    (line,) = night.of(catalogue.REFUSED_SPAN)
    assert (line["error.type"], line["cp_id"], line["network.peer.address"]) == ("credentials", "CP3", "127.0.0.1")
    assert "SECRET" not in json.dumps(line)


def test_what_people_cause_is_in_the_trace_of_their_request(night: Night) -> None:
    requests = {span.context.span_id for span in night.spans if span.kind.name == "SERVER"}
    for name in (catalogue.LOGIN_SPAN, catalogue.LOGIN_FAILED_SPAN, catalogue.CREDENTIALS_SPAN, catalogue.LOCKOUT_SPAN):
        for line in night.of(name):
            parent = night.span_of(line).parent
            assert parent is not None
            assert parent.span_id in requests
    assert {line["user.name"] for line in night.of(catalogue.LOGIN_FAILED_SPAN)} == {"sam"}


def test_no_span_has_an_attribute_outside_the_catalogue(night: Night) -> None:
    used = {key for span in night.spans for key in span.attributes or {}}
    assert used <= catalogue.ATTRIBUTES.keys(), used - catalogue.ATTRIBUTES.keys()


def named_lines() -> list[Any]:
    """Return each section of the runbooks that names a log line, with the line and its fields."""
    found = []
    for section in PAGE.read_text("utf-8").split("\n### ")[1:]:
        title, lines = section.split("\n", 1)[0], log_lines(section)
        found += [pytest.param(line.event, line.fields, id=f"{title}-{line.event}") for line in lines]
        assert section.count("event.name=") == len(lines), section
    return found


@pytest.mark.parametrize(("name", "fields"), named_lines())
def test_a_log_line_that_a_runbook_names_comes_with_its_fields(night: Night, name: str, fields: list[str]) -> None:
    assert any(all(field in line for field in fields) for line in night.of(name)), night.of(name)


async def test_a_message_that_is_refused_is_logged_with_its_charge_point(csms: Csms, stream: io.StringIO) -> None:
    async with csms.charger("CP9") as charger:
        await charger.raw(json.dumps([2, "1", "Unknown", {}]))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    line = next(each for each in lines if each.get("cp_id") == "CP9" and each["extra"].get("message_type"))
    assert line["extra"]["error.type"] == "NotImplemented"
    assert line["extra"]["network.peer.address"] == "127.0.0.1"
    assert line["trace_id"]


async def test_what_a_flood_leaves_out_is_counted_by_charge_point(csms: Csms, stream: io.StringIO) -> None:
    async with csms.charger("CP8") as charger:
        for _ in range(5):
            await charger.send_raw("nonsense")
        await charger.call("Heartbeat")
    logs.report_left_out()
    reports = [json.loads(line) for line in stream.getvalue().splitlines() if "left_out_by_cp_id" in line]
    assert any(each["extra"]["left_out_by_cp_id"].get("CP8", 0) >= 3 for each in reports)
