"""OcppInstrumentor on programs built on the `ocpp` package, over real sockets."""

import asyncio
import gc
import inspect
import json
import logging
import re
from typing import Any

import ocpp.charge_point
import pytest
from ocpp.exceptions import FormatViolationError
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, generate_latest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from support.chargers import BOOT, START, CallErrorReceived, energy, meter_values, stop
from support.observing import tracing
from support.ocpp_programs import NOW, Adapter, Central16, Central201, central_program, instrumented
from support.waiting import eventually
from wattspan.errors import SettingsError
from wattspan.instrumentation import OcppInstrumentor, Role
from wattspan.ocppj.large import LARGE_BYTES
from wattspan.prometheus import PrometheusReader


async def gone(telemetry: Any, cp_id: str = "CP1") -> None:
    async def has_gone() -> bool:
        return telemetry.metrics().get(("ocpp_cp_connected", (cp_id,))) == 0

    await eventually(has_gone)


async def test_a_session_has_the_spans_and_metrics_that_our_own_server_records():
    with instrumented() as telemetry:
        async with central_program() as program:
            async with program.charger("CP1") as charger:
                await charger.call("BootNotification", BOOT)
                transaction = await charger.call("StartTransaction", START)
                number = transaction["transactionId"]
                await charger.call("MeterValues", meter_values(number, energy(3000)))
                assert telemetry.metrics()["ocpp_tx_energy_wh", ("CP1", "1")] == 2000
                await charger.call("StopTransaction", stop(number))
            await gone(telemetry)
        metrics = telemetry.metrics()
    assert metrics["ocpp_cp_energy_total_wh", ("CP1",)] == 7500
    assert metrics["ocpp_tx_total", ("CP1",)] == 1
    assert metrics["ocpp_msg_handling_seconds", ("CP1", "BootNotification")] == 1
    assert metrics["ocpp_tx_duration_seconds", ()] == 1
    assert metrics["ocpp_cp_info", ("CP1", "Acme", "One", "1.0", "ocpp1.6", "")] == 1
    assert metrics["ocpp_cp_disconnects_total", ("CP1",)] == 1
    assert not [name for name, _ in metrics if not name.startswith("ocpp_")]
    start = telemetry.only("StartTransaction")
    assert start.kind is SpanKind.SERVER
    assert (start.attributes["cp_id"], start.attributes["connector_id"]) == ("CP1", "1")
    session = telemetry.only("charging session")
    assert start.links[0].context.trace_id == session.context.trace_id
    assert start.links[0].context.span_id == session.context.span_id
    assert session.attributes["ocpp.energy_wh"] == 7500


async def test_handlers_run_inside_the_span_and_their_spans_nest(monkeypatch):
    with instrumented() as telemetry:
        provider = telemetry.provider.get_tracer("theirs")
        monkeypatch.setattr(trace, "get_tracer", lambda *_: provider)
        async with central_program() as program, program.charger("CP1") as charger:
            await charger.call("BootNotification", BOOT)
            seen = program.charge_points["CP1"].seen

            async def both_ran() -> bool:
                return len(seen) == 2

            await eventually(both_ran)
    boot, look_up = telemetry.only("BootNotification"), telemetry.only("look up")
    assert seen == [boot.context.span_id, telemetry.only("after BootNotification").context.span_id]
    assert look_up.parent.span_id == boot.context.span_id
    assert boot.start_time <= look_up.start_time <= look_up.end_time <= boot.end_time


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Authorize", {"idTag": "A1"}, "SecurityError"),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}, "InternalError"),
        ("DiagnosticsStatusNotification", {"status": "Idle"}, "NotImplemented"),
        ("NoSuchAction", {}, "NotSupported"),
        ("BootNotification", {"chargePointVendor": "Acme"}, "OccurrenceConstraintViolation"),
    ],
)
async def test_what_is_refused_is_an_error_with_ocpps_code(action, payload, code, caplog):
    with instrumented() as telemetry:
        async with central_program() as program, program.charger("CP1") as charger:
            with pytest.raises(CallErrorReceived) as refused:
                await charger.call(action, payload)
        (span,) = telemetry.messages()
        assert telemetry.metrics()["ocpp_cp_errors_total", ("CP1", refused.value.code)] == 1
    assert span.name == ("other" if action == "NoSuchAction" else action)
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, refused.value.code)
    assert refused.value.code in (
        code,
        "ProtocolError",
        "FormationViolation",
        "NotImplemented",
        "TypeConstraintViolation",
    )


