"""The energy of a transaction, computed from meter registers. It knows numbers and charger times, no connector.

The rule is in docs/metering.md. `read` gives the provisional figure while the transaction runs; `settle` gives the
final one, from the charger's own registers of start and stop wherever they don't contradict themselves.
"""

from collections import deque
from math import inf, isfinite
from typing import Any

from wattspan.domain.branches import (
    AS_LABELLED,
    ENDS,
    JITTER_WH,
    JUMP_WH,
    KILO,
    MAIN,
    MAX_GAIN_WH,
    MAX_POWER_W,
    MAX_RELATIVE_WH,
    MILLI,
    MOVED,
    RESET,
    STEP_WH,
    UNIT,
    Branch,
    interpretations,
    possible,
    preference,
    reach_wh,
)
from wattspan.domain.measured_power import AGREES, UnitVotes, unit_vote
from wattspan.domain.settlement import Ends, Readings, settle

MAX_OTHERS = 4
"""Branches kept beside the current one."""
STEADY_READINGS = 5
"""After so many readings that continue each other, the unit is as labelled."""
MAX_MARKS = 16
"""Past readings that are known, for a stop that arrives after readings that were made later."""
ONE_CLOCK_S = 300.0
"""Readings that were all made longer than this after the stop have another clock than the stop."""
MAX_MISSES = 3
"""So many readings in a row that nothing continues discredit the charger's clock."""
MAX_W_PER_OFFERED_A = 20_000.0
"""No register rises faster than this for each ampere of Current.Offered: 20 times the power at 1,000 V."""


