import pytest

from wattspan.csms.security.backoff import Backoff, source_network


def backoff() -> Backoff[str]:
    return Backoff(free=3, first_s=2.0, longest_s=10.0, forget_s=100.0, max_keys=5)


def test_each_failure_beyond_the_free_ones_locks_for_twice_as_long_up_to_the_longest() -> None:
    subject, now_s, waits = backoff(), 0.0, []
    for number in range(7):
        assert subject.failed("key", now_s) == (number >= 2)
        waits.append(subject.wait_s("key", now_s))
        now_s += waits[-1]
    assert waits == [0.0, 0.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_key_starts_afresh_when_it_is_forgotten_or_has_not_failed_for_long() -> None:
    subject = backoff()
    for _ in range(3):
        subject.failed("key", 0.0)
    subject.forget("key")
    assert subject.wait_s("key", 0.0) == 0.0
    for _ in range(3):
        subject.failed("key", 0.0)
    assert not subject.failed("key", 101.0)


def test_the_least_recent_failures_are_forgotten_first() -> None:
    subject = backoff()
    for number in range(9):
        subject.failed(f"key {number}", 0.0)
        subject.failed("key 0", 0.0)
        subject.failed("key 0", 0.0)
    assert len(subject) == 5
    assert subject.wait_s("key 0", 0.0) > 0.0


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_network(address: str, source: str) -> None:
    assert source_network(address) == source
