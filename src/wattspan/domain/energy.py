"""From what a meter sends to energy, current and power. It knows numbers only: no connector, transaction or clock."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, sqrt
from typing import NamedTuple

from wattspan.domain.events import Payload, Reading

JUMP_WH = 10_000.0
"""Two readings of one transaction that lie further apart are a jump."""
IMPLAUSIBLE_WH = 1_000_000.0
"""No vehicle takes this between two readings: the register is another one, or its unit is wrong."""
MAX_RELATIVE_WH = 200_000.0
"""A register that counts from the session's start never begins with more."""
JITTER_WH = 100.0
"""A register this much below the last is noise, no reset."""
ROUNDING_WH = 1_000.0
"""A register in whole kWh lags this much behind one in Wh."""
TELLING_WH = 100_000.0
"""From here on a register a thousand times too high or low gives itself away; below, it may be one that was reset."""
SURE_KWH_WH = 2_000.0
"""A fraction that continues the register this closely, read as kWh, is kWh whatever its label."""


class EnergyMeter:
    """The energy of one transaction, out of registers that reset, change their origin or lie about their unit.

    `energy_wh` is never negative and never falls. `register_wh` is the register at which it stands, units made equal
    (0 where a reset was met that the next reading has to confirm); None before the first reading.

    Of all ways to read a register that continue the energy so far, the one that adds least is taken. So a well-behaved
    register gives exactly its difference from the start, a value that was off for once does no harm, and in doubt
    nobody pays for what may be no energy.

    A start that nobody told (`start_wh` None) is the first register read, until `begin_at` tells it.
    """

    __slots__ = ("energy_wh", "register_wh", "start_told", "start_wh")

    def __init__(self, start_wh: float | None) -> None:
        self.start_told = start_wh is not None
        self.start_wh = start_wh or 0.0
        self.energy_wh = 0.0
        self.register_wh: float | None = None

    @classmethod
    def restore(
        cls, start_wh: float, energy_wh: float, register_wh: float | None, *, start_told: bool = True
    ) -> "EnergyMeter":
        """The meter as it was: these four are its whole state."""
        meter = cls(start_wh)
        meter.energy_wh, meter.register_wh, meter.start_told = energy_wh, register_wh, start_told
        return meter

    def __repr__(self) -> str:
        return f"EnergyMeter(start_wh={self.start_wh}, energy_wh={self.energy_wh}, register_wh={self.register_wh})"

    def begin_at(self, start_wh: float, *, told: bool = True) -> None:
        """Learn the register of the start after all; what lies between it and the first reading counts then.

        Not `told`: it is only a reading from before the first one, so the start lies there or earlier.
        """
        if self.start_told or not (isfinite(start_wh) and start_wh >= 0.0):
            return
        self.start_told = told
        missed_wh = 0.0 if self.register_wh is None else self.start_wh - start_wh
        if 0.0 <= missed_wh <= IMPLAUSIBLE_WH:
            self.energy_wh += missed_wh
            self.start_wh = start_wh

    def read(self, register_wh: float) -> bool:
        """Take a register as labelled; True when it lies over JUMP_WH from the last one. Nonsense is ignored."""
        energy_wh, last_wh = self.energy_wh, self.register_wh
        if last_wh is not None and register_wh >= 0.0:
            # Nearly all rise a little, however they are counted: what is done below would give the same.
            least_wh = register_wh - max(self.start_wh, last_wh - energy_wh)
            if 0.0 <= least_wh - energy_wh <= JUMP_WH:
                self.energy_wh, self.register_wh = least_wh, register_wh
                return False
        return isfinite(register_wh) and register_wh >= 0.0 and self._judge(register_wh)

    def _judge(self, register_wh: float) -> bool:
        """`read` for a register that may have jumped, fallen or changed its unit or origin."""
        is_first = self.register_wh is None
        if is_first and not self.start_told:
            self.start_wh = register_wh
        last_wh = self.start_wh if self.register_wh is None else self.register_wh
        found = self._continues(register_wh, last_wh)
        if found is None:
            self._begin_anew(register_wh, last_wh)
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

    def _continues(self, register_wh: float, last_wh: float) -> tuple[float, float] | None:
        """(energy, register in Wh) of the reading that adds least; a little less is noise. None: none continues."""
        as_labelled = self._least(register_wh, last_wh, JITTER_WH)
        if as_labelled is None:
            return self._otherwise(register_wh, last_wh)
        if as_labelled[0] - self.energy_wh > IMPLAUSIBLE_WH and last_wh >= TELLING_WH:
            in_wh = self._least(register_wh / 1000.0, last_wh, JITTER_WH)
            if in_wh is not None and in_wh[0] - self.energy_wh <= JUMP_WH:
                return in_wh
        return as_labelled

    def _least(self, register_wh: float, last_wh: float, tolerance_wh: float) -> tuple[float, float] | None:
        """The register, counted from the start and from where the energy so far leads back to."""
        floor_wh = self.energy_wh
        low_wh, high_wh = sorted((register_wh - self.start_wh, register_wh - (last_wh - floor_wh)))
        if low_wh >= floor_wh:
            return low_wh, register_wh
        return (high_wh, register_wh) if high_wh >= floor_wh - tolerance_wh else None

    def _otherwise(self, register_wh: float, last_wh: float) -> tuple[float, float] | None:
        """The register read as kWh, or as counted since the session's start."""
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
        # Where lifetime registers were told before, none begins to count from the session's start in its middle.
        limit_wh = JUMP_WH if self.register_wh is not None and last_wh >= self.start_wh >= TELLING_WH else SURE_KWH_WH
        is_sure = register_wh % 1.0 != 0.0 and in_kwh[0] - self.energy_wh <= limit_wh
        return in_kwh if is_sure else min(in_kwh, relative)

    def _in_kwh(self, register_wh: float, last_wh: float) -> tuple[float, float] | None:
        """As labelled Wh but meant kWh, where it continues the last one so closely that it can hardly be chance."""
        found = self._least(register_wh * 1000.0, last_wh, ROUNDING_WH) if register_wh > 0.0 else None
        if found is None:
            return None
        has_fraction = register_wh % 1.0 != 0.0
        limit_wh = JUMP_WH if last_wh >= TELLING_WH else SURE_KWH_WH if has_fraction else -ROUNDING_WH
        return found if found[0] - self.energy_wh <= limit_wh else None

    def _begin_anew(self, register_wh: float, last_wh: float) -> None:
        """A register fell: it was reset to 0 and counted on, or, when it fell by less than half, it is another one."""
        self.register_wh = 0.0 if register_wh < last_wh / 2 else register_wh


