import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, TraceIdRatioBased

from support.recorders import HASH, NOW_TS, NS, Kept, api, attributes, closed, hot, phase, transaction
from wattspan.domain.model import TimelineEntry
from wattspan.telemetry.sessions import SESSIONS_LOG, SessionSpans, phases


@pytest.fixture(params=[hot, api], ids=["hot", "api"])
def recording(request):
    return request.param()


def names(session):
    return [(each.name, each.began_ts - NOW_TS, each.ended_ts - NOW_TS) for each in phases(session)]


def test_each_phase_lasts_until_the_next_and_the_last_until_the_end():
    session = closed(phase(0, "preparing"), phase(10, "charging"), phase(50, "finishing"), lasted_s=60)
    assert names(session) == [("preparing", 0, 10), ("charging", 10, 50), ("finishing", 50, 60)]


def test_equal_phases_in_a_row_are_one():
    session = closed(phase(0, "charging"), phase(10, "charging"), phase(20, "charging"), lasted_s=60)
    assert names(session) == [("charging", 0, 60)]


def test_a_phase_told_out_of_order_or_after_the_end_stays_inside_the_session():
    session = closed(phase(20, "charging"), phase(5, "preparing"), phase(99, "finishing"), lasted_s=60)
    assert names(session) == [("preparing", 0, 20), ("charging", 20, 60)]


def test_a_phase_that_took_no_time_is_none():
    session = closed(phase(0, "preparing"), phase(10, "suspended by EV"), phase(10, "charging"), lasted_s=60)
    assert names(session) == [("preparing", 0, 10), ("charging", 10, 60)]


def test_a_session_without_a_story_has_no_phases():
    assert names(closed(lasted_s=60)) == []


def test_the_session_has_the_ids_that_were_given_out_at_its_start(recording):
    session = closed(phase(0, "charging"))
    recording.recorder.session_stopped(session)
    span = recording.span("charging session")
    assert int.from_bytes(span.trace_id) == session.trace_id
    assert int.from_bytes(span.span_id) == session.span_id
    assert not span.parent_span_id


def test_the_session_is_back_dated_and_its_phases_are_its_children(recording):
    session = closed(phase(0, "preparing"), phase(60, "charging"), lasted_s=8 * 3600)
    recording.recorder.session_stopped(session)
    root, child = recording.span("charging session"), recording.span("charging")
    assert root.start_time_unix_nano == NOW_TS * NS
    assert root.end_time_unix_nano - root.start_time_unix_nano == 8 * 3600 * NS
    assert (child.trace_id, child.parent_span_id) == (root.trace_id, root.span_id)
    assert child.start_time_unix_nano - root.start_time_unix_nano == 60 * NS
    assert child.end_time_unix_nano == root.end_time_unix_nano


def test_the_session_tells_its_figures_and_must_be_kept(recording):
    session = closed(phase(0, "charging"))
    session.meter.read(0.0)
    session.meter.read(7200.0)
    recording.recorder.session_stopped(session)
    place = {"cp_id": "CP1", "connector_id": "2", "ocpp.transaction_id": "4711", "csms.force_sample": True}
    assert attributes(recording.span("charging session")) == place | {
        "ocpp.energy_wh": 7200.0,
        "ocpp.energy.quality": "reported",
        "ocpp.session.messages": 0,
        "ocpp.id_token_hash": HASH("secret-tag"),
        "ocpp.reason": "EVDisconnected",
    }
    assert attributes(recording.span("charging")) == place


def test_the_session_tells_what_overruled_the_charger_s_registers(recording):
    session = closed(phase(0, "charging"))
    session.energy_correction = session.meter.settle(None)
    recording.recorder.session_stopped(session)
    assert attributes(recording.span("charging session"))["ocpp.energy.quality"] == "stop_missing"


def test_all_else_that_happened_is_an_event_at_its_time(recording):
    session = closed(
        phase(0, "charging"),
        TimelineEntry(NOW_TS + 30, "disconnected", {"ws.close_code": 1006}),
        TimelineEntry(NOW_TS + 90, "reconnected", {}),
    )
    recording.recorder.session_stopped(session)
    first, second = recording.span("charging session").events
    assert (first.name, first.time_unix_nano, attributes(first)) == (
        "disconnected",
        int(NOW_TS + 30) * NS,
        {"ws.close_code": 1006},
    )
    assert second.name == "reconnected"


def emitted(recording):
    """The bounds of the emitted phases by span id, in seconds since the begin."""
    return {
        span.span_id: (span.name, span.start_time_unix_nano / NS - NOW_TS, span.end_time_unix_nano / NS - NOW_TS)
        for span in recording.spans()
        if span.name != "charging session"
    }


def stop(session, lasted_s):
    session.stopped_received_ts = NOW_TS + lasted_s


def test_a_phase_is_emitted_when_it_ends_and_not_again_at_the_end_of_the_session(recording):
    session = transaction(timeline=[phase(0, "preparing"), phase(10, "charging")])
    recording.recorder.phase_ended(session)
    assert list(emitted(recording).values()) == [("preparing", 0, 10)]
    recording.kept.spans.clear()
    stop(session, 60)
    recording.recorder.session_stopped(session)
    assert list(emitted(recording).values()) == [("charging", 10, 60)]


