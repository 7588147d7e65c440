"""Events as the API sends them."""

import json

from wattspan.api.events import FORMER_NAMES, event_stream_text, json_of
from wattspan.domain import events as ev
from wattspan.domain.events import Event, EventStreamReceived, HeartbeatReceived


def parsed(text: bytes) -> list[dict[str, str]]:
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.decode().strip().split("\n\n")]


def received() -> Event:
    return EventStreamReceived(cp_id="CP1", received_ts=1.0, stream_id=1, value="3", reported_ts=2.0, count=2)


def test_an_event_with_a_former_name_is_sent_under_both_and_resumed_from_by_the_first() -> None:
    new, former = parsed(event_stream_text("EventStreamReceived", received(), "a-1"))
    assert (new["event"], new["id"]) == ("EventStreamReceived", "a-1")
    assert former["event"] == "EventStreamTold"
    assert "id" not in former
    assert json.loads(new["data"]) == json.loads(former["data"])


def test_every_other_event_is_sent_once() -> None:
    (only,) = parsed(event_stream_text("HeartbeatReceived", HeartbeatReceived(cp_id="CP1", received_ts=1.0), "a-1"))
    assert only["event"] == "HeartbeatReceived"


def test_the_time_of_a_report_has_its_former_key_too() -> None:
    shown = json_of(received())
    assert shown["reported_at"] == shown["told_at"] == "1970-01-01T00:00:02.000Z"
    assert shown["received_at"] == "1970-01-01T00:00:01.000Z"


def test_every_former_name_is_of_an_event_that_exists() -> None:
    assert all(hasattr(ev, name) for name in FORMER_NAMES)