async def test_a_call_is_a_client_span_below_the_span_of_its_caller():
    with instrumented() as telemetry:
        tracer = telemetry.provider.get_tracer("theirs")
        async with central_program() as program, program.charger("CP1") as charger:
            await charger.call("Heartbeat")
            with tracer.start_as_current_span("an operator's request"):
                command = asyncio.create_task(program.charge_points["CP1"].call(call.ClearCache()))
                await charger.reply(await charger.expect("ClearCache"), {"status": "Rejected"})
                assert await command == call_result.ClearCache(status="Rejected")
        metrics = telemetry.metrics()
    span, request = telemetry.only("ClearCache"), telemetry.only("an operator's request")
    assert (span.kind, span.attributes["ocpp.status"]) == (SpanKind.CLIENT, "Rejected")
    assert span.parent.span_id == request.context.span_id
    assert metrics["ocpp_central_call_rejected_total", ("CP1", "ClearCache", "Rejected")] == 1
    assert metrics["ocpp_central_call_seconds", ("ClearCache",)] == 1


async def test_a_call_without_an_answer_is_a_time_out_and_raises_as_before():
    with instrumented() as telemetry:
        async with central_program(timeout_s=0.05) as program, program.charger("CP1") as charger:
            await charger.call("Heartbeat")
            with pytest.raises(TimeoutError, match="Waited"):
                await program.charge_points["CP1"].call(call.ClearCache())
            late = await charger.expect("ClearCache")
            await charger.reply(late, {"status": "Accepted"})
            await charger.call("Heartbeat")
            metrics = telemetry.metrics()
    assert telemetry.only("ClearCache").attributes["error.type"] == "Timeout"
    assert metrics["ocpp_central_call_errors_total", ("CP1", "ClearCache", "Timeout")] == 1
    assert metrics["ocpp_central_unasked_results_total", ()] == 1


async def test_a_callerror_is_an_error_and_still_returns_none():
    with instrumented() as telemetry:
        async with central_program() as program, program.charger("CP1") as charger:
            await charger.call("Heartbeat")
            command = asyncio.create_task(program.charge_points["CP1"].call(call.ClearCache()))
            frame = await charger.expect("ClearCache")
            await charger.send_raw(json.dumps([4, frame[1], "NotSupported", "", {}]))
            assert await command is None
    assert telemetry.only("ClearCache").attributes["error.type"] == "NotSupported"


async def test_a_call_that_breaks_its_schema_raises_as_before_and_leaves_nothing():
    with instrumented() as telemetry:
        async with central_program() as program, program.charger("CP1") as charger:
            await charger.call("Heartbeat")
            with pytest.raises((FormatViolationError, Exception)):
                await program.charge_points["CP1"].call(call.ClearChargingProfile(id="no number"))
    assert telemetry.named("ClearChargingProfile") == []


async def test_the_end_of_a_connection_ends_its_calls():
    with instrumented() as telemetry:
        async with central_program() as program:
            charger = await program.charger("CP1").__aenter__()
            await charger.call("Heartbeat")
            command = asyncio.create_task(program.charge_points["CP1"].call(call.ClearCache()))
            await charger.expect("ClearCache")
            charger.vanish()
            await gone(telemetry)
            command.cancel()
            await asyncio.gather(command, return_exceptions=True)
        metrics = telemetry.metrics()
    assert telemetry.only("ClearCache").attributes["error.type"] == "ConnectionLost"
    assert metrics["ocpp_cp_disconnects_total", ("CP1",)] == 1
    assert metrics["ocpp_central_sockets", ()] == 0


