"""The final energy of a transaction: the charger's own start and stop, unless they contradict themselves.

It owns what overrules them, and the reasons. The rule is in docs/metering.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from wattspan.domain.branches import (
    ENDS,
    JITTER_WH,
    JUMP_WH,
    KILO,
    MAIN,
    MAX_GAIN_WH,
    MAX_LIFETIME_WH,
    MAX_POWER_W,
    MAX_RELATIVE_WH,
    MOVED,
    RESET,
    STEP_WH,
    Branch,
    left_to_rollover_wh,
    reach_wh,
)

MAX_IN_KWH = 200.0
"""Ends that differ by at most this may be in kWh."""
AGREEING_READINGS = 2
"""So many readings contradict ends that show no energy."""

START_MISSING = "start_missing"
START_UNREACHABLE = "start_unreachable"
STOP_MISSING = "stop_missing"
STOP_UNREACHABLE = "stop_unreachable"
NO_ENERGY = "no_energy"
REGISTER_RESET = "register_reset"
REGISTER_CHANGED = "register_changed"
SESSION_RELATIVE = "session_relative"
WRONG_UNIT = "unit"
CORRECTIONS = (
    START_MISSING,
    START_UNREACHABLE,
    STOP_MISSING,
    STOP_UNREACHABLE,
    NO_ENERGY,
    REGISTER_RESET,
    REGISTER_CHANGED,
    SESSION_RELATIVE,
    WRONG_UNIT,
)
"""Why the energy of a transaction is not the difference of the registers that the charger sent for start and stop."""
REPORTED = "reported"
"""The energy is that difference."""

Result = tuple[float, str]
"""The energy, and why it is not the difference of the ends; "" if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The registers that the charger sent for start and stop, in Wh; None: it sent none.

    `start_ts`, `stop_ts`: the charger's times, None if they are not credible. `labelled`: their units are labelled like
    those of readings (2.x); `unit_changed`: the label was wrong.
    """

    start_wh: float | None
    stop_wh: float | None
    start_ts: float | None
    stop_ts: float | None
    labelled: bool
    unit_changed: bool

    @property
    def start(self) -> float:
        return self.start_wh or 0.0

    @property
    def stop(self) -> float:
        return self.stop_wh or 0.0

    @property
    def reported_wh(self) -> float:
        """The difference of the two, if both were sent."""
        return self.stop - self.start

    @property
    def reach_wh(self) -> float:
        """The most that can have been delivered between the two."""
        found = reach_wh(self.start_ts, self.stop_ts)
        return MAX_GAIN_WH if found == inf else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What the readings show: the branch of the last ones, that of the start, and undecided interpretations.

    `running_wh` is the provisional energy at the stop; without readings of a register, the sum of intervals.
    """

    current: Branch
    main: Branch
    rivals: tuple[Branch, ...]
    running_wh: float
    too_fast: bool
    """Whether measured power contradicts the readings: they rise some thousand times too fast."""

    @property
    def any(self) -> bool:
        return self.current.count > 0 or bool(self.rivals)

    def are_continued_by(self, ends: Ends) -> bool:
        """Return whether the register of the stop continues the last reading."""
        gain_wh = ends.stop - self.current.last_wh
        return -JITTER_WH <= gain_wh <= min(MAX_GAIN_WH, reach_wh(self.current.last_ts, ends.stop_ts))


def settle(ends: Ends, readings: Readings) -> Result:
    """Return the final energy of a transaction, and why it is not the difference of its ends."""
    for rule in _RULES:
        result = rule(ends, readings)
        if result is not None:
            return result
    return ends.reported_wh, WRONG_UNIT if ends.unit_changed else ""


def _stop_is_missing(ends: Ends, readings: Readings) -> Result | None:
    return (readings.running_wh, STOP_MISSING) if ends.stop_wh is None else None


def _start_is_missing(ends: Ends, readings: Readings) -> Result | None:
    """Return the energy since the first reading."""
    if ends.start_wh is not None:
        return None
    if not readings.any:
        return readings.running_wh, START_MISSING
    energy_wh, current = readings.running_wh, readings.current
    if readings.are_continued_by(ends):
        energy_wh = current.energy_wh + max(0.0, ends.stop - current.last_wh)
    elif current.origin_wh <= ends.stop <= current.last_wh:  # some readings were made after the stop
        energy_wh = max(energy_wh, current.base_wh + ends.stop - current.origin_wh)
    return energy_wh, "" if ends.labelled else START_MISSING


