"""The observer on frames of both directions: pairs, bounds, versions and what it makes of odd conversations."""

import json
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from support.observing import ObserverHarness
from wattspan.domain import events as ev
from wattspan.observe import Conversation, Limits, Role

NS = 1_000_000_000
BEGAN = 1_772_438_400 * NS
BOOT_16 = {"chargePointVendor": "Acme", "chargePointModel": "One"}
BOOT_2X = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "Two"}}
START = {"connectorId": 1, "idTag": "A1", "meterStart": 1000, "timestamp": "2026-03-02T08:00:00Z"}


class Wire:
    """One observed connection, and the time."""

    def __init__(self, harness: ObserverHarness, conversation: Conversation) -> None:
        self.harness = harness
        self.conversation = conversation
        self.now_ns = BEGAN

    def cp(self, *frame: Any, after_s: float = 0.0) -> None:
        self.raw(json.dumps(frame), True, after_s)

    def csms(self, *frame: Any, after_s: float = 0.0) -> None:
        self.raw(json.dumps(frame), False, after_s)

    def raw(self, data: str | bytes, from_charge_point: bool = True, after_s: float = 0.0) -> None:
        self.now_ns += round(after_s * NS)
        self.conversation.frame(data, from_charge_point, self.now_ns)

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.harness.events]


def connected(subprotocol: str | None = "ocpp1.6", role: Role = Role.CENTRAL_SYSTEM, **options: Any) -> Wire:
    harness = ObserverHarness.make(lambda: BEGAN, **options)
    return Wire(harness, harness.observer.connect("CP1", subprotocol, BEGAN, role=role))


def test_a_call_and_its_result_are_one_span_from_the_one_to_the_other():
    wire = connected()
    wire.cp(2, "1", "BootNotification", BOOT_16)
    assert wire.harness.named("BootNotification") == []
    wire.csms(3, "1", {"status": "Accepted", "currentTime": "2026-03-02T08:00:00Z", "interval": 60}, after_s=0.5)
    (span,) = wire.harness.named("BootNotification")
    assert span.kind is SpanKind.SERVER
    assert dict(span.attributes) == {
        "cp_id": "CP1",
        "ocpp.action": "BootNotification",
        "rpc.system.name": "ocpp",
        "rpc.method": "BootNotification",
        "ocpp.version": "1.6",
        "ocpp.message.id": "1",
        "csms.force_sample": True,
    }
    assert (span.start_time, span.end_time) == (BEGAN, BEGAN + NS // 2)
    assert wire.harness.value("ocpp_msg_handling_seconds_sum", "CP1", "BootNotification") == 0.5
    assert wire.names() == ["ChargePointConnected", "ChargePointBooted"]


def test_the_transaction_id_is_the_one_that_the_other_central_system_assigned():
    wire = connected()
    wire.cp(2, "1", "StartTransaction", START)
    wire.csms(3, "1", {"transactionId": 987_654, "idTagInfo": {"status": "Accepted"}})
    assert list(wire.harness.fleet.charge_points["CP1"].transactions) == ["987654"]
    stopped = {"transactionId": 987_654, "meterStop": 3500, "timestamp": "2026-03-02T09:00:00Z"}
    wire.cp(2, "2", "StopTransaction", stopped, after_s=3600)
    wire.csms(3, "2", {})
    assert wire.harness.value("ocpp_cp_energy_total_wh", "CP1") == 2500
    (session,) = wire.harness.named("charging session")
    assert session.attributes["ocpp.transaction_id"] == "987654"
    start, stop = wire.harness.named("StartTransaction")[0], wire.harness.named("StopTransaction")[0]
    assert start.links[0].context.trace_id == stop.links[0].context.trace_id


def test_meter_values_of_a_lower_foreign_transaction_id_are_not_taken_for_a_closed_transaction():
    wire = connected()
    wire.cp(2, "1", "StartTransaction", START)
    wire.csms(3, "1", {"transactionId": 500, "idTagInfo": {"status": "Accepted"}})
    value = [{"timestamp": "2026-03-02T08:00:00Z", "sampledValue": [{"value": "7.5", "unit": "kW",
              "measurand": "Power.Active.Import"}]}]  # fmt: skip
    wire.cp(2, "2", "MeterValues", {"connectorId": 2, "transactionId": 3, "meterValue": value})
    wire.csms(3, "2", {})
    assert wire.harness.value("ocpp_cp_power_w", "CP1", "2") == 7500


def test_a_refused_call_is_a_protocol_fault_and_an_error_on_its_span():
    wire = connected()
    wire.cp(2, "1", "Heartbeat", {})
    wire.csms(4, "1", "InternalError", "", {})
    (span,) = wire.harness.named("Heartbeat")
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "InternalError")
    assert wire.harness.value("ocpp_cp_errors_total", "CP1", "InternalError") == 1
    assert wire.harness.value("ocpp_cp_last_heartbeat_ts", "CP1") is None