def test_a_phase_that_the_stop_cuts_short_is_not_emitted_again(recording):
    session = transaction(timeline=[phase(0, "charging"), phase(61, "finishing")])
    recording.recorder.phase_ended(session)
    stop(session, 60)
    recording.recorder.session_stopped(session)
    assert list(emitted(recording).values()) == [("charging", 0, 61)]


def test_a_phase_that_two_nodes_emit_is_one_span_and_with_another_end_another_span(recording):
    """A node that was paused emits a phase although it lost the session; its successor never had the status."""
    north, south = (transaction(timeline=[phase(0, "charging")]) for _ in range(2))
    for session in (north, south):
        session.add_timeline_entry(phase(20, "suspended by EV"))
        recording.recorder.phase_ended(session)
    stop(south, 60)
    recording.recorder.session_stopped(south)
    north.add_timeline_entry(phase(30, "charging"))
    recording.recorder.phase_ended(north)
    assert sorted(emitted(recording).values()) == [
        ("charging", 0, 20),
        ("suspended by EV", 20, 30),
        ("suspended by EV", 20, 60),
    ]


def test_an_open_session_is_not_told(recording):
    session = closed()
    session.stopped_received_ts = None
    recording.recorder.session_stopped(session)
    assert recording.kept.spans == []


def test_the_duration_has_the_session_as_its_exemplar(recording):
    session = closed(lasted_s=1200)
    recording.clock.pass_s(1200)
    recording.recorder.session_stopped(session)
    (metric,) = (each for each in recording.metrics() if each.name == "ocpp_tx_duration_seconds")
    (point,) = metric.histogram.data_points
    assert (point.count, point.sum) == (1, 1200)
    assert [int.from_bytes(each.trace_id) for each in point.exemplars] == [session.trace_id]


@pytest.mark.parametrize("make", [hot, api])
def test_a_session_that_is_sampled_out_is_told_nowhere_but_counted(make):
    recording = make(ALWAYS_OFF)
    recording.recorder.session_stopped(closed(phase(0, "charging")))
    (metric,) = (each for each in recording.metrics() if each.name == "ocpp_tx_duration_seconds")
    assert recording.kept.spans == []
    assert metric.histogram.data_points[0].exemplars == []


def test_a_ratio_judges_a_session_by_the_trace_id_alone_so_every_process_says_the_same():
    sessions = [closed(transaction_id=str(number)) for number in range(200)]
    told = []
    for _ in range(2):
        recording = hot(TraceIdRatioBased(0.5))
        for session in sessions:
            recording.recorder.session_stopped(session)
        told.append({int.from_bytes(span.trace_id) for span in recording.spans()})
    assert told[0] == told[1]
    assert 60 < len(told[0]) < 140


class Asked(Sampler):
    """Keeps nothing, or everything, and counts how often it was asked about sessions."""

    def __init__(self, keeps: bool) -> None:
        self.keeps = keeps
        self.sessions = 0

    def should_sample(self, parent_context, trace_id, name, *args, **kwargs):
        self.sessions += name == "charging session"
        sampler = ALWAYS_ON if self.keeps else ALWAYS_OFF
        return sampler.should_sample(parent_context, trace_id, name, *args, **kwargs)

    def get_description(self):
        return "asked"


def running(recording, *names):
    """Return an open session that came into these phases, a minute each."""
    session = transaction()
    for number, name in enumerate(names):
        session.add_timeline_entry(phase(60 * number, name))
        recording.recorder.phase_ended(session)
    return session


@pytest.mark.parametrize("make", [hot, api])
@pytest.mark.parametrize("keeps", [True, False])
def test_whether_a_session_is_kept_is_decided_once_at_its_start(make, keeps):
    sampler = Asked(keeps)
    recording = make(sampler)
    session = running(recording, "preparing", "charging", "suspended by EV")
    assert session.sampled is keeps
    assert sampler.sessions == 1
    assert [span.name for span in recording.kept.spans] == (["preparing", "charging"] if keeps else [])


@pytest.mark.parametrize("make", [hot, api])
@pytest.mark.parametrize("keeps", [True, False])
def test_the_decision_of_the_start_holds_under_another_sampler(make, keeps):
    """After a restart with another ratio, the phases that were exported keep their parent, and the others none."""
    session = running(make(Asked(keeps)), "preparing", "charging")
    recording = make(Asked(not keeps))
    session.add_timeline_entry(phase(120, "suspended by EV"))
    recording.recorder.phase_ended(session)
    session.stopped_received_ts = NOW_TS + 180
    recording.recorder.session_stopped(session)
    assert [span.name for span in recording.kept.spans] == (
        ["charging", "suspended by EV", "charging session"] if keeps else []
    )
    assert all(attributes(span)["csms.force_sample"] for span in recording.spans())


def test_with_a_foreign_provider_the_trace_is_whole_under_ids_of_its_own():
    kept = Kept()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(kept)
    session = closed(phase(0, "charging"))
    ids = SessionSpans(provider.get_tracer("t"), None, HASH).emit(session)
    child, root = kept.spans
    assert ids == (root.context.trace_id, root.context.span_id)
    assert child.parent == root.context
    assert root.context.trace_id != session.trace_id


def test_the_end_of_a_session_is_logged_within_its_trace(recording, caplog):
    with caplog.at_level(logging.INFO, SESSIONS_LOG):
        recording.recorder.session_stopped(closed())
    (record,) = caplog.records
    assert record.transaction_id == "4711"
    assert "SECRET-TAG" not in record.getMessage()