async def test_a_session_of_2_0_1_is_traced():
    event = {"eventType": "Started", "timestamp": NOW, "triggerReason": "Authorized", "seqNo": 0, "evse": {"id": 1},
             "transactionInfo": {"transactionId": "T1"}}  # fmt: skip
    ended = {**event, "eventType": "Ended", "seqNo": 1, "triggerReason": "StopAuthorized"}
    with instrumented() as telemetry:
        async with central_program(Central201) as program, program.charger("CP1", "ocpp2.0.1") as charger:
            await charger.call(
                "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "A", "model": "B"}}
            )
            await charger.call("TransactionEvent", event)
            await charger.call("TransactionEvent", ended)
            assert telemetry.metrics()["ocpp_cp_info", ("CP1", "A", "B", "", "ocpp2.0.1", "")] == 1
    assert telemetry.only("charging session").attributes["ocpp.transaction_id"] == "T1"


class Station(ChargePoint):
    """A charge point built on the package."""

    @on("Reset")
    def on_reset(self, **_: Any) -> Any:
        return call_result.Reset(status="Accepted")


async def test_a_charge_point_calls_by_client_spans_and_handles_commands_by_server_spans():
    async def central(connection: Any) -> None:
        async for data in connection:
            message = json.loads(data)
            if message[0] == 2:
                await connection.send(
                    json.dumps([3, message[1], {"status": "Accepted", "currentTime": NOW, "interval": 9}])
                )
                await connection.send('[2, "r", "Reset", {"type": "Soft"}]')
            else:
                answers.append(message)

    answers: list[Any] = []
    with instrumented() as telemetry:
        async with serve(central, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(
                f"ws://127.0.0.1:{port}/CP1", subprotocols=[Subprotocol("ocpp1.6")], proxy=None
            ) as socket:
                station = Station("CP1", socket)
                running = asyncio.create_task(station.start())
                boot = call.BootNotification(charge_point_model="One", charge_point_vendor="Acme")
                assert (await station.call(boot)).interval == 9

                async def answered() -> bool:
                    return bool(answers)

                await eventually(answered)
                metrics = telemetry.metrics()
            with pytest.raises(ConnectionClosed):
                await running
        await gone(telemetry)
    sent, handled = telemetry.only("BootNotification"), telemetry.only("Reset")
    assert (sent.kind, handled.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
    assert metrics["ocpp_cp_boots_total", ("CP1",)] == 1
    assert metrics["ocpp_central_messages_total", ("out", "Reset")] == 1
    assert metrics["ocpp_msg_handling_seconds", ("CP1", "Reset")] == 1
    assert answers == [[3, "r", {"status": "Accepted"}]]


@pytest.mark.parametrize(
    ("role", "message", "kind"),
    [
        (None, '[2, "1", "Heartbeat", {}]', SpanKind.SERVER),
        (None, '[2, "1", "Reset", {"type": "Soft"}]', SpanKind.SERVER),
        (None, '[2, "1", "DataTransfer", {"vendorId": "a"}]', SpanKind.SERVER),
        (Role.CHARGE_POINT, '[2, "1", "DataTransfer", {"vendorId": "a"}]', SpanKind.SERVER),
        ("charge point", '[2, "1", "Reset", {"type": "Soft"}]', SpanKind.SERVER),
    ],
)
async def test_without_start_a_connection_begins_at_the_first_message(role, message, kind, caplog):
    with instrumented(role=role) as telemetry:
        station = Station("CP1", Adapter())
        await station.route_message(message)
        (span,) = telemetry.messages()
        assert span.kind is kind
        assert telemetry.metrics()["ocpp_cp_connected", ("CP1",)] == 1
        direction = "out" if "Reset" in message or role is not None else "in"
        assert telemetry.metrics()["ocpp_central_messages_total", (direction, json.loads(message)[2])] == 1


async def test_a_connection_ends_when_its_object_is_collected_or_its_socket_closes():
    with instrumented() as telemetry:
        connections = telemetry.instrumentor.runtime.connections
        first, second = Central16("CP1", Adapter()), Central16("CP2", Adapter())
        for each in (first, second):
            await each.route_message('[2, "1", "Heartbeat", {}]')
        second._connection.close_code = 1001
        del first, each
        gc.collect()
        connections.sweep()
        metrics = telemetry.metrics()
        assert (metrics["ocpp_cp_connected", ("CP1",)], metrics["ocpp_cp_connected", ("CP2",)]) == (0, 0)
        assert metrics["ocpp_central_sockets", ()] == 0


async def test_the_context_of_the_program_is_left_as_it_was():
    class Baggage(Central16):
        @on("Heartbeat")
        def on_heartbeat(self) -> Any:
            self.seen.append(baggage.get_baggage("tenant"))
            return call_result.Heartbeat(current_time=NOW)

    with instrumented():
        token = otel_context.attach(baggage.set_baggage("tenant", "t1"))
        before = otel_context.get_current()
        charge_point = Baggage("CP1", Adapter())
        await charge_point.route_message('[2, "1", "Heartbeat", {}]')
        assert otel_context.get_current() == before
        otel_context.detach(token)
    assert charge_point.seen == ["t1"]


class SendsItself(Central16):
    """Sends by its connection, not by the package's `_send()`."""

    async def _send(self, message: str) -> None:
        await self._connection.send(message)


class SendsLater(Central16):
    """Does something else before it lets the package send."""

    async def _send(self, message: str) -> None:
        await asyncio.sleep(0)
        await super()._send(message)


class SendsLaterItself(SendsLater):
    """Inherits it."""


@pytest.mark.parametrize("kind", [SendsItself, SendsLater, SendsLaterItself])
@pytest.mark.parametrize("queued", [False, True])
async def test_a_class_that_sends_in_its_own_way_is_observed_once(kind, queued):
    own = {each: vars(each).get("_send") for each in kind.__mro__}
    with instrumented(queued=queued) as telemetry:
        async with central_program(kind) as program, program.charger("CP1") as charger:
            await charger.call("BootNotification", BOOT)
            number = (await charger.call("StartTransaction", START))["transactionId"]
            await charger.call("StopTransaction", stop(number))
            calling = asyncio.create_task(program.charge_points["CP1"].call(call.Reset(type="Soft"), unique_id="mine"))
            await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
            await calling
            telemetry.flush()
            metrics = telemetry.metrics()
        spans = [(span.name, span.attributes.get("error.type")) for span in telemetry.messages()]
    assert spans == [(name, None) for name in ("BootNotification", "StartTransaction", "StopTransaction", "Reset")]
    assert metrics["ocpp_cp_energy_total_wh", ("CP1",)] == 7500
    assert not [name for name, _ in metrics if "unobserved" in name or "unexpected" in name]
    assert {each: vars(each).get("_send") for each in kind.__mro__} == own


async def test_uninstrument_restores_the_class_and_records_no_more():
    names = ("start", "route_message", "_send", "call")
    before = [inspect.getattr_static(ocpp.charge_point.ChargePoint, name) for name in names]
    with instrumented() as telemetry:
        charge_point = Central16("CP1", Adapter())
        await charge_point.route_message('[2, "1", "Heartbeat", {}]')
        assert inspect.iscoroutinefunction(ocpp.charge_point.ChargePoint.start)
        telemetry.instrumentor.uninstrument()
        await charge_point.route_message('[2, "2", "Heartbeat", {}]')
        assert len(telemetry.named("Heartbeat")) == 1
    assert [inspect.getattr_static(ocpp.charge_point.ChargePoint, name) for name in names] == before


async def test_answers_are_the_same_with_and_without_it(caplog):
    caplog.set_level(logging.CRITICAL)
    messages = [
        '[2,"1","Heartbeat",{}]',
        '[2,"2","Nope",{}]',
        '[2,"3","BootNotification",{}]',
        "nonsense",
        "[]",
        '[2,"4","Authorize",{"idTag":"a"}]',
        '[3,"9",{}]',
        '[2,"5","MeterValues",{"connectorId":1,"meterValue":[]}]',
    ]

    async def answers() -> list[Any]:
        charge_point = Central16("CP1", Adapter())
        for message in messages:
            try:
                await charge_point.route_message(message)
            except Exception as exc:  # noqa: BLE001  whatever it is, it must be the same
                charge_point._connection.sent.append(repr(exc))
        return charge_point._connection.sent

    without = await answers()
    with instrumented():
        assert await answers() == without


async def test_counters_and_open_sessions_outlive_a_restart(tmp_path):
    state = tmp_path / "ocpp-telemetry.db"
    with instrumented(state=state):
        async with central_program() as program, program.charger("CP1") as charger:
            await charger.call("BootNotification", BOOT)
            number = (await charger.call("StartTransaction", START))["transactionId"]
            await charger.call("MeterValues", meter_values(number, energy(3000)))
    with instrumented(state=state) as telemetry:
        metrics = telemetry.metrics()
        assert metrics["ocpp_tx_total", ("CP1",)] == 1
        assert metrics["ocpp_tx_active", ("CP1", "1")] == 1
        assert metrics["ocpp_tx_energy_wh", ("CP1", "1")] == 2000
        assert metrics["ocpp_cp_connected", ("CP1",)] == 0
        assert metrics["ocpp_central_messages_total", ("in", "MeterValues")] == 1
        async with central_program() as program, program.charger("CP1") as charger:
            await charger.call("StopTransaction", stop(number))
        assert telemetry.metrics()["ocpp_cp_energy_total_wh", ("CP1",)] == 7500
        assert telemetry.only("charging session").attributes["ocpp.energy_wh"] == 7500
    with instrumented(state=state) as telemetry:
        assert telemetry.metrics()["ocpp_tx_active", ("CP1", "1")] == 0
        assert telemetry.metrics()["ocpp_cp_energy_total_wh", ("CP1",)] == 7500


async def test_the_stock_prometheus_reader_and_ours_show_the_same_but_for_one_name():
    registry = CollectorRegistry()
    stock, ours = PrometheusMetricReader(scope_info_enabled=False, registry=registry), PrometheusReader()
    meters = MeterProvider([stock, ours], shutdown_on_exit=False)
    instrumentor = OcppInstrumentor()
    instrumentor.instrument(tracer_provider=tracing()[0], meter_provider=meters)
    try:
        async with central_program() as program, program.charger("CP1") as charger:
            await charger.call("BootNotification", BOOT)
            number = (await charger.call("StartTransaction", START))["transactionId"]
            await charger.call("StopTransaction", stop(number))
            theirs, page = generate_latest(registry).decode(), ours.page()[1]
    finally:
        instrumentor.uninstrument()
        meters.shutdown()

    def of(text: str) -> set[tuple[str, frozenset[str], float]]:
        samples = (line.rpartition(" ") for line in text.splitlines() if line.startswith("ocpp_"))
        return {(name.partition("{")[0], frozenset(re.findall(r'[\w]+="[^"]*"', name)), float(value))
                for name, _, value in samples}  # fmt: skip

    energy_total = ("ocpp_cp_energy_total_wh", frozenset({'cp_id="CP1"'}), 7500.0)
    assert energy_total in of(page)
    assert of(page) - {energy_total} == of(theirs) - {("ocpp_cp_energy_total_wh_total", *energy_total[1:])}
    assert not re.search("^(ocpp_store|http_|failed_logins|ocpp_central_telemetry_dropped)", page, re.MULTILINE)


async def test_state_and_role_may_come_from_the_environment_and_arguments_overrule_it(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_OCPP_STATE", str(tmp_path / "ocpp-telemetry.db"))
    monkeypatch.setenv("OTEL_PYTHON_OCPP_ROLE", "charge_point")
    message = '[2, "1", "DataTransfer", {"vendorId": "a"}]'
    for options, direction in (({}, "out"), ({"role": Role.CENTRAL_SYSTEM, "state": tmp_path / "other.db"}, "in")):
        with instrumented(**options) as telemetry:
            await Station("CP1", Adapter()).route_message(message)
            messages = {key: value for key, value in telemetry.metrics().items() if key[0].endswith("messages_total")}
            assert messages == {("ocpp_central_messages_total", (direction, "DataTransfer")): 1}
    assert {each.name for each in tmp_path.iterdir()} == {"ocpp-telemetry.db", "other.db"}


async def test_empty_variables_count_as_not_set_and_a_role_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_PYTHON_OCPP_STATE", "")
    monkeypatch.setenv("OTEL_PYTHON_OCPP_ROLE", "")
    with instrumented():
        assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("OTEL_PYTHON_OCPP_ROLE", "server")
    with pytest.raises(SettingsError, match="OTEL_PYTHON_OCPP_ROLE: server is neither"):
        OcppInstrumentor().instrument()
    assert not OcppInstrumentor().is_instrumented_by_opentelemetry


async def test_a_message_too_long_to_observe_is_handled_and_counted():
    long = [2, "1", "DataTransfer", {"vendorId": "a", "data": "x" * LARGE_BYTES}]
    with instrumented() as telemetry:
        station = Station("CP1", Adapter())
        await station.route_message(json.dumps(long))
        await station.route_message('[2, "2", "Reset", {"type": "Soft"}]')
        metrics = telemetry.metrics()
    assert [each[:2] for each in station._connection.sent] == [[4, "1"], [3, "2"]]
    assert metrics["ocpp_observer_unobserved_total", ("frame_size",)] == 1
    assert [span.name for span in telemetry.spans.get_finished_spans()] == ["connect", "Reset", "disconnect"]


async def test_a_message_of_more_samples_than_the_observer_takes_is_handled_and_counted():
    value = {"timestamp": "2026-03-02T08:00:00Z", "sampledValue": [{"value": str(n)} for n in range(4_001)]}
    many = [2, "1", "MeterValues", {"connectorId": 1, "meterValue": [value]}]
    with instrumented() as telemetry:
        system = Central16("CP1", Adapter())
        await system.route_message(json.dumps(many))
        await system.route_message('[2, "2", "Heartbeat", {}]')
        metrics = telemetry.metrics()
    assert [each[:2] for each in system._connection.sent] == [[3, "1"], [3, "2"]]
    assert metrics["ocpp_observer_unobserved_total", ("readings",)] == 1
    assert [span.name for span in telemetry.spans.get_finished_spans()] == ["connect", "Heartbeat", "disconnect"]


def test_a_state_file_that_is_in_use_is_refused(tmp_path):
    state = tmp_path / "ocpp-telemetry.db"
    from wattspan.instrumentation.state_file import StateFile  # noqa: PLC0415

    file = StateFile.open(state)
    with pytest.raises(SettingsError, match="another process uses it"):
        OcppInstrumentor().instrument(state=state)
    assert not OcppInstrumentor().is_instrumented_by_opentelemetry
    file.close()


def test_a_file_of_another_program_is_refused(tmp_path):
    state = tmp_path / "notes.db"
    state.write_text("some notes of mine, long enough to be no database " * 20)
    with pytest.raises(SettingsError, match="notes"):
        OcppInstrumentor().instrument(state=state)
