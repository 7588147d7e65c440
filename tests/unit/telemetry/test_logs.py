import io
import json
import logging

import pytest

from support.recorders import api, hot
from wattspan.settings import Settings
from wattspan.telemetry.logs import (
    MAX_LINES,
    SDK_EVERY_S,
    JsonFormatter,
    Limiter,
    LineLimiter,
    RepeatFilter,
    limited,
    setup_logging,
)

log = logging.getLogger("wattspan.test")


@pytest.fixture
def stream():
    """What is written; root is as before afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield io.StringIO()
    root.setLevel(level)
    root.handlers[:] = handlers


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_has_the_keys_that_are_searched_by(stream):
    setup_logging(Settings(log_format="json"), stream)
    log.warning("odd %s", "thing", extra={"cp_id": "CP1", "request_id": "r1", "count": 3})
    (line,) = lines(stream)
    assert line["timestamp"].endswith("+00:00")
    del line["timestamp"]
    assert line == {
        "level": "warning",
        "service": "wattspan",
        "message": "odd thing",
        "cp_id": "CP1",
        "request_id": "r1",
        "extra": {"logger": "wattspan.test", "count": 3},
    }


@pytest.mark.parametrize("make", [hot, api])
def test_a_line_bears_the_trace_of_the_message_that_is_current(stream, make):
    setup_logging(Settings(log_format="json"), stream)
    recording = make()
    span = recording.recorder.message("CP1", "Heartbeat", recording.clock.now_ns)
    token = recording.recorder.attach(span)
    log.warning("inside")
    recording.recorder.detach(token)
    log.warning("outside")
    inside, outside = lines(stream)
    assert (inside["trace_id"], inside["span_id"]) == (f"{span.trace_id:032x}", f"{span.span_id:016x}")
    assert "trace_id" not in outside


def test_within_a_message_of_our_server_a_line_bears_its_charge_point(stream):
    setup_logging(Settings(log_format="json"), stream)
    recording = hot()
    token = recording.recorder.attach(recording.recorder.message("CP1", "Heartbeat", 1))
    log.warning("inside")
    recording.recorder.detach(token)
    assert lines(stream)[0]["cp_id"] == "CP1"


def test_one_record_is_one_line_whatever_is_in_it(stream):
    setup_logging(Settings(log_format="json"), stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("it\nfailed", extra={"odd": object(), "sets": {1}})
    (line,) = lines(stream)
    assert "ValueError: two" in line["extra"]["exception"]


def test_text_is_for_eyes_and_keeps_what_was_given_along(stream):
    setup_logging(Settings(log_format="text"), stream)
    log.info("hello", extra={"cp_id": "CP1"})
    assert stream.getvalue().endswith("info     test: hello cp_id=CP1\n")


def test_a_traceback_follows_a_text_line(stream):
    setup_logging(Settings(log_format="text"), stream)
    try:
        raise ValueError("odd")
    except ValueError:
        log.exception("it failed")
    assert "Traceback" in stream.getvalue()


def test_less_severe_than_the_level_is_not_written(stream):
    setup_logging(Settings(log_level="error"), stream)
    log.warning("quiet")
    assert stream.getvalue() == ""


def test_setting_up_twice_writes_once(stream):
    setup_logging(Settings(), stream)
    setup_logging(Settings(), stream)
    log.warning("once")
    assert stream.getvalue().count("once") == 1


def test_a_limited_line_comes_once_a_second_and_says_how_many_did_not(stream):
    setup_logging(Settings(log_format="json"), stream)
    now = [0.0]
    limiter = LineLimiter(1.0, lambda: now[0])
    for _ in range(1000):
        limited(log, logging.WARNING, "frame", "unreadable", limiter=limiter)
    limited(log, logging.WARNING, "other", "unlike", limiter=limiter)
    now[0] = 1.0
    limited(log, logging.WARNING, "frame", "unreadable", limiter=limiter)
    assert [line["message"] for line in lines(stream)] == ["unreadable", "unlike", "unreadable"]
    assert lines(stream)[-1]["extra"]["left_out"] == 999


def test_each_charge_point_has_a_line_of_its_own_and_what_is_left_out_is_counted_by_reason_and_charge_point(stream):
    setup_logging(Settings(log_format="json"), stream)
    now = [0.0]
    limiter = LineLimiter(1.0, lambda: now[0])

    def refuse(cp_id: str) -> None:
        limited(log, logging.WARNING, "credentials", "refused", fields={"cp_id": cp_id}, limiter=limiter)

    for _ in range(3):
        refuse("CP1")
        refuse("CP2")
    now[0] = 1.0
    refuse("CP1")
    limiter.report()
    limiter.report()
    *passed, report = lines(stream)
    assert [(line["cp_id"], line["extra"].get("left_out")) for line in passed] == [
        ("CP1", None),
        ("CP2", None),
        ("CP1", 2),
    ]
    assert report["extra"] == {
        "logger": "wattspan.test",
        "reason": "credentials",
        "left_out": 2,
        "left_out_by_cp_id": {"CP2": 2},
    }


def test_many_charge_points_cause_few_lines_and_bounded_memory(stream):
    setup_logging(Settings(log_format="json"), stream)
    limiter = LineLimiter(1.0, lambda: 0.0)
    for number in range(5000):
        limited(log, logging.WARNING, "unknown", "refused", fields={"cp_id": f"CP{number}"}, limiter=limiter)
    limiter.report()
    *passed, report = lines(stream)
    assert len(passed) == MAX_LINES
    assert report["extra"]["left_out"] == 5000 - MAX_LINES
    assert len(report["extra"]["left_out_by_cp_id"]) <= 20


def test_a_limiter_remembers_a_bounded_number_of_keys():
    limiter = Limiter(60.0)
    for key in range(5000):
        limiter.passes(key)
    assert len(limiter._known) <= 1000


def test_a_dead_collector_is_one_line_a_minute():
    now = [0.0]
    calm = RepeatFilter(Limiter(SDK_EVERY_S, lambda: now[0]))
    said = logging.makeLogRecord({"name": "opentelemetry.exporter.otlp", "msg": "Failed to export"})
    ours = logging.makeLogRecord({"name": "wattspan.store", "msg": "x"})
    assert [calm.filter(said), calm.filter(said), calm.filter(ours), calm.filter(ours)] == [True, False, True, True]
    now[0] = SDK_EVERY_S
    assert calm.filter(said)


def test_the_service_is_as_opentelemetry_names_it(monkeypatch, stream):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "depot")
    setup_logging(Settings(log_format="json"), stream)
    log.warning("x")
    assert lines(stream)[0]["service"] == "depot"
    assert json.loads(JsonFormatter("s").format(logging.makeLogRecord({"msg": "m"})))["service"] == "s"
