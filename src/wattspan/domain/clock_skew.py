"""Whether a reading of long ago is a replay of the past, or comes from a clock that is behind. It judges nothing else.

A clock that is behind (local time labelled Z, never set since 2020) keeps pace with ours. A replay does not: it tells
hours within a moment. So the first reading of long ago counts as past, and the next one shows which it was.
"""

REPLAY_S = 300.0
"""A charger's time older than this, against ours, is a replay of the past rather than a clock that is a little off."""
DRIFT_S = 60.0
"""How much a clock that keeps pace may be off between two messages: the time a message took."""


class ClockSkew:
    """The times of a connector's last messages that told of long ago."""

    __slots__ = ("_before", "_last")

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None

    def is_past(self, told_ts: float | None, received_ts: float) -> bool:
        """Whether what was measured at `told_ts` (None: no credible time) says nothing of now. Readings of one message
        share `received_ts`, and each is compared to the message before.
        """
        if told_ts is None or told_ts >= received_ts - REPLAY_S:
            return False
        if self._last is None or self._last[1] != received_ts:
            self._before = self._last
        self._last = (told_ts, received_ts)
        if self._before is None:
            return True
        before_told_ts, before_received_ts = self._before
        told_s, passed_s = told_ts - before_told_ts, received_ts - before_received_ts
        return abs(passed_s - told_s) > min(told_s / 2, DRIFT_S)


def is_older(shown_ts: float | None, told_ts: float | None, received_ts: float) -> bool:
    """The same for OCPP 2.x, where a charger says itself what happened offline: what is older than what is shown."""
    return shown_ts is not None and told_ts is not None and told_ts < shown_ts and told_ts < received_ts - REPLAY_S