Kind = tuple[str, str, str, str, str]
"""A sample's (measurand, phase, location, context, unit). A plain tuple, for every message has several.
Empty text is OCPP's default of the field: no phase, at the outlet, periodic, base unit."""

ENERGY = "Energy.Active.Import.Register"
CURRENT = "Current.Import"
POWER = "Power.Active.Import"
OFFERED = "Current.Offered"
VOLTAGE = "Voltage"
SOC = "SoC"
BEGIN = "Transaction.Begin"
_ALIASES: Mapping[str, str] = {"Current.Import.Offered": OFFERED}
"""OCPP 2.1's own words for what was measured before."""

DEFAULT_LOCATION = "Outlet"
_LOCATIONS = ("Outlet", "Body", "Cable", "Inlet", "EV")
_BASE_UNITS = ("", "Wh", "W", "A", "V", "Percent", "wh", "w", "a", "v", "percent", "%")
_FACTORS: Mapping[str, float] = dict.fromkeys(_BASE_UNITS, 1.0) | {
    "kWh": 1e3,
    "kW": 1e3,
    "kwh": 1e3,
    "kw": 1e3,
    "ma": 1e-3,
}
"""Units of the quantities we read, as OCPP spells them and in lower case."""
_PHASES: Mapping[str, str] = {"L1-N": "L1", "L2-N": "L2", "L3-N": "L3"}
_LINE_TO_LINE: Mapping[str, str] = {"L1-L2": "L1", "L2-L3": "L2", "L3-L1": "L3"}

MAX_PLANS = 1024
MAX_PLANNED_CHARACTERS = 4096
"""What is remembered of charge points that send a new shape each time, or fields without end."""

_Shape = tuple[Kind, ...]
"""The samples without their values: what they say depends on it alone, so it is worked out once for each."""
_Pick = tuple[int, float]
"""Which sample, and the factor that makes its value one in the base unit."""
_Phases = dict[str, _Pick]
_Places = dict[str, _Phases]
"""Picks by location, and there by phase; "" is no phase."""


class _Plan(NamedTuple):
    """Which samples make which figure. Empty: it was not measured."""

    register: tuple[_Pick, ...]
    """To be summed; so is power."""
    current: tuple[_Pick, ...]
    """Of which the highest counts; so it is with the offered current and the state of charge."""
    power: tuple[_Pick, ...]
    apparent: tuple[tuple[_Pick, tuple[_Pick, ...]], ...]
    """Where no power was sent: each current with the voltages whose mean is its own."""
    offered: tuple[_Pick, ...]
    soc: tuple[_Pick, ...]
    begins: bool


_plans: dict[_Shape, _Plan] = {}


