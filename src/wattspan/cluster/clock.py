"""The time by which a node dates everything: its own clock, or PostgreSQL's where its own is off.

A session that goes on at another node would otherwise end before it began, or last as long as the clocks are apart.
"""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

TOLERATED_S = 1.0
"""Seconds that a clock may differ from PostgreSQL's without being corrected. The clocks of machines that follow NTP
differ by milliseconds; a correction is a jump."""


class NodeClock:
    """Returns Unix nanoseconds. `measured` corrects it."""

    def __init__(self, own_ns: Callable[[], int] = time.time_ns) -> None:
        self._own_ns = own_ns
        self._correction_ns = 0

    def __call__(self) -> int:
        """Return the time, corrected to PostgreSQL's."""
        return self._own_ns() - self._correction_ns

    def own(self) -> float:
        """Return the time by this machine's clock, Unix seconds."""
        return self._own_ns() / 1e9

    def measured(self, ahead_s: float, error_s: float) -> None:
        """Take note of how far this machine's clock is ahead of PostgreSQL's, give or take `error_s`."""
        if abs(ahead_s - self._correction_ns / 1e9) <= TOLERATED_S + error_s:
            return
        corrects = abs(ahead_s) > TOLERATED_S
        self._correction_ns = round(ahead_s * 1e9) if corrects else 0
        if corrects:
            log.warning("this machine's clock is %.1f s ahead of PostgreSQL's, by which all is dated", ahead_s)
        else:
            log.info("this machine's clock agrees with PostgreSQL's again")