class EnergyMeter:
    """The energy of one transaction, from registers that may reset, jump, change their origin or have a wrong unit.

    `energy_wh` is never negative. While the transaction runs it is provisional and may fall. `start_wh` is the register
    of the start, as labelled; while `start_known` is False it is that of the first reading. `ends_labelled`: the
    registers of start and stop have the label of the readings (OCPP 2.x); those of 1.6 are in Wh.
    """

    __slots__ = (
        "_current",
        "_interval_context",
        "_interval_wh",
        "_marks",
        "_misses",
        "_others",
        "_rivals",
        "_steady",
        "_trusts_time",
        "ends_labelled",
        "energy_wh",
        "location",
        "rank",
        "start_known",
        "start_wh",
        "units",
    )

    def __init__(self, start_wh: float | None, *, start_ts: float | None = None, ends_labelled: bool = False) -> None:
        self.start_known = start_wh is not None and isfinite(start_wh) and start_wh >= 0.0
        self.start_wh = start_wh if start_wh is not None and self.start_known else 0.0
        self.ends_labelled = ends_labelled
        self.rank = -1
        """The rank of the register that is read, higher is better; -1: nothing was read yet."""
        self.location = ""
        """Where that register is measured."""
        self._interval_context = ""
        """The context of the first interval: those of another one are about the same time."""
        self._interval_wh = 0.0
        self.restart(start_ts)

    def restart(self, start_ts: float | None) -> None:
        """Forget all readings, because the register that they came from turned out not to be the session's."""
        self.energy_wh = 0.0
        self.units = UnitVotes()
        """What is known of the readings' units."""
        origin_wh = self.start_wh if self.start_known else 0.0
        self._current = Branch(MAIN, origin_wh, 0.0, origin_wh, origin_wh, start_ts)
        self._others: list[Branch] = []
        """Branches that were left, and may continue."""
        self._rivals: list[Branch] = []
        """Interpretations of the last readings, which did not continue the current branch."""
        self._marks: deque[tuple[float, float]] = deque(maxlen=MAX_MARKS)
        """The charger's times of the last readings, and the energy then. It is not stored."""
        self._steady = False
        self._trusts_time = True
        self._misses = 0

    def __repr__(self) -> str:
        return f"EnergyMeter(start_wh={self.start_wh}, energy_wh={self.energy_wh}, register_wh={self.register_wh})"

    @property
    def register_wh(self) -> float | None:
        """The last register that counted, in Wh; None before the first reading."""
        return self._current.last_wh if self._current.count else None

    @property
    def has_readings(self) -> bool:
        return self.rank >= 0 or self._current.count > 0

    def begin_at(self, start_wh: float, ts: float | None = None, *, is_start: bool = True) -> bool:
        """Set the register of the start belatedly, and its charger's time. Return whether that changed anything.

        `is_start` False: it is only a reading from before the first one, so the start lies there or earlier.
        """
        if not (isfinite(start_wh) and start_wh >= 0.0):
            return False
        if self.start_known:
            return self._doubt_start(start_wh, ts)
        main = next((b for b in (self._current, *self._others) if b.kind == MAIN), None)
        self.start_known = is_start
        if main is None:
            self.start_wh = start_wh
            self._begin_current_at(start_wh, ts)
            return True
        if not self._has_any():
            self.start_wh = main.origin_wh = main.last_wh = main.first_wh = start_wh
            main.last_ts = ts
            return True
        earlier_wh = main.origin_wh - start_wh * main.factor
        if is_start and self._continues_instead(start_wh, ts, main):
            # The first reading was wrong, those after it continue the start.
            current = self._current
            main.kind, current.kind = MOVED, MAIN
            self.start_wh = start_wh
            current.origin_wh, current.base_wh = start_wh * current.factor, 0.0
            current.first_wh = max(current.first_wh, current.origin_wh)
            self.energy_wh = self._figure()
        elif 0.0 <= earlier_wh <= MAX_GAIN_WH:
            before_wh = self._figure()
            main.origin_wh -= earlier_wh
            self.start_wh = start_wh
            self.energy_wh += self._figure() - before_wh
        elif is_start:
            self.start_wh, main.kind = start_wh, MOVED
            self.energy_wh = self._figure()
        return True

    def _begin_current_at(self, start_wh: float, ts: float | None) -> None:
        """Let the current branch begin at the start, if all of it can have followed, in its unit."""
        current, origin_wh = self._current, start_wh * self._current.factor
        reach = min(MAX_GAIN_WH, reach_wh(ts, current.last_ts))
        if current.base_wh == 0.0 and origin_wh <= current.first_wh and current.last_wh - origin_wh <= reach:
            current.kind, current.origin_wh = UNIT if current.factor != 1.0 else MAIN, origin_wh
            self.energy_wh = self._figure()

    def _continues_instead(self, start_wh: float, ts: float | None, main: Branch) -> bool:
        """Return whether the last readings continue the start, and the first one, which passed for it, does not."""
        current, origin_wh = self._current, start_wh * self._current.factor
        if not 0.0 <= current.last_wh - origin_wh <= min(MAX_GAIN_WH, reach_wh(ts, current.last_ts)):
            return False
        if main.origin_wh < start_wh * main.factor or main.origin_wh - start_wh * main.factor > MAX_GAIN_WH:
            return True
        is_other = current is not main and current.base_wh == 0.0 and main.count <= 1
        return is_other and origin_wh <= current.first_wh < main.first_wh

    def _doubt_start(self, begin_wh: float, ts: float | None) -> bool:
        """Use a register that was measured at the start, if it contradicts the start, and the readings do so too.

        It is where the session begins on the readings' register. In another unit it does not contradict the start.
        """
        if self._may_be_start(begin_wh, ts):
            return False
        if not self._has_any():
            # As for a reading: the next ones decide whether it or the start holds.
            self._rivals = list(
                interpretations(
                    self._current, begin_wh, ts, MAX_POWER_W, unit_known=True, ends_labelled=self.ends_labelled
                )
            )
            return True
        if self._start_branch().count:
            return False
        for branch in (self._current, *self._others, *self._rivals):
            origin_wh, reach = begin_wh * branch.factor, min(MAX_GAIN_WH, reach_wh(ts, branch.last_ts))
            is_first = branch.kind == MOVED and branch.base_wh == 0.0
            if is_first and origin_wh <= branch.origin_wh and branch.last_wh - origin_wh <= reach:
                branch.origin_wh = origin_wh
        if self.has_readings:
            self.energy_wh = self._figure()
        return True

    def _may_be_start(self, begin_wh: float, ts: float | None) -> bool:
        """Return whether a register that is said to be of the start agrees with it; in another unit, or later, too."""
        start_wh, reach = self.start_wh, reach_wh(self._start_branch().last_ts, ts)
        limit_wh = STEP_WH if reach == inf else min(reach, MAX_RELATIVE_WH)
        return (
            -STEP_WH <= begin_wh - start_wh <= limit_wh
            or 0.0 < start_wh <= begin_wh * KILO + STEP_WH <= start_wh + 2 * STEP_WH
            or 0.0 < start_wh <= begin_wh * MILLI + 1.0 <= start_wh + 2.0
        )

    def _has_any(self) -> bool:
        return self._current.count > 0 or bool(self._rivals)

    def read(
        self, register_wh: float, ts: float | None = None, power_w: float | None = None, offered_a: float | None = None
    ) -> bool:
        """Process a register in Wh as labelled. Return True if it is over JUMP_WH from the last one.

        `ts`: the charger's time, None if it is not credible. `power_w`: measured with it. `offered_a`: the
        connector's Current.Offered. A negative, infinite or NaN value is ignored.
        """
        if self._steady:
            # Nearly all registers rise by no more than before; `_read_any` would give the same result.
            current = self._current
            value_wh = register_wh * current.factor
            if 0.0 <= value_wh - current.last_wh <= current.step_wh and value_wh >= current.origin_wh:
                current.last_wh = value_wh
                current.count += 1
                self.energy_wh = energy_wh = current.base_wh + (value_wh - current.origin_wh)
                if ts is not None:
                    current.last_ts = ts
                    self._marks.append((ts, energy_wh))
                return False
        return isfinite(register_wh) and register_wh >= 0.0 and self._read_any(register_wh, ts, power_w, offered_a)

    def add_interval(self, context: str, interval_wh: float) -> None:
        """Add the energy of an interval, in a session that has shown no register."""
        if self.has_readings or not 0.0 <= interval_wh <= MAX_GAIN_WH or self._interval_context not in ("", context):
            return
        self._interval_context = context
        self._interval_wh += interval_wh
        self.energy_wh = self._interval_wh

    def restore_intervals(self, energy_wh: float) -> None:
        """Set the sum of the intervals, in a session that has shown no register."""
        if not self.has_readings:
            self.energy_wh = self._interval_wh = energy_wh

    def _read_any(self, register_wh: float, ts: float | None, power_w: float | None, offered_a: float | None) -> bool:
        max_w = min(MAX_POWER_W, offered_a * MAX_W_PER_OFFERED_A) if offered_a and offered_a > 0.0 else MAX_POWER_W
        current = self._current
        known_ts = ts if self._trusts_time else None
        is_first = current.count == 0 and not self._rivals
        if is_first and not self.start_known:
            self.start_wh = current.origin_wh = current.first_wh = current.last_wh = register_wh
            current.last_ts = None
        before_wh, factor = current.last_wh, current.factor
        if power_w is not None:
            power_w = possible(power_w * self.units.power_factor, MAX_POWER_W)
        change_wh = self._apply(register_wh, known_ts, power_w, max_w)
        self.energy_wh = self._figure()
        if self._current is not current or self._current.factor != factor:
            self._marks.clear()
        is_stray = bool(self._rivals and self._marks) and ts is not None and ts < self._marks[-1][0]
        if ts is not None and not is_stray:  # an older reading that nothing continues shows nothing of its time
            self._marks.append((ts, self.energy_wh))
        self._steady = self._is_steady()
        if change_wh is None:
            change_wh = register_wh - before_wh
        return not is_first and abs(change_wh) > JUMP_WH

    def _is_steady(self) -> bool:
        """Return whether nothing is in doubt: no other branch, and no unit for which measured power has a vote."""
        if self._rivals or self._others or self.units.in_doubt:
            return False
        return self.units.known or self._current.count >= STEADY_READINGS

    def _apply(self, register_wh: float, ts: float | None, power_w: float | None, max_w: float) -> float | None:
        """Add the register to the branches that it continues. Return its change; None if it begins a new one."""
        current = self._current
        if self._rivals:
            return self._apply_to_rivals(register_wh, ts, power_w, max_w)
        if not self.units.known:
            self.units.judge(current, register_wh, ts, power_w)
            self._count_votes()
        gain_wh = current.gain_wh(register_wh, ts, max_w)
        other = self._closest_other(register_wh, ts, max_w)
        if other is not None and (gain_wh is None or _is_closer(other[1], gain_wh, current)):
            self._others.remove(other[0])
            self._leave(current)
            self._current = other[0]
            self._current.add(register_wh, ts)
            return None
        if gain_wh is None:
            self._rivals = list(
                interpretations(
                    current,
                    register_wh,
                    ts,
                    max_w,
                    unit_known=self.units.known,
                    ends_labelled=self.ends_labelled,
                )
            )
            unit = next((rival for rival in self._rivals if rival.kind == UNIT), None)
            return None if unit is None else unit.last_wh - current.last_wh
        current.add(register_wh, ts)
        return gain_wh

    def _apply_to_rivals(
        self, register_wh: float, ts: float | None, power_w: float | None, max_w: float
    ) -> float | None:
        """Add the register to the current branch and its rivals, and decide which one holds."""
        current, last = self._current, self._rivals[0]
        gains = [(branch, branch.gain_wh(register_wh, ts, max_w)) for branch in (current, *self._rivals)]
        alive = [(branch, gain_wh) for branch, gain_wh in gains if gain_wh is not None]
        rises = [(branch, gain_wh) for branch, gain_wh in alive if branch is current or gain_wh >= 0.0]
        if not self.units.known and last.kind != UNIT:
            self.units.judge(last, register_wh, ts, power_w)
        if not rises:
            return self._decide_without(register_wh, ts)
        best, gain_wh = min(
            rises,
            key=lambda each: (
                unit_vote(each[0], each[1], register_wh, ts, power_w) not in (None, AGREES),
                self._preference(each[0]),
                abs(each[1]),
            ),
        )
        if best is current:
            gain_wh = register_wh * current.factor - self._best_rival().last_wh
        best.add(register_wh, ts)
        self._misses = 0
        self._rivals = []
        if best is not current:
            self._leave(current)
            self._current = best
            if best.kind == UNIT:
                self.units.decide()
                self._others = []
        self._count_votes()
        return gain_wh

    def _preference(self, branch: Branch) -> int:
        """Return how credible a branch is: see `preference`. A unit that was decided on is no longer doubted."""
        if branch is self._current and self.units.known:
            return AS_LABELLED
        return preference(branch, self._start_branch())

    def _decide_without(self, register_wh: float, ts: float | None) -> float | None:
        """Handle a second reading in a row that nothing continues."""
        current, last = self._current, self._rivals[0]
        if last.kind in (MOVED, current.kind) and register_wh * current.factor >= last.last_wh >= current.last_wh:
            self._misses += 1
            gain_wh = register_wh * current.factor - last.last_wh
            if self._misses >= MAX_MISSES and register_wh * current.factor - current.last_wh <= MAX_GAIN_WH:
                # It rises faster than anything can be charged, all the time: the charger's clock proves nothing.
                self._trusts_time = False
                self._rivals = []
                current.add(register_wh, None)
                return gain_wh
        self._rivals = list(
            interpretations(
                current, register_wh, ts, MAX_POWER_W, unit_known=self.units.known, ends_labelled=self.ends_labelled
            )
        )
        return None

    def _closest_other(self, register_wh: float, ts: float | None, max_w: float) -> tuple[Branch, float] | None:
        gains = [(branch, branch.gain_wh(register_wh, ts, max_w)) for branch in self._others]
        found = [(branch, gain_wh) for branch, gain_wh in gains if gain_wh is not None and gain_wh >= -JITTER_WH]
        return min(found, key=lambda each: abs(each[1]), default=None)

    def _leave(self, branch: Branch) -> None:
        """Keep a branch that was left; the first one, which has the start, is never dropped."""
        self._others.append(branch)
        if len(self._others) > MAX_OTHERS:
            del self._others[1]

    def _start_branch(self) -> Branch:
        return next((b for b in (self._current, *self._others) if b.kind == MAIN), self._current)

    def _best_rival(self) -> Branch:
        start = self._start_branch()
        return min(self._rivals, key=lambda rival: (preference(rival, start), rival.energy_wh))

    def _figure(self) -> float:
        """Return the provisional energy: that of the current branch, or of a rival that begins the session."""
        current = self._current
        if not self._rivals:
            return current.energy_wh
        best = self._best_rival()
        if best.kind in (UNIT, ENDS, current.kind) or current.count == 0:
            return best.energy_wh
        return current.energy_wh

    def _confirmed_figure(self) -> float:
        """Return the provisional energy without a last reading that can't be reached and that none confirms."""
        current = self._current
        if self._rivals and current.count and self._best_rival().kind == current.kind:
            return current.energy_wh
        return self._figure()

    def _figure_at(self, stop_ts: float | None) -> float:
        """Return the provisional energy without the readings that were made after the stop, by the same clock."""
        marks = self._marks
        if stop_ts is None or not marks or marks[-1][0] <= stop_ts:
            return self._confirmed_figure()
        if marks[0][0] > stop_ts and marks[-1][0] > stop_ts + ONE_CLOCK_S:
            return self._confirmed_figure()
        before = [energy_wh for ts, energy_wh in marks if ts <= stop_ts]
        if before:
            return before[-1]
        return 0.0 if len(marks) < MAX_MARKS else marks[0][1]

    def rises_to(self, register_wh: float) -> bool:
        """Return whether a register is above the last one, and those before continue each other."""
        current = self._current
        return current.count > 0 and not self._rivals and register_wh * current.factor > current.last_wh

    def continues_start(self, register_wh: float) -> bool:
        """Return whether a register can be that of the start; True where that is unknown."""
        return not self.start_known or -JITTER_WH <= register_wh - self.start_wh <= MAX_RELATIVE_WH

    def jumps_to(self, stop_wh: float) -> bool:
        """Return whether the register of the stop is over JUMP_WH above the last reading."""
        scale = self._current.factor if self.ends_labelled else 1.0
        return self._current.count > 0 and stop_wh * scale - self._current.last_wh > JUMP_WH

    @property
    def is_main(self) -> bool:
        """Whether the last reading continues the register of the start."""
        return self._current.kind == MAIN and not self._rivals

    def _count_votes(self) -> None:
        factor = self.units.decided()
        if factor is not None:
            self._change_unit(factor)

    def _change_unit(self, factor: float) -> None:
        """Read all registers of the session in the other unit, unless the charger's own start contradicts that."""
        current, scale = self._current, factor if self.ends_labelled or not self.start_known else 1.0
        self.units.decide()
        if current.kind == ENDS and current.last_wh * factor >= self.start_wh - STEP_WH:
            current.kind, current.origin_wh = MAIN, self.start_wh  # it was the readings' unit that was wrong
        if current.last_wh * factor < current.origin_wh * scale - STEP_WH:
            return
        gains = [value_wh * factor - self.start_wh * scale for value_wh in (current.first_wh, current.last_wh)]
        continues = any(-STEP_WH <= gain_wh <= MAX_RELATIVE_WH for gain_wh in gains)
        is_first = current.base_wh == 0.0 or self._start_branch().count <= 1  # a single reading before may be wrong
        if current.kind in (RESET, MOVED) and is_first and continues:
            # It seemed to be another register, because its unit was wrong.
            current.kind, current.origin_wh, current.base_wh = MAIN, self.start_wh, 0.0
        if current.kind == MAIN:
            current.kind = UNIT
        current.factor *= factor
        current.origin_wh *= factor if current.kind == MOVED else scale
        current.base_wh *= scale
        current.first_wh *= factor
        current.last_wh *= factor
        current.step_wh *= factor
        self._others = []

    def settle(
        self,
        stop_wh: float | None,
        *,
        start_ts: float | None = None,
        stop_ts: float | None = None,
        read_until_ts: float | None = None,
    ) -> str:
        """Set the final energy. Return why it is not the difference of the charger's ends, or "" if it is.

        `stop_wh`: the register of the stop, as labelled; None: none was sent. Times are the charger's, None if they are
        not credible. Readings after `read_until_ts` do not count; None: after `stop_ts`.
        """
        if stop_wh is not None and not (isfinite(stop_wh) and stop_wh >= 0.0):
            stop_wh = None
        scale = self._current.factor if self.ends_labelled else 1.0
        running_wh = self._figure_at(stop_ts if read_until_ts is None else read_until_ts)
        readings = Readings(
            current=self._current,
            main=self._start_branch(),
            rivals=tuple(self._rivals),
            too_fast=self.units.votes > 0,
            running_wh=running_wh if self.has_readings or not self._interval_wh else self._interval_wh,
        )
        ends = Ends(
            start_wh=self.start_wh * scale if self.start_known else None,
            stop_wh=None if stop_wh is None else stop_wh * scale,
            start_ts=start_ts if self._trusts_time else None,
            stop_ts=stop_ts,
            labelled=self.ends_labelled,
            unit_changed=scale != 1.0,
        )
        self.energy_wh, reason = settle(ends, readings)
        self._steady = False
        return reason

    def dump(self) -> list[Any]:
        """Return the state beyond the columns of the transaction, as JSON types: see `load`."""
        fields = [
            [b.kind, b.origin_wh, b.base_wh, b.first_wh, b.last_wh, b.last_ts, b.factor, b.count, b.step_wh]
            for b in (self._current, *self._others, *self._rivals)
        ]
        units = self.units
        flags = [units.known, self._trusts_time, units.votes, self._misses, self.ends_labelled, len(self._rivals)]
        added = [
            units.power_votes,
            units.power_factor,
            self._interval_context,
            self._interval_wh,
            units.agreements,
        ]
        return [flags + added, self.rank, self.location, fields]

    @classmethod
    def load(cls, start_wh: float, energy_wh: float, *, start_known: bool, dumped: list[Any]) -> "EnergyMeter":
        """Return the meter whose state was dumped."""
        meter = cls(start_wh)
        meter.energy_wh, meter.start_known = energy_wh, start_known
        flags, meter.rank, meter.location, fields = dumped
        units = meter.units
        units.known, meter._trusts_time, units.votes, meter._misses, meter.ends_labelled, rivals = flags[:6]
        if added := flags[6:]:  # earlier releases stored six flags, or ten
            units.power_votes, units.power_factor, meter._interval_context, meter._interval_wh = added[:4]
            units.agreements = added[4] if len(added) > 4 else 0  # noqa: PLR2004
        branches = [Branch(*values) for values in fields]
        meter._current = branches[0]
        meter._others = branches[1 : len(branches) - rivals]
        meter._rivals = branches[len(branches) - rivals :]
        meter._steady = meter._is_steady()
        return meter

    @classmethod
    def restore(
        cls, start_wh: float, energy_wh: float, register_wh: float | None, *, start_known: bool = True
    ) -> "EnergyMeter":
        """Return a meter of which only these four values are known: it was stored by an earlier release."""
        meter = cls(start_wh)
        meter.energy_wh, meter.start_known = energy_wh, start_known
        current = meter._current
        if register_wh is not None:
            current.last_wh, current.count = register_wh, 1
            current.base_wh = energy_wh - max(0.0, register_wh - start_wh)
        return meter


def _is_closer(other_wh: float, gain_wh: float, current: Branch) -> bool:
    """Return whether a branch that was left continues, rather than the current one with an unusual step."""
    return gain_wh > max(4 * current.step_wh, JITTER_WH) and abs(other_wh) < gain_wh / 4
