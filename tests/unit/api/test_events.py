"""Events as the API sends them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from wattspan.api.events import FORMER_NAMES, EventFeed, Listener, event_stream_text, json_of
from wattspan.domain import events as ev
from wattspan.domain.erased_token import ErasedToken
from wattspan.domain.events import Event, EventStreamReceived, HeartbeatReceived
from wattspan.domain.fleet import Fleet


def parsed(text: bytes) -> list[dict[str, str]]:
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.decode().strip().split("\n\n")]


def received() -> Event:
    return EventStreamReceived(cp_id="CP1", received_ts=1.0, stream_id=1, value="3", reported_ts=2.0, count=2)


def test_an_event_with_a_former_name_is_sent_under_both_and_resumed_from_by_the_first() -> None:
    new, former = parsed(event_stream_text("EventStreamReceived", json_of(received()), "a-1"))
    assert (new["event"], new["id"]) == ("EventStreamReceived", "a-1")
    assert former["event"] == "EventStreamTold"
    assert "id" not in former
    assert json.loads(new["data"]) == json.loads(former["data"])


def test_every_other_event_is_sent_once() -> None:
    beat = json_of(HeartbeatReceived(cp_id="CP1", received_ts=1.0))
    (only,) = parsed(event_stream_text("HeartbeatReceived", beat, "a-1"))
    assert only["event"] == "HeartbeatReceived"


def test_the_time_of_a_report_has_its_former_key_too() -> None:
    shown = json_of(received())
    assert shown["reported_at"] == shown["told_at"] == "1970-01-01T00:00:02.000Z"
    assert shown["received_at"] == "1970-01-01T00:00:01.000Z"


def test_every_former_name_is_of_an_event_that_exists() -> None:
    assert all(hasattr(ev, name) for name in FORMER_NAMES)


class Shared:
    """A stream of all nodes that a test delivers itself; `away`: it takes nothing."""

    wants_figures = False

    def __init__(self) -> None:
        self.appended: list[Event] = []
        self.away = False
        self.forgotten = False

    def append(self, event: Event, lost: Callable[[], None]) -> None:
        if self.away:
            lost()
        else:
            self.appended.append(event)

    def send_figures(self, figures: Sequence[Mapping[str, Any]]) -> None:
        raise AssertionError("nobody listens elsewhere")

    def forget(self) -> None:
        self.forgotten = True


def connected(feed: EventFeed, last_id: str | None = None) -> Listener:
    return feed.listen(None, last_id, "robin")


def sent(listener: Listener) -> list[dict[str, str]]:
    found = []
    while not listener.queue.empty():
        found += parsed(listener.queue.get_nowait())
    return found


def shared_feed(kept: int = 3) -> tuple[EventFeed, Shared]:
    feed, shared = EventFeed(Fleet()), Shared()
    feed.shared = shared
    feed.reset("stream", [(number, "CP1", "ChargePointBooted", b'{"n":%d}' % number) for number in range(1, kept + 1)])
    return feed, shared


def test_an_event_of_a_cluster_reaches_listeners_by_way_of_the_shared_stream() -> None:
    feed, shared = shared_feed()
    listener = connected(feed)
    feed.publish(received())
    assert len(shared.appended) == 1
    assert sent(listener) == []
    feed.deliver(4, "CP1", "ChargePointBooted", b"{}")
    assert [each["id"] for each in sent(listener)] == ["stream-4"]


def test_while_the_shared_stream_is_away_listeners_get_this_nodes_events_without_ids() -> None:
    feed, shared = shared_feed()
    listener, shared.away = connected(feed), True
    feed.publish(HeartbeatReceived(cp_id="CP1", received_ts=1.0))
    assert [(each["event"], "id" in each) for each in sent(listener)] == [("HeartbeatReceived", False)]


def test_a_client_resumes_from_what_the_stream_had_before_this_node_began() -> None:
    feed, _ = shared_feed()
    assert [each["id"] for each in sent(connected(feed, "stream-1"))] == ["stream-2", "stream-3"]


@pytest.mark.parametrize("last_id", ["other-2", "stream-0", "stream", "nonsense"])
def test_an_unknown_id_gets_a_reset(last_id: str) -> None:
    feed, _ = shared_feed()
    feed.reset("stream", [(7, "CP1", "ChargePointBooted", b"{}")])
    assert [each["event"] for each in sent(connected(feed, last_id))] == ["Reset"]


def test_a_stream_that_was_lost_is_a_reset_for_everybody_and_nobody_resumes_from_it() -> None:
    feed, _ = shared_feed()
    listener = connected(feed)
    feed.reset("new", [])
    assert [each["event"] for each in sent(listener)] == ["Reset"]
    assert [each["event"] for each in sent(connected(feed, "stream-3"))] == ["Reset"]
    assert [each["event"] for each in sent(connected(feed, "new-1"))] == ["Reset"]


def test_an_erased_token_takes_the_shared_events_with_it() -> None:
    feed, shared = shared_feed()
    feed.erase(ErasedToken("A1", "erased-1"))
    assert shared.forgotten
