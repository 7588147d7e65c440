"""Whether a reading with an old timestamp is a replay of the past, or comes from a clock that is behind. Nothing else.

A clock that is behind (local time labelled Z, never set since 2020) advances as fast as ours. A replay does not: it
covers hours within moments. So the first reading with an old timestamp counts as past, and the next one shows which it
was. `clock_offset` decides the same of statuses, which are rarely replayed.
"""

from typing import NamedTuple

REPLAY_S = 300.0
"""A charger's timestamp older than this, against our clock, is a replay of the past rather than a small clock error."""
DRIFT_S = 60.0
"""How far the intervals of the two clocks may differ between two messages: the time a message may take."""

CLOCK_OFF_S = 60.0
"""A clock that differs from ours by more is wrong."""
SURE_AFTER_S = 5.0
"""How long after a message of the past another one with the same offset shows that the clock is behind."""


class ClockSkew:
    """The timestamps of the last messages about a connector whose timestamps were old."""

    __slots__ = ("_before", "_last")

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None

    def is_past(self, measured_ts: float | None, received_ts: float) -> bool:
        """Return whether a reading of `measured_ts`, the charger's time, is a replay and not a current value.

        False where there is no credible time (None). Readings of one message share `received_ts`; each is compared with
        the message before.
        """
        if measured_ts is None or measured_ts >= received_ts - REPLAY_S:
            return False
        if self._last is None or self._last[1] != received_ts:
            self._before = self._last
        self._last = (measured_ts, received_ts)
        if self._before is None:
            return True
        before_measured_ts, before_received_ts = self._before
        measured_s, passed_s = measured_ts - before_measured_ts, received_ts - before_received_ts
        return abs(passed_s - measured_s) > min(measured_s / 2, DRIFT_S)


class ClockOffset(NamedTuple):
    """How far a charge point's clock is ahead of ours, over CLOCK_OFF_S either way, and since when that was seen."""

    ahead_s: float
    since_ts: float
    is_certain: bool
    """False for one old message: it may have been kept while the charge point was offline."""


def clock_offset(before: ClockOffset | None, charger_ts: float, received_ts: float) -> ClockOffset | None:
    """Return the offset after a message of `charger_ts` that should be current; None: the clock is right.

    No message comes from the future. Messages of the past may be replays, but those of a clock that is behind have the
    same offset again and again.
    """
    ahead_s = charger_ts - received_ts
    if abs(ahead_s) <= CLOCK_OFF_S:
        return None
    if before is None or abs(before.ahead_s - ahead_s) > CLOCK_OFF_S:
        return ClockOffset(ahead_s, received_ts, ahead_s > 0)
    return ClockOffset(ahead_s, before.since_ts, ahead_s > 0 or received_ts - before.since_ts >= SURE_AFTER_S)


def is_older(shown_ts: float | None, measured_ts: float | None, received_ts: float) -> bool:
    """Return whether a reading of OCPP 2.x is a replay: old, and older than the one shown.

    A 2.x charger marks messages about offline times itself, so the two clocks need not be compared.
    """
    return (
        shown_ts is not None
        and measured_ts is not None
        and measured_ts < shown_ts
        and measured_ts < received_ts - REPLAY_S
    )
