from wattspan.api.access.lockout import FORGET_S, FREE, FREE_OF_SOURCE, LONGEST_S, MAX_KEYS, Lockout


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_each_failure_beyond_the_free_ones_locks_for_twice_as_long_up_to_a_quarter_of_an_hour() -> None:
    clock = Clock()
    lockouts: list[tuple[str, str, float]] = []
    lockout = Lockout(clock, lambda *lock: lockouts.append(lock))
    waits = []
    for _ in range(FREE + 12):
        lockout.failed("sam", f"source {len(waits)}")
        waits.append(lockout.wait_s("SAM", "elsewhere"))
        clock.now_s += waits[-1]
    assert waits[: FREE - 1] == [0.0] * (FREE - 1)
    assert waits[FREE - 1 : FREE + 3] == [2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == LONGEST_S
    assert lockouts[0] == ("sam", f"source {FREE - 1}", 2.0)
    assert len(lockouts) == 13


def test_a_success_clears_the_name_and_not_the_source() -> None:
    clock = Clock()
    lockout = Lockout(clock, lambda *_: None)
    for number in range(FREE_OF_SOURCE):
        lockout.failed(f"name {number}", "source")
    lockout.succeeded("name 0")
    assert lockout.wait_s("name 0", "source") > 0.0
    assert lockout.wait_s("name 0", "elsewhere") == 0.0


def test_after_an_hour_without_failures_all_begins_anew() -> None:
    clock = Clock()
    lockout = Lockout(clock, lambda *_: None)
    for _ in range(FREE):
        lockout.failed("sam", "source")
    clock.now_s += FORGET_S + LONGEST_S
    lockout.failed("sam", "source")
    assert lockout.wait_s("sam", "source") == 0.0


def test_what_is_remembered_is_bounded() -> None:
    lockout = Lockout(Clock(), lambda *_: None)
    for number in range(MAX_KEYS + 10):
        lockout.failed(f"name {number}", f"source {number}")
    assert len(lockout._names) == len(lockout._sources) == MAX_KEYS


def test_addresses_of_one_ipv6_network_are_one_source() -> None:
    lockout = Lockout(Clock(), lambda *_: None)
    for number in range(FREE_OF_SOURCE):
        lockout.failed(f"name {number}", f"2001:db8:0:1::{number:x}")
    assert lockout.wait_s("sam", "2001:db8:0:1:ffff::1") > 0.0
    assert lockout.wait_s("sam", "2001:db8:0:2::1") == 0.0
    assert lockout.wait_s("sam", "::ffff:192.0.2.1") == 0.0
