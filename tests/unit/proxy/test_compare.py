"""What counts as a different answer of a mirror, and what the report says of it."""

import pytest

from wattspan.domain.counters import ServerCounters
from wattspan.proxy.compare import MAX_ACTIONS, Answer, Comparison


def result(seconds: float = 0.01, **payload: object) -> Answer:
    return Answer.of([3, "m1", payload], seconds)


REFUSED = Answer.of([4, "m1", "NotImplemented", "", {}], 0.01)


@pytest.mark.parametrize(
    ("primary", "mirror", "kinds"),
    [
        (result(status="Accepted"), result(status="Accepted"), set()),
        (result(status="Accepted"), result(status="Rejected"), {"status"}),
        (result(idTagInfo={"status": "Accepted"}), result(idTagInfo={"status": "Blocked"}), {"status"}),
        (result(idTokenInfo={"status": "Accepted"}), result(), {"status"}),
        (result(currentTime="a"), result(currentTime="b"), set()),
        (result(), REFUSED, {"status"}),
        (REFUSED, REFUSED, set()),
        (result(status=7), result(status=[]), set()),
        (result(), Answer.missing(), {"missing"}),
        (result(0.01), result(0.12), {"slower"}),
        (result(0.01), result(0.09), set()),  # not 100 ms more
        (result(0.2), result(0.39), set()),  # not twice as long
        (result(0.01, status="Accepted"), result(3.0, status="Pending"), {"status", "slower"}),
    ],
)
def test_answers_differ_by_status_absence_or_time(primary, mirror, kinds):
    counters = ServerCounters(started_ts=0.0)
    Comparison(counters).compare("new:80", "BootNotification", primary, mirror)
    assert {kind for _, kind in counters.mirror_differences} == kinds


def test_the_report_has_a_line_for_each_action_and_examples_without_payloads():
    comparison = Comparison(ServerCounters(started_ts=0.0))
    for _ in range(3):
        comparison.compare("new:80", "Authorize", result(idTagInfo={"status": "Accepted"}), REFUSED)
    comparison.compare("new:80", "Heartbeat", result(0.002), result(0.004))
    head, authorize, example, heartbeat = comparison.report().splitlines()
    assert head.split()[:3] == ["mirror", "action", "compared"]
    assert authorize.split() == ["new:80", "Authorize", "3", "3", "0", "0", "10.0", "/", "10.0"]
    assert example.strip() == "3 x Accepted by the primary, CALLERROR NotImplemented by the mirror"
    assert heartbeat.split() == ["new:80", "Heartbeat", "1", "0", "0", "0", "2.0", "/", "4.0"]


def test_what_it_remembers_is_bounded():
    comparison = Comparison(ServerCounters(started_ts=0.0))
    for number in range(MAX_ACTIONS + 50):
        comparison.compare("new:80", f"Action{number}", result(status=f"a{number}"), result(status="b"))
        comparison.compare("new:80", "Action0", result(status=f"a{number}" * 90), result(status="b"))
    lines = comparison.report().splitlines()
    assert len(lines) < 3 * MAX_ACTIONS
    assert any(line.split()[1:3] == ["other", "50"] for line in lines)