def test_a_code_that_ocpp_does_not_define_is_no_label():
    wire = connected()
    wire.cp(2, "1", "Heartbeat", {})
    wire.csms(4, "1", "x" * 500, "", {})
    assert wire.harness.value("ocpp_cp_errors_total", "CP1", "other") == 1
    assert len(wire.harness.named("Heartbeat")[0].attributes["error.type"]) == 50


def test_a_command_is_a_client_span_and_its_refusal_is_counted():
    wire = connected()
    wire.csms(2, "a", "Reset", {"type": "Soft"})
    wire.cp(3, "a", {"status": "Rejected"}, after_s=2)
    (span,) = wire.harness.named("Reset")
    assert (span.kind, span.attributes["ocpp.status"]) == (SpanKind.CLIENT, "Rejected")
    assert wire.harness.value("ocpp_central_call_rejected_total", "CP1", "Reset", "Rejected") == 1
    assert wire.harness.value("ocpp_central_call_seconds_sum", "Reset") == 2
    assert wire.harness.value("ocpp_central_messages_total", "out", "Reset") == 1


def test_equal_ids_of_both_directions_are_kept_apart():
    wire = connected()
    wire.cp(2, "1", "Heartbeat", {})
    wire.csms(2, "1", "ClearCache", {})
    wire.cp(3, "1", {"status": "Accepted"})
    assert len(wire.harness.named("ClearCache")) == 1
    assert wire.harness.named("Heartbeat") == []
    wire.csms(3, "1", {"currentTime": "2026-03-02T08:00:00Z"})
    assert len(wire.harness.named("Heartbeat")) == 1


