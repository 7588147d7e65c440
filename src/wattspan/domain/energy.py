"""The energy of a transaction, computed from meter registers. It knows numbers only: no connector, no clock."""

from math import isfinite

JUMP_WH = 10_000.0
"""Two readings of one transaction that are further apart than this are a jump."""
IMPLAUSIBLE_WH = 1_000_000.0
"""No vehicle takes this much between two readings: it is another register, or the unit is wrong."""
MAX_RELATIVE_WH = 200_000.0
"""A register that counts from the start of the session never begins with more than this."""
JITTER_WH = 100.0
"""A register at most this far below the last one is noise, not a reset."""
ROUNDING_WH = 1_000.0
"""A register in whole kWh is at most this far behind one in Wh."""
LIFETIME_WH = 100_000.0
"""From here on a register is a lifetime register: a thousandfold change of it is a change of unit, not a reset."""
CERTAIN_KWH_WH = 2_000.0
"""A value with a fraction that, read as kWh, continues the register this closely is in kWh, whatever its label."""


class EnergyMeter:
    """The energy of one transaction, from registers that may reset, change their origin or have a wrong unit.

    `energy_wh` is never negative and never falls. `register_wh` is the last register in Wh (0 after a reset that the
    next reading has to confirm); None before the first reading.

    Of all interpretations of a register that continue the energy so far, the one that adds least is taken. So a correct
    register gives exactly its difference from the start, a single wrong value does no harm, and energy that may
    not have been delivered is not counted.

    An unknown start (`start_wh` None) is the first register read, until `begin_at` supplies it.
    """

    __slots__ = ("energy_wh", "register_wh", "start_known", "start_wh")

    def __init__(self, start_wh: float | None) -> None:
        self.start_known = start_wh is not None
        self.start_wh = start_wh or 0.0
        self.energy_wh = 0.0
        self.register_wh: float | None = None

    @classmethod
    def restore(
        cls, start_wh: float, energy_wh: float, register_wh: float | None, *, start_known: bool = True
    ) -> "EnergyMeter":
        """Return a meter with this state, which consists of these four values."""
        meter = cls(start_wh)
        meter.energy_wh, meter.register_wh, meter.start_known = energy_wh, register_wh, start_known
        return meter

    def __repr__(self) -> str:
        return f"EnergyMeter(start_wh={self.start_wh}, energy_wh={self.energy_wh}, register_wh={self.register_wh})"

    def begin_at(self, start_wh: float, *, is_start: bool = True) -> None:
        """Set the register of the start belatedly; the energy between it and the first reading is added.

        `is_start` False: it is only a reading from before the first one, so the start lies there or earlier.
        """
        if self.start_known or not (isfinite(start_wh) and start_wh >= 0.0):
            return
        self.start_known = is_start
        earlier_wh = 0.0 if self.register_wh is None else self.start_wh - start_wh
        if 0.0 <= earlier_wh <= IMPLAUSIBLE_WH:
            self.energy_wh += earlier_wh
            self.start_wh = start_wh

    def read(self, register_wh: float) -> bool:
        """Process a register in Wh as labelled. Return True if it is over JUMP_WH from the last one.

        A negative, infinite or NaN value is ignored.
        """
        energy_wh, last_wh = self.energy_wh, self.register_wh
        if last_wh is not None and register_wh >= 0.0:
            # Nearly all registers rise a little; `_interpret` would give the same result.
            smallest_wh = register_wh - max(self.start_wh, last_wh - energy_wh)
            if 0.0 <= smallest_wh - energy_wh <= JUMP_WH:
                self.energy_wh, self.register_wh = smallest_wh, register_wh
                return False
        return isfinite(register_wh) and register_wh >= 0.0 and self._interpret(register_wh)

    def _interpret(self, register_wh: float) -> bool:
        """Process a register that may have jumped, fallen or changed its unit or origin (see `read`)."""
        is_first = self.register_wh is None
        if is_first and not self.start_known:
            self.start_wh = register_wh
        last_wh = self.start_wh if self.register_wh is None else self.register_wh
        found = self._continuation(register_wh, last_wh)
        if found is None:
            self._restart(register_wh, last_wh)
            return not is_first and abs(register_wh - last_wh) > JUMP_WH
        energy_wh, equal_wh = found
        gain_wh = energy_wh - self.energy_wh
        if gain_wh > IMPLAUSIBLE_WH:
            self.register_wh = equal_wh
        elif gain_wh >= 0.0:
            self.energy_wh, self.register_wh = energy_wh, equal_wh
        elif is_first:
            self.register_wh = last_wh
        return not is_first and gain_wh > JUMP_WH

    def _continuation(self, register_wh: float, last_wh: float) -> tuple[float, float] | None:
        """Return (energy, register in Wh) of the interpretation that adds least; None if none continues the energy."""
        as_labelled = self._smallest(register_wh, last_wh, JITTER_WH)
        if as_labelled is None:
            return self._relabelled(register_wh, last_wh)
        if as_labelled[0] - self.energy_wh > IMPLAUSIBLE_WH and last_wh >= LIFETIME_WH:
            in_wh = self._smallest(register_wh / 1000.0, last_wh, JITTER_WH)
            if in_wh is not None and in_wh[0] - self.energy_wh <= JUMP_WH:
                return in_wh
        return as_labelled

    def _smallest(self, register_wh: float, last_wh: float, tolerance_wh: float) -> tuple[float, float] | None:
        """Return the smaller result of counting from the start and from the origin that the energy so far implies."""
        floor_wh = self.energy_wh
        low_wh, high_wh = sorted((register_wh - self.start_wh, register_wh - (last_wh - floor_wh)))
        if low_wh >= floor_wh:
            return low_wh, register_wh
        return (high_wh, register_wh) if high_wh >= floor_wh - tolerance_wh else None

    def _relabelled(self, register_wh: float, last_wh: float) -> tuple[float, float] | None:
        """Return the register interpreted as kWh, or as counted from the start of the session; None if neither fits."""
        in_kwh = self._in_kwh(register_wh, last_wh)
        gain_wh = register_wh - self.energy_wh
        is_relative = register_wh < self.start_wh / 2 and (
            0.0 <= gain_wh <= JUMP_WH or (self.register_wh is None and gain_wh <= MAX_RELATIVE_WH)
        )
        if not is_relative:
            return in_kwh
        relative = (register_wh, register_wh)
        if in_kwh is None:
            return relative
        # After lifetime registers, none begins to count from the start of the session in the middle of it.
        limit_wh = (
            JUMP_WH if self.register_wh is not None and last_wh >= self.start_wh >= LIFETIME_WH else CERTAIN_KWH_WH
        )
        is_certain = register_wh % 1.0 != 0.0 and in_kwh[0] - self.energy_wh <= limit_wh
        return in_kwh if is_certain else min(in_kwh, relative)

    def _in_kwh(self, register_wh: float, last_wh: float) -> tuple[float, float] | None:
        """Return the register interpreted as kWh, if it continues the last one too closely for chance; else None."""
        found = self._smallest(register_wh * 1000.0, last_wh, ROUNDING_WH) if register_wh > 0.0 else None
        if found is None:
            return None
        has_fraction = register_wh % 1.0 != 0.0
        limit_wh = JUMP_WH if last_wh >= LIFETIME_WH else CERTAIN_KWH_WH if has_fraction else -ROUNDING_WH
        return found if found[0] - self.energy_wh <= limit_wh else None

    def _restart(self, register_wh: float, last_wh: float) -> None:
        """Continue after the register fell: it was reset to 0 or, if it fell by less than half, is another one."""
        self.register_wh = 0.0 if register_wh < last_wh / 2 else register_wh
