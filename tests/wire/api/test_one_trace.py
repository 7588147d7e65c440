"""An operator's request, the command and the charger's answer are one trace; what is secret is in none."""

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import propagate
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.util import _importlib_metadata

from support.central import Csms
from support.operators import PASSWORD, Operator, admin, anonymous
from support.waiting import eventually
from wattspan.otel_variables import otel_faults

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def spans(csms: Csms) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    csms.central.telemetry.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


async def reset(csms: Csms, operator: Operator, **headers: str) -> Any:
    """Have CP1 reset; the answer."""
    async with csms.charger("CP1") as charger:
        path = "/charge-points/CP1/commands/Reset"
        asking = asyncio.create_task(operator.send("POST", path, json={"type": "Soft"}, headers=headers))
        await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
        return await asking


async def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    """The one span of that name."""

    def found() -> list[ReadableSpan]:
        return [span for span in spans.get_finished_spans() if span.name == name]

    (span,) = await eventually(found)
    return span


async def test_request_command_and_answer_are_one_trace_within_the_callers(
    csms: Csms, operator: Operator, spans: InMemorySpanExporter
) -> None:
    answer = await reset(csms, operator, traceparent=f"00-{TRACE}-{PARENT}-01")
    request = await named(spans, "POST /api/v1/charge-points/{cp_id}/commands/{action}")
    command = await named(spans, "Reset")
    assert request.context is not None
    assert request.parent is not None
    assert command.parent is not None
    assert command.context is not None
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    assert command.context.trace_id == request.context.trace_id
    assert command.parent.span_id == request.context.span_id
    assert (request.kind, command.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert answer.json()["trace_id"] == TRACE
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{request.context.span_id:016x}-01"
    assert (command.attributes or {})["ocpp.status"] == "Accepted"
    newest = (await operator.ask("GET", "/audit"))["items"][0]
    assert (newest["trace_id"], newest["action"], newest["who"]) == (TRACE, "send_command", "admin")


async def test_a_callers_nonsense_begins_a_trace_of_its_own(csms: Csms, operator: Operator) -> None:
    answer = await reset(csms, operator, traceparent="00-zz-yy-01")
    assert len(answer.json()["trace_id"]) == 32
    assert answer.headers["traceresponse"].startswith(f"00-{answer.json()['trace_id']}-")


OWN = """
from opentelemetry import trace
from opentelemetry.propagators.textmap import TextMapPropagator

class Own(TextMapPropagator):
    def extract(self, carrier, context=None, getter=None):
        parent = trace.SpanContext(int(carrier["x-own"], 16), 1, True, trace.TraceFlags(1))
        return trace.set_span_in_context(trace.NonRecordingSpan(parent), context)

    def inject(self, carrier, context=None, setter=None):
        pass

    fields = {"x-own"}
"""


@pytest.fixture
def own_propagator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package with the propagator `own`, for as long as the test takes."""
    (tmp_path / "own_propagator.py").write_text(OWN)
    metadata = tmp_path / "own_propagator-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-propagator\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[opentelemetry_propagator]\nown = own_propagator:Own\n")
    monkeypatch.syspath_prepend(tmp_path)
    _importlib_metadata._original_entry_points_cached.cache_clear()
    yield
    monkeypatch.undo()
    _importlib_metadata._original_entry_points_cached.cache_clear()
    importlib.reload(propagate)


@pytest.mark.parametrize(
    ("named", "header"), [("tracecontext", "traceparent"), ("own", "x-own"), ("baggage", ""), ("none", "")]
)
async def test_the_callers_trace_is_read_by_the_propagators_that_are_named(
    named: str, header: str, make_csms: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, own_propagator: None
) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", named)
    assert list(otel_faults({"OTEL_PROPAGATORS": named})) == []
    importlib.reload(propagate)
    async with anonymous(await make_csms()) as stranger:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-own": "0" * 31 + "1"}
        answer = await stranger.send("GET", "/session", headers=headers)
    found = answer.headers["traceresponse"].split("-")[1]
    assert [name for name, value in headers.items() if found in value] == ([header] if header else [])


async def test_requests_are_counted_by_template_and_never_by_path(csms: Csms, operator: Operator) -> None:
    for name in ("A", "B"):
        await operator.ask("GET", f"/charge-points/{name}", 404)
    await operator.ask("GET", "/no/such/route", 404)
    await operator.send("PROPFIND", "/charge-points")
    endpoint = "/api/v1/charge-points/{cp_id}"
    assert await csms.metric("http_requests_total", method="GET", status="404", endpoint=endpoint) == 2
    assert await csms.metric("http_requests_total", method="GET", status="404", endpoint="unmatched") == 1
    assert await csms.metric("http_request_duration_seconds_count", method="GET", endpoint=endpoint) == 2
    lines = await csms.lines("http_requests_total")
    assert any('method="other"' in line for line in lines)
    assert not any("PROPFIND" in line or "/A" in line for line in lines)


async def test_the_database_is_asked_and_its_time_shown(csms: Csms, operator: Operator) -> None:
    assert (await operator.ask("GET", "/health"))["status"] == "ok"
    assert await csms.metric("database_health_check_duration_seconds_count")
    assert await csms.metric("system_health_check_duration_seconds_count")


async def test_no_secret_is_in_a_span_a_metric_a_log_line_or_an_error(
    csms: Csms, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    async with admin(csms) as boss, anonymous(csms) as stranger:
        secrets = [PASSWORD, csms.first_password or "", boss.http.cookies["wattspan_session"]]
        secrets.append(boss.http.headers["X-CSRF-Token"])
        await boss.ask("POST", "/users", 201, json={"name": "sam", "password": PASSWORD, "role": "viewer"})
        token = await boss.ask("POST", "/tokens", 201, json={"scopes": ["read"]})
        charger = await boss.ask("POST", "/charge-points", 201, json={"cp_id": "CP1"})
        secrets += [token["secret"], charger["secret"], "SECRETTAG"]
        wrong = {"name": "sam", "password": secrets[1] + PASSWORD}
        for answer in (
            await stranger.send("POST", "/session", json=wrong),
            await stranger.send("POST", "/session", json={"name": 7, "password": PASSWORD, "more": PASSWORD}),
            await stranger.send("POST", "/users", json={"password": PASSWORD}),
            await boss.send("POST", "/users", json={"name": "sam", "password": PASSWORD, "role": PASSWORD}),
            await boss.send("GET", "/session", headers={"Authorization": f"Bearer {token['secret']}x"}),
            await boss.send("PUT", "/id-tags/SECRETTAG", json={"status": "No"}),
        ):
            assert answer.status_code >= 400
            texts.append(answer.text)
        await boss.ask("PUT", "/id-tags/SECRETTAG", json={})
        audit = str(await boss.ask("GET", "/audit"))
        settings = str(await boss.ask("GET", "/settings"))
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    texts += ["\n".join(await csms.page()), *ours, settings]
    texts += [span.to_json() for span in spans.get_finished_spans()]
    assert len(texts) > 20
    for secret in secrets:
        assert not any(secret in text for text in texts)
        assert secret == "SECRETTAG" or secret not in audit  # the audit log says which tag was changed