def reading(
    kinds: Sequence[Kind], values: Sequence[float], charger_ts: float | None, wire: Sequence[Payload]
) -> Reading:
    """What samples of these kinds and values, all of one moment, say together, in base units.

    Kept apart by measurand, location and phase; of the locations the outlet wins. Energy and power of phases are
    summed, of currents the highest phase counts, a neutral counts nowhere. Samples of Transaction.Begin are
    left out unless there are no others. Units OCPP has for other quantities leave a sample out.
    """
    shape = tuple(kinds)
    register, current, power, apparent, offered, soc, begins = _plans.get(shape) or _planned(shape)
    return Reading(
        charger_ts,
        _figure(values, register, sum) if register else None,
        _figure(values, current, max) if current else None,
        _apparent(values, apparent) if apparent else _figure(values, power, sum) if power else None,
        _figure(values, offered, max) if offered else None,
        _figure(values, soc, max) if soc else None,
        begins,
        wire,
    )


def _figure(values: Sequence[float], picks: tuple[_Pick, ...], join: Callable[[list[float]], float]) -> float:
    """The value picked; `join` makes one of those of the phases."""
    if len(picks) == 1:
        ((index, factor),) = picks
        return values[index] * factor
    return join([values[index] * factor for index, factor in picks])


def _apparent(values: Sequence[float], pairs: tuple[tuple[_Pick, tuple[_Pick, ...]], ...]) -> float:
    """Voltage times current, phase by phase: what stands in for a power that was not sent."""
    return sum(
        values[index] * factor * sum(values[at] * per for at, per in volts) / len(volts)
        for (index, factor), volts in pairs
    )


def _planned(shape: _Shape) -> _Plan:
    """The plan of a shape that was not met yet; remembered for the next message, within limits."""
    measured = _sorted(shape, skipped=BEGIN)
    begins = not measured and any(context == BEGIN for _, _, _, context, _ in shape)
    if begins:
        measured = _sorted(shape, skipped=None)
    currents, power = measured.get(CURRENT), _total(measured.get(POWER))
    plan = _Plan(
        register=_total(measured.get(ENERGY)),
        current=_phases(currents),
        power=power,
        apparent=() if power or currents is None else _pairs(currents, measured.get(VOLTAGE)),
        offered=_phases(measured.get(OFFERED)),
        soc=_phases(measured.get(SOC)),
        begins=begins,
    )
    if len(_plans) < MAX_PLANS and sum(len(text) for fields in shape for text in fields) <= MAX_PLANNED_CHARACTERS:
        _plans[shape] = plan
    return plan


def _sorted(shape: _Shape, *, skipped: str | None) -> dict[str, _Places]:
    """Picks by measurand, location and phase, without those of the context `skipped`."""
    measured: dict[str, _Places] = {}
    for index, (measurand, phase, location, context, unit) in enumerate(shape):
        factor = _FACTORS.get(unit) or _FACTORS.get(unit.strip().casefold())
        if context == skipped or factor is None:
            continue
        places = measured.setdefault(_ALIASES.get(measurand, measurand), {})
        places.setdefault(location or DEFAULT_LOCATION, {})[_PHASES.get(phase, phase)] = (index, factor)
    return measured


def _by_preference(places: _Places) -> list[_Phases]:
    known = [places[name] for name in _LOCATIONS if name in places]
    return known + [phases for name, phases in places.items() if name not in _LOCATIONS]


def _total(places: _Places | None) -> tuple[_Pick, ...]:
    """The value of no phase, or else those of the phases; a lone neutral is nothing."""
    for phases in _by_preference(places or {}):
        if "" in phases:
            return (phases[""],)
        if parts := tuple([pick for phase, pick in phases.items() if phase != "N"]):
            return parts
    return ()


def _phases(places: _Places | None) -> tuple[_Pick, ...]:
    """Those of the phases, or the value of no phase where there are no phases; a lone neutral is nothing."""
    for phases in _by_preference(places or {}):
        if parts := tuple([pick for phase, pick in phases.items() if phase not in ("", "N")]):
            return parts
        if "" in phases:
            return (phases[""],)
    return ()


def _pairs(currents: _Places, voltages: _Places | None) -> tuple[tuple[_Pick, tuple[_Pick, ...]], ...]:
    """Each phase's current with its voltage, or where it has none with all of them."""
    by_phase = {phase: pick for phase, pick in _by_preference(currents)[0].items() if phase != "N"}
    if len(by_phase) > 1:
        by_phase.pop("", None)
    volts: _Phases = {}
    for phase, (index, factor) in (_by_preference(voltages)[0] if voltages else {}).items():
        if phase in _LINE_TO_LINE:
            volts.setdefault(_LINE_TO_LINE[phase], (index, factor / sqrt(3)))
        elif phase != "N":
            volts[phase] = (index, factor)
    if not volts:
        return ()
    return tuple(
        [(pick, (volts[phase],) if phase in volts else tuple(volts.values())) for phase, pick in by_phase.items()]
    )