def _ends_are_in_kwh(ends: Ends, readings: Readings) -> Result | None:
    """Return the energy where readings show that both ends were sent in kWh, though 1.6 requires Wh."""
    reported = ends.reported_wh
    if ends.labelled or not 0.0 < reported <= MAX_IN_KWH or not readings.any or readings.too_fast:
        return None
    if readings.current.kind == MAIN and readings.current.count and readings.are_continued_by(ends):
        return None
    stop_wh, start_wh = ends.stop * KILO, ends.start * KILO
    seen = min((readings.current, *readings.rivals), key=lambda branch: abs(branch.last_wh / branch.factor - stop_wh))
    if seen.factor != 1.0 and -JITTER_WH <= ends.stop - seen.last_wh <= reach_wh(seen.last_ts, ends.stop_ts):
        return None  # the unit of the readings was wrong, and in the right one they fit the ends
    left_wh = stop_wh - seen.last_wh / seen.factor
    is_continued = seen.kind == ENDS and 0.0 <= left_wh <= reach_wh(seen.last_ts, ends.stop_ts, MAX_POWER_W / 4)
    first_wh, last_wh = seen.first_wh / seen.factor, seen.last_wh / seen.factor
    is_proven = (
        stop_wh <= MAX_LIFETIME_WH
        and last_wh > ends.stop  # else the ends fit the readings as they are
        and (is_continued or abs(left_wh) <= STEP_WH + reported * KILO / 2)
        and -STEP_WH <= first_wh - start_wh <= reported * KILO
        and reported * KILO <= reach_wh(ends.start_ts, ends.stop_ts, MAX_POWER_W / 4)
    )
    return (reported * KILO, WRONG_UNIT) if is_proven else None


def _another_branch_is_closer(ends: Ends, readings: Readings) -> Result | None:
    """Return the energy of a branch that the stop continues more closely than it continues the start's.

    Ends that are possible are overruled by two readings at least, beside the stop's own.
    """
    main, reported_wh = readings.main, ends.reported_wh
    is_possible = 0.0 <= reported_wh <= ends.reach_wh
    main_wh = ends.stop - main.last_wh if main.kind == MAIN else reported_wh
    for branch in (readings.current, *readings.rivals):
        gain_wh = ends.stop - branch.last_wh
        if branch.kind not in (RESET, MOVED) or not -JITTER_WH <= gain_wh <= MAX_GAIN_WH:
            continue
        if is_possible and not _contradicts(branch, ends, main):
            continue
        if reported_wh >= 0.0 and (branch.base_wh == 0.0 if branch.kind == RESET else branch.last_wh < main.last_wh):
            continue
        if reported_wh < 0.0 or main_wh < -JITTER_WH or gain_wh < main_wh:
            energy_wh = max(0.0, branch.base_wh + ends.stop - branch.origin_wh)
            return energy_wh, _reason(branch, is_first=main.kind != MAIN or main.count == 0)
    return None


def _contradicts(branch: Branch, ends: Ends, main: Branch) -> bool:
    """Return whether readings of another register, or after a reset, are proof enough against ends that are possible.

    A register that was reset is below the start, or near 0, and what it showed before, on `main`, was possible.
    """
    was_possible = not main.count or main.last_wh - ends.start <= reach_wh(ends.start_ts, main.last_ts)
    was_reset = branch.kind != RESET or (branch.first_wh <= max(ends.start, JUMP_WH) and was_possible)
    are_enough = _without_stop(branch, ends) >= AGREEING_READINGS
    return was_reset and are_enough and not _is_in_another_unit(branch, ends)


def _is_in_another_unit(branch: Branch, ends: Ends) -> bool:
    """Return whether readings are closer to both ends in another unit, so that they do not contradict them."""
    gain_wh = ends.stop - branch.last_wh
    return any(
        ends.start - JITTER_WH <= branch.first_wh * factor and 0.0 <= ends.stop - branch.last_wh * factor < gain_wh
        for factor in (KILO, 1.0 / KILO)
    )


def _without_stop(branch: Branch, ends: Ends) -> int:
    """Return the number of readings without the one of the stop itself, which a charger may send beside it."""
    return branch.count - (branch.last_wh == ends.stop)


def _reason(branch: Branch, *, is_first: bool) -> str:
    if branch.kind == RESET:
        return SESSION_RELATIVE if is_first else REGISTER_RESET
    return START_UNREACHABLE if is_first else REGISTER_CHANGED


