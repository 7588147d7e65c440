"""Branches of meter readings: runs of registers that continue each other. It knows numbers and charger times only.

A meter usually has one branch. A register that does not continue it begins others, one for each interpretation (a
reset, another register, another unit), until the following readings show which one holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

JUMP_WH = 10_000.0
"""Two readings of one transaction that are further apart than this are a jump."""
MAX_GAIN_WH = 1_000_000.0
"""No vehicle takes this much between two readings, whatever the time between them."""
MAX_RELATIVE_WH = 200_000.0
"""A register that counts from the start of the session never begins with more than this."""
MAX_POWER_W = 4_000_000.0
"""The most that any charger delivers."""
MAX_CURRENT_A = 10_000.0
"""No connector carries more."""
MIN_ELAPSED_S = 10.0
"""Nothing is concluded from the power between two readings that are closer together than this."""
STEP_WH = 1_000.0
"""One step of a register that shows whole kWh."""
JITTER_WH = 100.0
"""A register at most this far below the last one is noise."""
LIFETIME_WH = 100_000.0
"""From here on it can't be chance that a reading, in another unit, continues the register of the start."""
KNOWN_START_WH = 1_000.0
"""From here on it can't be chance that the first reading, in another unit, continues the start."""

MAX_LIFETIME_WH = 1e9
"""The register of no charger's meter exceeds this."""
ENDS_CREDIBLE_WH = 50_000.0
"""Start in kWh, or readings in Wh labelled kWh? Who takes less than this by then has the start in kWh."""

ROLLOVERS_WH = (65_536_000.0, 1e7, 1e8, 1e9, 2.0**32)
"""Where registers begin again from 0: 16 bits of kWh, seven to nine digits or 32 bits of Wh."""

KILO, MILLI = 1000.0, 0.001

MAIN = "main"
"""Continues the register of the start."""
RESET = "reset"
"""Counts from 0: since the start of the session, or since a reset in its middle."""
MOVED = "moved"
"""Another register, whose difference from the one before is unknown."""
UNIT = "unit"
"""Continues the register of the start in another unit than its label says."""
ENDS = "ends"
"""Continues the register of the start if that was sent in kWh."""


def possible(value: float | None, limit: float) -> float | None:
    """Return a measured value; a thousandth of it if only that is within the limit, None if neither is.

    Beyond the limit, the unit is wrong: W labelled kW, or mA labelled A.
    """
    if value is None or -limit <= value <= limit:
        return value
    value *= MILLI
    return value if -limit <= value <= limit else None


def left_to_rollover_wh(last_wh: float, limit_wh: float) -> float | None:
    """Return how far a register is below its highest value, where it begins again from 0; None if over `limit_wh`."""
    return next((highest - last_wh for highest in ROLLOVERS_WH if 0.0 < highest - last_wh <= limit_wh), None)


def reach_wh(since_ts: float | None, at_ts: float | None, max_w: float = MAX_POWER_W) -> float:
    """Return the most that can be delivered between two times of the charger's clock, allowing one step of a register.

    None: the time is not credible. Times that are too close together give infinity: they prove nothing.
    """
    if since_ts is None or at_ts is None or at_ts - since_ts < MIN_ELAPSED_S:
        return inf
    return max_w * (at_ts - since_ts) / 3600.0 + STEP_WH


@dataclass(slots=True)
class Branch:
    """A run of registers. `base_wh` had been delivered when the register was at `origin_wh`.

    Registers are in Wh, after `factor` was applied to the label's unit. `first_wh` is the lowest reading, nearly always
    the first; `count` is the number of readings. `step_wh` is the largest rise, up to JUMP_WH. `last_ts`: the charger's
    time of `last_wh`, None if it is not credible.
    """

    kind: str
    origin_wh: float
    base_wh: float
    first_wh: float
    last_wh: float
    last_ts: float | None
    factor: float = 1.0
    count: int = 0
    step_wh: float = 0.0

    @property
    def energy_wh(self) -> float:
        """The energy so far, by this branch; never negative."""
        return max(0.0, self.base_wh + max(0.0, self.last_wh - self.origin_wh))

    def gain_wh(self, register_wh: float, ts: float | None, max_w: float) -> float | None:
        """Return the change to a register as labelled; None if it does not continue this branch."""
        value_wh = register_wh * self.factor
        gain_wh = value_wh - self.last_wh
        if gain_wh >= 0.0:
            limit_wh = min(reach_wh(self.last_ts, ts, max_w), self._limit_wh)
            return gain_wh if gain_wh <= limit_wh else None
        return gain_wh if self._may_fall_to(value_wh, min(reach_wh(self.last_ts, ts), MAX_RELATIVE_WH)) else None

    @property
    def _limit_wh(self) -> float:
        return MAX_RELATIVE_WH if self.kind in (UNIT, ENDS) else MAX_GAIN_WH

    def _may_fall_to(self, value_wh: float, limit_wh: float) -> bool:
        """Return whether a lower register continues an earlier one, or is a net register that falls slowly."""
        rounding_wh = STEP_WH if self.factor > 1.0 else JITTER_WH
        if value_wh >= max(self.first_wh, self.origin_wh) - rounding_wh:
            return True
        if self.step_wh and self.last_wh - value_wh <= self.step_wh:
            return True
        is_below_start = value_wh < self.origin_wh - rounding_wh
        if is_below_start:
            return not self.step_wh and value_wh >= self.last_wh / 2 and self.last_wh - value_wh <= limit_wh
        return self.count <= 1 or value_wh >= self.last_wh / 2

    def add(self, register_wh: float, ts: float | None) -> None:
        """Append a register that continues this branch."""
        value_wh = register_wh * self.factor
        if not self.count:
            self.first_wh = value_wh
        elif value_wh < self.first_wh:
            self.first_wh = value_wh  # those before were wrong
        else:
            self.step_wh = max(self.step_wh, min(value_wh - self.last_wh, JUMP_WH))
        self.last_wh, self.count = value_wh, self.count + 1
        if ts is not None:
            self.last_ts = ts


