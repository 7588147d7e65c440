"""What power, measured beside a register, says of the register's unit. It knows branches of readings, no connector."""

from wattspan.domain.branches import KILO, MILLI, MIN_ELAPSED_S, STEP_WH, Branch

UNIT_RATIO = (250.0, 4_000.0)
"""How far measured power and register differ where the unit of one of them is wrong by 1,000."""
CHARGING_W = (1_000.0, 1_000_000.0)
"""Vehicles hardly charge slower or faster. Where power and register contradict each other, the one outside is wrong."""
DECIDING_VOTES = 2
"""So many rises beside measured power decide the unit."""
TOO_FAST, TOO_SLOW, AGREES = "too fast", "too slow", "agrees"
"""What measured power says of a register's rise."""


def unit_vote(
    branch: Branch, gain_wh: float, register_wh: float, ts: float | None, power_w: float | None
) -> str | None:
    """Compare a rise of a branch with the power measured beside it; None: that says nothing of the unit."""
    slowest_w, fastest_w = CHARGING_W
    last_ts = branch.last_ts
    if power_w is None or not slowest_w <= power_w <= fastest_w:
        return None
    if ts is None or last_ts is None or ts - last_ts < MIN_ELAPSED_S:
        return None
    expected_wh = power_w * (ts - last_ts) / 3600.0
    step_wh = STEP_WH * branch.factor if register_wh % STEP_WH == 0.0 else 0.0
    low, high = UNIT_RATIO
    if low <= (gain_wh - step_wh) / expected_wh <= high:
        return TOO_FAST
    if gain_wh > 0.0 and low <= expected_wh / gain_wh <= high:
        return TOO_SLOW
    return AGREES if gain_wh > 0.0 and expected_wh / low < gain_wh < expected_wh * low else None


class UnitVotes:
    """What measured power has shown so far of a session's units: that of its register, and that of power itself."""

    __slots__ = ("agreements", "known", "power_factor", "power_votes", "votes")

    def __init__(self) -> None:
        self.known = False
        """Whether the register's unit is beyond doubt."""
        self.votes = 0
        """Rises in a row that were too fast for the unit; negative: too slow."""
        self.agreements = 0
        """Rises in a row that fit the unit."""
        self.power_votes = 0
        """As `votes`, of power."""
        self.power_factor = 1.0
        """What measured power is multiplied by, because its unit is not what its label says."""

    @property
    def in_doubt(self) -> bool:
        """Whether a unit may be about to change."""
        return self.votes != 0 or (self.power_votes != 0 and self.power_factor == 1.0)

    def judge(self, branch: Branch, register_wh: float, ts: float | None, power_w: float | None) -> None:
        """Compare the rise since a branch's last reading with the power measured beside it.

        Two rises show whether the unit is right. A reading that falls back shows that the one before it was wrong.
        """
        gain_wh, last_ts = register_wh * branch.factor - branch.last_wh, branch.last_ts
        if gain_wh < 0.0:
            self.votes = min(0, self.votes)
        if power_w is None or power_w < 1.0 or ts is None or last_ts is None or ts - last_ts < MIN_ELAPSED_S:
            return
        slowest_w, fastest_w = CHARGING_W
        if not slowest_w <= power_w <= fastest_w:
            self._judge_power(gain_wh * 3600.0 / (ts - last_ts), power_w)
            return
        vote = unit_vote(branch, gain_wh, register_wh, ts, power_w)
        if vote == TOO_FAST:
            self.votes = max(1, self.votes + 1)
        elif vote == TOO_SLOW and branch.count:
            self.votes = min(-1, self.votes - 1)
        elif vote == AGREES:
            # A single one may be chance: a reading that is wrong by itself.
            self.agreements = self.agreements + 1 if branch.count and self.votes == 0 else 0
            self.known = self.agreements >= DECIDING_VOTES
            self.votes = 0

    def decided(self) -> float | None:
        """Return what the register must be multiplied by, or None while nothing is decided."""
        if abs(self.votes) < DECIDING_VOTES:
            return None
        return MILLI if self.votes > 0 else KILO

    def decide(self) -> None:
        """Doubt the register's unit no longer."""
        self.known = True
        self.votes = 0

    def _judge_power(self, rate_w: float, power_w: float) -> None:
        """Compare a power at which hardly any vehicle charges with a register that rises at a usual one, `rate_w`."""
        (slowest_w, fastest_w), (low, high) = CHARGING_W, UNIT_RATIO
        if self.power_factor != 1.0 or not slowest_w <= rate_w <= fastest_w:
            return
        if low <= power_w / rate_w <= high:
            self.power_votes = max(1, self.power_votes + 1)
        elif low <= rate_w / power_w <= high:
            self.power_votes = min(-1, self.power_votes - 1)
        if abs(self.power_votes) >= DECIDING_VOTES:
            self.power_factor = MILLI if self.power_votes > 0 else KILO
