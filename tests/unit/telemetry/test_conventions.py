"""Message spans by the RPC conventions, with what was on the wire, and within the limits of spans."""

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits

from support.recorders import RecorderHarness, api, hot
from wattspan.telemetry import catalogue
from wattspan.telemetry.connection import ConnectionAttributes, address_of
from wattspan.telemetry.resource import resource_of
from wattspan.telemetry.spans.hot import are_tight

CONTEXT = trace.SpanContext(1, 2, is_remote=True)
CONNECTION = ConnectionAttributes("2.0.1", peer=("10.0.0.7", 40123), server=("10.0.0.1", 9000))


def exchanged(recording: RecorderHarness, action: str = "Heartbeat", message_id: Any = "7f", **result: Any) -> Any:
    """Record a message, and return its span as a Collector parses it."""
    span = recording.recorder.message("CP1", action, recording.clock.now_ns, CONNECTION, message_id, 312)
    known: dict[str, Any] = {"connector_id": None, "session": None, "error": None, "store_wait_s": 0.0}
    recording.recorder.answered(span, **known | {"response_size": 40} | result)
    return recording.span(action)


def attributes_of(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.mark.parametrize("make", [hot, api])
def test_a_message_has_what_was_on_the_wire(make: Any) -> None:
    found = attributes_of(exchanged(make()))
    assert {key: value for key, value in found.items() if key != "csms.force_sample"} == {
        "cp_id": "CP1",
        "ocpp.action": "Heartbeat",
        "rpc.system.name": "ocpp",
        "rpc.method": "Heartbeat",
        "ocpp.version": "2.0.1",
        "network.peer.address": "10.0.0.7",
        "network.peer.port": 40123,
        "server.address": "10.0.0.1",
        "server.port": 9000,
        "ocpp.message.id": "7f",
        "ocpp.request.size": 312,
        "ocpp.response.size": 40,
    }
    assert found.keys() <= catalogue.ATTRIBUTES.keys()


@pytest.mark.parametrize("make", [hot, api])
@pytest.mark.parametrize("message_id", [7, "x" * 255, "ünïcödé", "\U0001f50c"])
def test_a_message_id_is_shown_as_it_was_sent(make: Any, message_id: Any) -> None:
    assert attributes_of(exchanged(make(), message_id=message_id))["ocpp.message.id"] == str(message_id)


@pytest.mark.parametrize("make", [hot, api])
@pytest.mark.parametrize("description", ["the action is not supported", ""])
def test_a_callerror_is_on_the_span_by_code_and_description(make: Any, description: str) -> None:
    span = exchanged(make(), "other", error="NotImplemented", description=description)
    found = attributes_of(span)
    assert found["rpc.method"] == "_OTHER"
    assert (found["error.type"], found["rpc.response.status_code"]) == ("NotImplemented", "NotImplemented")
    assert "ocpp.error.description" in found
    assert (span.status.code, span.status.message) == (2, description)


@pytest.mark.parametrize("make", [hot, api])
def test_an_error_that_is_no_callerror_has_no_code_of_one(make: Any) -> None:
    assert "rpc.response.status_code" not in attributes_of(exchanged(make(), error="StoreUnavailable"))


def test_extras_obey_the_limits_of_spans_and_what_is_dropped_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "2")
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "1")
    monkeypatch.setenv("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "1")
    for make in (hot, api):
        recording = make()
        span = recording.recorder.message("CP1", "Heartbeat", recording.clock.now_ns)
        for number in range(5):
            span.event("schema fault", {"ocpp.fault.code": "x", "ocpp.fault.path": str(number)})
            span.otel.add_link(CONTEXT)
        recording.recorder.answered(span, connector_id=None, session=None, error=None, store_wait_s=0.0)
        found = recording.span("Heartbeat")
        assert (len(found.events), found.dropped_events_count) == (2, 3)
        assert [each.dropped_attributes_count for each in found.events] == [1, 1]
        assert (len(found.links), found.dropped_links_count) == (1, 4)


def test_which_limits_concern_every_message() -> None:
    assert not are_tight(SpanLimits())
    assert are_tight(SpanLimits(max_span_attribute_length=10))
    assert are_tight(SpanLimits(max_attribute_length=10))
    assert are_tight(SpanLimits(max_span_attributes=5))


def test_addresses_of_sockets() -> None:
    assert address_of(("::1", 9000, 0, 0)) == ("::1", 9000)
    assert address_of("/run/socket") is None
    assert address_of(None) is None


def test_an_instance_id_is_stable_and_differs_by_node_and_database() -> None:
    def instance(name: str) -> Any:
        return resource_of({}, "wattspan", name).attributes["service.instance.id"]

    assert instance("node|a.db") == instance("node|a.db") != instance("node|b.db")
    assert instance("") != instance("")
    assert isinstance(resource_of({}, "wattspan"), Resource)