def interpretations(
    current: Branch, register_wh: float, ts: float | None, max_w: float, *, unit_known: bool, ends_labelled: bool
) -> Iterator[Branch]:
    """Yield a branch for each interpretation of a register that does not continue `current`, beginning with it.

    `ends_labelled`: the register of the start has the same label as the readings, so both have the same wrong unit.
    """
    last_wh, factor = current.last_wh, current.factor
    register_wh *= factor
    reach = min(reach_wh(current.last_ts, ts, max_w), MAX_GAIN_WH)
    if register_wh < last_wh:
        if register_wh <= min(reach, MAX_RELATIVE_WH):
            left_wh = _left_wh(current) + (left_to_rollover_wh(last_wh, JUMP_WH - register_wh) or 0.0)
            yield Branch(RESET, 0.0, left_wh, register_wh, register_wh, ts, factor, 1)
        else:
            yield Branch(MOVED, register_wh, current.energy_wh, register_wh, register_wh, ts, factor, 1)
    elif current.count and register_wh - last_wh <= MAX_GAIN_WH:
        yield Branch(current.kind, current.origin_wh, current.base_wh, register_wh, register_wh, ts, factor, 1)
    else:
        yield Branch(MOVED, register_wh, current.energy_wh, register_wh, register_wh, ts, factor, 1)
    if unit_known or factor != 1.0:
        return
    for factor in (KILO, MILLI):
        unit = _in_other_unit(current, register_wh, ts, reach, factor, factor if ends_labelled else 1.0)
        if unit is not None:
            yield unit
    start_wh = current.origin_wh * KILO
    may_be_in_kwh = not ends_labelled and current.count == 0 and 0.0 < start_wh <= MAX_LIFETIME_WH
    if may_be_in_kwh and -STEP_WH <= register_wh - start_wh <= min(reach, MAX_RELATIVE_WH):
        yield Branch(ENDS, start_wh, 0.0, register_wh, register_wh, ts, 1.0, 1)


def _left_wh(branch: Branch) -> float:
    """Return the energy of a branch that a reset ended; a single reading that had jumped is no part of it."""
    is_spike = branch.count == 1 and branch.energy_wh - branch.base_wh > JUMP_WH
    return branch.base_wh if is_spike else branch.energy_wh


def _in_other_unit(
    current: Branch, register_wh: float, ts: float | None, reach: float, factor: float, scale: float
) -> Branch | None:
    """Return the branch of a register whose label is wrong by `factor`, the start's by `scale`; None if it can't be."""
    value_wh, origin_wh = register_wh * factor, current.origin_wh * scale
    before_wh = current.last_wh * scale
    if current.count and factor < 1.0:
        before_wh = current.last_wh * factor  # the readings before had the same label
        if before_wh < origin_wh - JITTER_WH:
            return None
    rounding_wh = STEP_WH if factor > 1.0 and register_wh % 1.0 == 0.0 else JITTER_WH
    if value_wh <= 0.0 or not -rounding_wh <= value_wh - before_wh <= min(reach, MAX_RELATIVE_WH):
        return None
    return Branch(UNIT, origin_wh, current.base_wh * scale, value_wh, value_wh, ts, factor, 1)


AS_LABELLED = 3
"""The preference of a branch whose label is right."""


def preference(branch: Branch, start: Branch) -> int:
    """Return how credible an interpretation is beside others that hold as well: lower is better.

    A label that may be right is changed only where the other unit continues a start that can't be chance.
    """
    is_close = branch.first_wh - branch.origin_wh <= JUMP_WH
    if branch.kind == UNIT and branch.factor > 1.0:
        has_fraction = branch.first_wh % KILO != 0.0
        return 0 if start.origin_wh >= LIFETIME_WH or (has_fraction and is_close) else 5
    if branch.kind == ENDS:
        return 1 if branch.energy_wh < ENDS_CREDIBLE_WH else 6
    if branch.kind == UNIT:
        return 2 if is_close and branch.origin_wh == start.origin_wh >= KNOWN_START_WH else 5
    return AS_LABELLED