def test_at_a_charge_point_the_kinds_are_reversed_and_the_state_is_the_same():
    wire = connected(role=Role.CHARGE_POINT)
    wire.cp(2, "1", "BootNotification", BOOT_16)
    wire.csms(3, "1", {"status": "Accepted"})
    wire.csms(2, "a", "Reset", {"type": "Soft"})
    wire.cp(3, "a", {"status": "Accepted"})
    (boot,), (reset,) = wire.harness.named("BootNotification"), wire.harness.named("Reset")
    assert (boot.kind, reset.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
    assert reset.attributes["ocpp.status"] == "Accepted"
    assert wire.harness.value("ocpp_cp_boots_total", "CP1") == 1
    assert wire.harness.value("ocpp_msg_handling_seconds_count", "CP1", "Reset") == 1
    assert wire.harness.value("ocpp_central_call_seconds_count", "BootNotification") == 1


def test_a_repeated_call_under_the_same_id_gets_a_span_of_its_own_and_counts_once():
    wire = connected()
    for _ in range(2):
        wire.cp(2, "1", "StartTransaction", START)
    for _ in range(2):
        wire.csms(3, "1", {"transactionId": 7, "idTagInfo": {"status": "Accepted"}})
    assert len(wire.harness.named("StartTransaction")) == 2
    assert wire.harness.value("ocpp_tx_total", "CP1") == 1


def test_a_message_id_that_is_a_number_matches_the_same_text():
    wire = connected()
    wire.cp(2, 17, "Heartbeat", {})
    wire.csms(3, "17", {"currentTime": "2026-03-02T08:00:00Z"})
    assert len(wire.harness.named("Heartbeat")) == 1


def test_a_result_without_a_call_is_counted():
    wire = connected()
    wire.cp(3, "nobody", {})
    wire.csms(3, "nobody", {})
    wire.csms(4, "-1", "FormationViolation", "", {})
    assert wire.harness.value("ocpp_central_unasked_results_total") == 1
    assert wire.harness.value("ocpp_observer_unobserved_total", "unmatched_answer") == 1


def test_a_call_that_is_never_answered_ends_by_the_time_of_later_frames():
    wire = connected()
    wire.cp(2, "1", "Heartbeat", {})
    wire.csms(2, "a", "ClearCache", {})
    wire.cp(2, "2", "Heartbeat", {}, after_s=61)
    assert wire.harness.named("Heartbeat")[0].attributes["error.type"] == "Timeout"
    assert wire.harness.named("ClearCache")[0].attributes["error.type"] == "Timeout"
    assert wire.harness.value("ocpp_central_call_errors_total", "CP1", "ClearCache", "Timeout") == 1
    wire.cp(3, "a", {"status": "Accepted"})
    assert wire.harness.value("ocpp_central_unasked_results_total") == 1


def test_a_quiet_conversation_is_expired_from_outside():
    wire = connected(limits=Limits(answer_timeout_s=5))
    wire.cp(2, "1", "Heartbeat", {})
    wire.harness.observer.expire(BEGAN + 4 * NS)
    assert wire.harness.named("Heartbeat") == []
    wire.harness.observer.expire(BEGAN + 6 * NS)
    assert len(wire.harness.named("Heartbeat")) == 1


def test_calls_that_wait_are_bounded_and_the_oldest_ends():
    wire = connected(limits=Limits(max_outstanding=4))
    for number in range(10):
        wire.cp(2, str(number), "Heartbeat", {})
    assert len(wire.harness.named("Heartbeat")) == 6
    assert wire.harness.value("ocpp_observer_unobserved_total", "outstanding") == 6


def test_a_frame_that_is_too_long_is_counted_and_left():
    wire = connected(limits=Limits(max_frame_bytes=100))
    wire.cp(2, "1", "DataTransfer", {"vendorId": "x" * 100})
    assert wire.harness.value("ocpp_observer_unobserved_total", "frame_size") == 1
    assert wire.harness.value("ocpp_central_messages_total", "in", "DataTransfer") is None


def test_charge_points_beyond_the_limit_are_counted_and_ignored():
    wire = connected(max_charge_points=1)
    second = wire.harness.observer.connect("CP2", "ocpp1.6", BEGAN)
    second.frame('[2, "1", "Heartbeat", {}]', True, BEGAN)
    second.close(1000, "", BEGAN)
    assert not second.observed
    assert (second.begin("Heartbeat", {}, BEGAN), second.cp_id, second.version) == (None, None, None)
    assert list(wire.harness.fleet.charge_points) == ["CP1"]
    assert wire.harness.value("ocpp_observer_unobserved_total", "charge_points") == 1
    again = wire.harness.observer.connect("CP1", "ocpp1.6", BEGAN)
    assert again.observed


@pytest.mark.parametrize(
    "data", ["", "nonsense", "[]", "{}", "[2]", '[2, "1"]', '[2, "1", "Heartbeat", [1]]', b"\xff\xfe"]
)
def test_what_is_no_message_is_counted_and_never_raises(data):
    wire = connected()
    wire.raw(data)
    wire.raw(data, from_charge_point=False)
    assert wire.harness.value("ocpp_central_unreadable_frames_total") == 2
    assert sum(wire.harness.fleet.charge_points["CP1"].errors.values()) == 1


@pytest.mark.parametrize("subprotocol", ["ocpp1.6", "ocpp2.1", None])
def test_messages_that_the_caller_decoded_are_observed_as_their_texts(subprotocol):
    messages: list[tuple[bool, list[Any], float]] = [
        (True, [2, "1", "StartTransaction", START], 0.0),
        (False, [3, "1", {"transactionId": 7, "idTagInfo": {"status": "Accepted"}}], 0.5),
        (False, [2, 8, "Reset", {"type": "Soft"}], 0.0),
        (True, [3, "8", {"status": "Rejected"}], 1.0),
        (True, [2, "2", "Heartbeat"], 0.0),
        (False, [4, "2", "FormationViolation", "", {}], 0.0),
        (True, [2, "3", "Nonsense", {}], 0.0),
        (True, [2], 0.0),
        (True, [[2], "4", "Heartbeat", {}], 0.0),
        (False, [2, "5", 5, {}], 0.0),
        (False, [3, "6", {}], 0.0),
        (True, [6, "7", "NotifyPeriodicEventStream", {}], 0.0),
        (True, [2, "9", "Heartbeat", {}], 0.0),
        (True, [2, "10", "Heartbeat", {}], 100.0),
    ]
    texts, decoded = connected(subprotocol), connected(subprotocol)
    for from_charge_point, message, after_s in messages:
        texts.raw(json.dumps(message), from_charge_point, after_s)
        decoded.conversation.decoded(message, from_charge_point, texts.now_ns)
    decoded.conversation.close(1000, "", texts.now_ns)
    texts.conversation.close(1000, "", texts.now_ns)
    assert decoded.conversation.decoded([2, "11", "Heartbeat", {}], True, texts.now_ns) is None
    assert without_random_ids(decoded.harness.events) == without_random_ids(texts.harness.events)
    assert decoded.harness.observer.counters.unobserved == texts.harness.observer.counters.unobserved
    assert decoded.harness.observer.counters.unreadable_frames == texts.harness.observer.counters.unreadable_frames
    assert "failure" not in texts.harness.observer.counters.unobserved


def without_random_ids(events: list[ev.Event]) -> list[ev.Event]:
    """The events without the trace and span ids of commands."""
    return [
        replace(event, trace_id="", span_id="") if isinstance(event, ev.CommandAnswered | ev.CommandFailed) else event
        for event in events
    ]


def test_a_fault_of_the_observer_itself_is_counted_and_does_not_reach_the_caller():
    harness = ObserverHarness.make(lambda: BEGAN)
    wire = Wire(harness, harness.observer.connect("CP1", "ocpp1.6", BEGAN))

    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    harness.observer._core.on_event = fail
    wire.cp(2, "1", "BootNotification", BOOT_16)
    wire.csms(3, "1", {"status": "Accepted"})
    wire.conversation.close(1000, "", BEGAN)
    harness.observer.connect("CP2", "ocpp1.6", BEGAN)
    assert harness.value("ocpp_observer_unobserved_total", "failure") == 3


def test_the_end_of_a_connection_ends_what_waits_and_leaves_the_charge_point():
    wire = connected()
    wire.cp(2, "1", "Heartbeat", {})
    wire.csms(2, "a", "ClearCache", {})
    wire.conversation.close(1006, "", BEGAN + NS)
    wire.conversation.close(1006, "", BEGAN + NS)
    assert wire.harness.named("Heartbeat")[0].attributes["error.type"] == "ConnectionLost"
    assert wire.names() == ["ChargePointConnected", "CommandFailed", "ChargePointDisconnected"]
    assert wire.harness.value("ocpp_cp_connected", "CP1") == 0
    assert wire.harness.value("ocpp_central_sockets") == 0
    wire.cp(2, "2", "Heartbeat", {})
    assert wire.names()[-1] == "ChargePointDisconnected"


def test_a_newer_connection_replaces_the_older_whose_end_leaves_it_connected():
    wire = connected()
    newer = wire.harness.observer.connect("CP1", "ocpp1.6", BEGAN + NS)
    wire.conversation.close(1008, "replaced", BEGAN + NS)
    assert wire.harness.value("ocpp_cp_connected", "CP1") == 1
    (ended,) = [event for event in wire.harness.events if isinstance(event, ev.ChargePointDisconnected)]
    assert ended.replaced
    newer.close(1000, "", BEGAN + NS)
    assert wire.harness.value("ocpp_cp_connected", "CP1") == 0


@pytest.mark.parametrize("subprotocol", [None, "ocpp1.5", ""])
@pytest.mark.parametrize(
    ("calls", "protocol"),
    [
        ([("Heartbeat", {})], "ocpp1.6"),
        ([("BootNotification", BOOT_16)], "ocpp1.6"),
        ([("Heartbeat", {}), ("BootNotification", BOOT_2X)], "ocpp2.0.1"),
        ([("BootNotification", BOOT_2X), ("BatterySwap", {"batteryData": [{"evseId": 1, "serialNumber": "1", "soC": 1,
            "soH": 1}], "eventType": "BatteryIn", "idToken": {"idToken": "A", "type": "Local"}, "requestId": 1})],
         "ocpp2.1"),
        ([("Unknown", {}), ("BootNotification", BOOT_2X)], "ocpp2.0.1"),
    ],
)  # fmt: skip
def test_the_version_is_guessed_from_the_messages(subprotocol, calls, protocol):
    wire = connected(subprotocol)
    for number, (action, payload) in enumerate(calls):
        wire.cp(2, str(number), action, payload)
        wire.csms(3, str(number), {})
    assert wire.harness.fleet.charge_points["CP1"].protocol == protocol
    assert wire.conversation.version.subprotocol == protocol


def test_a_charge_point_that_negotiated_2_and_sends_1_6_is_understood():
    wire = connected("ocpp2.0.1")
    wire.cp(2, "1", "BootNotification", BOOT_16)
    wire.csms(3, "1", {"status": "Accepted"})
    assert wire.harness.value("ocpp_cp_mixed_version_messages_total", "CP1", "BootNotification") == 1
    assert wire.harness.fleet.charge_points["CP1"].vendor == "Acme"


def test_a_schema_fault_is_noted_at_the_time_of_the_frame():
    wire = connected()
    wire.cp(2, "1", "BootNotification", {"chargePointVendor": "Acme"})
    wire.csms(3, "1", {"status": "Accepted"})
    (span,) = wire.harness.named("BootNotification")
    assert [(event.name, event.timestamp) for event in span.events] == [("schema fault", BEGAN)]
    assert wire.harness.value("ocpp_cp_schema_faults_total", "CP1", "BootNotification") == 1


def test_attributes_of_the_connection_are_on_each_of_its_spans():
    harness = ObserverHarness.make(lambda: BEGAN)
    wire = Wire(harness, harness.observer.connect("CP1", "ocpp1.6", BEGAN, {"upstream": "a"}))
    wire.cp(2, "1", "Heartbeat", {})
    wire.csms(3, "1", {"currentTime": ""})
    wire.csms(2, "a", "ClearCache", {})
    wire.cp(3, "a", {"status": "Accepted"})
    assert {span.attributes["upstream"] for span in harness.spans.get_finished_spans()} == {"a"}


def test_without_a_store_nothing_grows():
    wire = connected()
    for number in range(50):
        wire.cp(2, "1", "StartTransaction", {**START, "meterStart": number})
        wire.csms(3, "1", {"transactionId": number + 1, "idTagInfo": {"status": "Accepted"}})
        wire.cp(2, "2", "MeterValues", {"connectorId": 1, "transactionId": number + 1, "meterValue": [
            {"timestamp": "2026-03-02T08:00:00Z", "sampledValue": [{"value": str(number)}]}]})  # fmt: skip
        wire.csms(3, "2", {})
        wire.cp(2, "3", "StopTransaction", {"transactionId": number + 1, "meterStop": number,
                "timestamp": "2026-03-02T08:00:00Z"})  # fmt: skip
        wire.csms(3, "3", {})
    changes = wire.harness.fleet.changes
    assert [list(each) for each in (changes.readings, changes.notes, changes.transactions)] == [[], [], []]


def test_messages_that_were_parsed_already_are_observed_without_frames():
    wire = connected()
    exchange = wire.conversation.begin("BootNotification", BOOT_16, BEGAN)
    assert exchange.span.otel.is_recording()
    wire.conversation.answered(exchange, {"status": "Accepted"}, BEGAN + NS)
    wire.conversation.answered(exchange, {"status": "Accepted"}, BEGAN + 2 * NS)
    command = wire.conversation.begin_command("ClearCache", {}, BEGAN)
    wire.conversation.failed(command, "Timeout", BEGAN + 30 * NS)
    assert wire.names() == ["ChargePointConnected", "ChargePointBooted", "CommandFailed"]


def test_the_observer_closes_all_conversations_at_once():
    wire = connected()
    wire.harness.observer.connect("CP2", "ocpp1.6", BEGAN)
    wire.harness.observer.close()
    assert wire.harness.value("ocpp_central_sockets") == 0
    assert not wire.conversation.observed


def test_a_binary_message_is_a_protocol_fault():
    wire = connected()
    wire.conversation.binary(BEGAN)
    assert wire.harness.value("ocpp_cp_errors_total", "CP1", "FormationViolation") == 1


JOINTS = ["", "\n", ",", "\0"]


@pytest.mark.parametrize("joint", JOINTS)
def test_each_message_of_a_joined_text_is_observed_and_the_text_is_one_protocol_fault(joint):
    wire = connected()
    wire.raw(f'[2,"1","BootNotification",{json.dumps(BOOT_16)}]{joint}[2,"2","Heartbeat",{{}}]')
    wire.csms(3, "1", {"status": "Accepted"})
    wire.csms(3, "2", {"currentTime": "2026-03-02T08:00:00Z"}, after_s=1)
    assert wire.names() == ["ChargePointConnected", "ProtocolFaulted", "ChargePointBooted", "HeartbeatReceived"]
    assert wire.harness.value("ocpp_cp_errors_total", "CP1", "ProtocolError") == 1
    assert wire.harness.value("ocpp_central_messages_total", "in", "Heartbeat") == 1
    assert wire.harness.value("ocpp_central_unreadable_frames_total") == 0
    assert wire.harness.named("Heartbeat")[0].end_time == BEGAN + NS


def test_an_answer_joined_to_a_request_ends_its_command():
    wire = connected()
    wire.csms(2, "a", "ClearCache", {})
    exchange = wire.conversation.frame('[3,"a",{"status":"Accepted"}][2,"1","Heartbeat",{}]', True, BEGAN)
    assert exchange is not None
    assert exchange.span.action == "Heartbeat"
    assert len(wire.harness.named("ClearCache")) == 1


def test_answers_joined_by_the_central_system_are_no_fault_of_the_charge_point():
    wire = connected()
    for number in range(2):
        wire.cp(2, str(number), "Heartbeat", {})
    wire.raw('[3,"0",{"currentTime":""}][3,"1",{"currentTime":""}]', from_charge_point=False)
    assert len(wire.harness.named("Heartbeat")) == 2
    assert wire.harness.fleet.charge_points["CP1"].errors == {}


def test_a_joined_text_with_a_part_that_is_no_message_keeps_the_others():
    wire = connected("ocpp2.0.1")
    wire.raw('[2,"1","Heartbeat",{}][2,"2"][2,"3","Heartbeat",{}]')
    assert wire.harness.value("ocpp_central_messages_total", "in", "Heartbeat") == 2
    assert wire.harness.value("ocpp_cp_errors_total", "CP1", "RpcFrameworkError") == 2
    assert wire.harness.value("ocpp_central_unreadable_frames_total") == 1


def faulted(wire: Wire, number: int, at: str) -> None:
    payload = {"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure", "timestamp": at}
    wire.cp(2, str(number), "StatusNotification", payload)
    wire.csms(3, str(number), {})


@pytest.mark.parametrize("connector", [{}, {"connectorId": 1}])
def test_a_standing_fault_that_a_trigger_requests_is_not_another_one(connector):
    wire = connected()
    faulted(wire, 1, "2026-03-02T08:00:00Z")
    wire.csms(2, "a", "TriggerMessage", {"requestedMessage": "StatusNotification", **connector}, after_s=10)
    wire.cp(3, "a", {"status": "Accepted"})
    faulted(wire, 2, "2026-03-02T08:00:10Z")
    assert wire.harness.value("ocpp_cp_errors_total", "CP1", "GroundFailure") == 1
    (requested,) = [event for event in wire.harness.events if isinstance(event, ev.StatusRequested)]
    assert (requested.connector_id, requested.received_ts) == ("1" if connector else None, BEGAN / NS + 10)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("StatusNotification", [3, "a", {"status": "Rejected"}]),
        ("StatusNotification", [4, "a", "InternalError", "", {}]),
        ("Heartbeat", [3, "a", {"status": "Accepted"}]),
    ],
)
def test_a_fault_that_no_trigger_brings_counts_again(asked, answer):
    wire = connected()
    faulted(wire, 1, "2026-03-02T08:00:00Z")
    wire.csms(2, "a", "TriggerMessage", {"requestedMessage": asked, "connectorId": 1}, after_s=10)
    wire.cp(*answer)
    faulted(wire, 2, "2026-03-02T08:00:10Z")
    assert wire.harness.value("ocpp_cp_errors_total", "CP1", "GroundFailure") == 2


@pytest.mark.parametrize("frame", [(2, "1", "Heartbeat", []), (2, "1", "Heartbeat")])
def test_a_payload_that_is_missing_and_not_needed_is_a_schema_fault(frame):
    wire = connected()
    wire.cp(*frame)
    wire.csms(3, "1", {"currentTime": "2026-03-02T08:00:00Z"})
    assert wire.names() == ["ChargePointConnected", "SchemaFaulted", "HeartbeatReceived"]
    (event,) = wire.harness.named("Heartbeat")[0].events
    assert (event.name, event.attributes["ocpp.fault.path"]) == ("schema fault", "")


def test_a_payload_that_is_missing_and_needed_is_the_protocol_fault_of_its_refusal():
    wire = connected()
    wire.cp(2, "1", "StatusNotification", [])
    wire.csms(4, "1", "FormationViolation", "", {})
    assert wire.names() == ["ChargePointConnected", "ProtocolFaulted"]
    assert wire.harness.named("StatusNotification")[0].attributes["error.type"] == "FormationViolation"