def _register_rolled_over(ends: Ends, readings: Readings) -> Result | None:
    """Return the energy of a register that passed its highest value and began again from 0."""
    main, before_wh, limit_wh = readings.main, ends.start, MAX_RELATIVE_WH
    if ends.reported_wh >= 0.0:
        return None
    if readings.any:
        if main.kind != MAIN or main.count == 0:
            return None
        before_wh, limit_wh = main.last_wh, JUMP_WH
    left_wh = left_to_rollover_wh(before_wh, min(limit_wh, before_wh / 100.0))
    if left_wh is None:
        return None
    energy_wh = before_wh + left_wh + ends.reported_wh
    return (energy_wh, REGISTER_RESET) if energy_wh <= min(ends.reach_wh, MAX_GAIN_WH) else None


def _stop_is_below_start(ends: Ends, readings: Readings) -> Result | None:
    """Return the energy for a stop below the start that continues no reset."""
    if ends.reported_wh >= 0.0:
        return None
    current, stop_wh = readings.current, ends.stop
    result = (readings.running_wh, STOP_UNREACHABLE)
    if -ends.reported_wh <= min(JITTER_WH, ends.start / 100.0):
        result = (0.0, "")
    elif not readings.any:
        result = (stop_wh, SESSION_RELATIVE) if stop_wh <= ends.reach_wh else (0.0, STOP_UNREACHABLE)
    elif current.kind == MAIN and current.first_wh < current.origin_wh and stop_wh >= current.last_wh - JITTER_WH:
        result = (max(0.0, stop_wh - current.first_wh), START_UNREACHABLE)
    return result


def _stop_is_out_of_the_start_s_reach(ends: Ends, readings: Readings) -> Result | None:
    """Return the energy for a stop that the duration makes impossible: the readings show which end is wrong."""
    if ends.reported_wh <= ends.reach_wh:
        return None
    current, stop_wh = readings.current, ends.stop
    if current.count and current.factor < 1.0 and not ends.labelled:
        as_labelled_wh = stop_wh - current.last_wh / current.factor
        if 0.0 <= as_labelled_wh <= MAX_RELATIVE_WH:
            return ends.reported_wh, ""  # the charger's own stop confirms the label, so it is the clock that is wrong
    is_next = current.count > 0 and readings.are_continued_by(ends)
    if is_next and stop_wh - current.first_wh <= ends.reach_wh:
        return max(0.0, stop_wh - current.first_wh), START_UNREACHABLE
    return readings.running_wh, STOP_UNREACHABLE


def _ends_show_no_energy(ends: Ends, readings: Readings) -> Result | None:
    current = readings.current
    are_enough = _without_stop(current, ends) >= AGREEING_READINGS or not readings.any
    is_in_kwh = ends.stop > 0.0 and current.first_wh == current.last_wh == ends.stop * KILO
    rises = are_enough and readings.running_wh >= 1.0 and not is_in_kwh
    return (readings.running_wh, NO_ENERGY) if ends.reported_wh == 0.0 and rises else None


def _stop_is_out_of_the_last_reading_s_reach(ends: Ends, readings: Readings) -> Result | None:
    last, gain_wh = readings.current, ends.stop - readings.current.last_wh
    if not last.count or last.kind in (RESET, MOVED) or last.last_wh < last.origin_wh - JITTER_WH:
        return None  # the readings are of another register
    lowest_wh = min(max(last.first_wh * KILO, ends.start), last.last_wh * KILO) - STEP_WH  # the last may be wrong
    is_in_kwh = lowest_wh <= ends.stop <= last.last_wh * KILO + MAX_RELATIVE_WH
    if is_in_kwh or gain_wh <= min(MAX_GAIN_WH, reach_wh(last.last_ts, ends.stop_ts)):
        return None
    return readings.running_wh, STOP_UNREACHABLE


_RULES: tuple[Callable[[Ends, Readings], Result | None], ...] = (
    _stop_is_missing,
    _start_is_missing,
    _ends_are_in_kwh,
    _register_rolled_over,
    _another_branch_is_closer,
    _stop_is_below_start,
    _stop_is_out_of_the_start_s_reach,
    _ends_show_no_energy,
    _stop_is_out_of_the_last_reading_s_reach,
)
"""In this order; the first that has a result decides. The first two leave only transactions with both ends."""
