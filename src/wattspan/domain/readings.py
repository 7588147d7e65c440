"""Samples of one MeterValue to a `Reading`: energy, current and power in base units. It knows no OCPP version."""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from wattspan.domain.events import Payload, Reading

Kind = tuple[str, str, str, str, str]
"""A sample's (measurand, phase, location, context, unit). A plain tuple, because every message has several.
"" stands for OCPP's default of the field: no phase, at the outlet, periodic, base unit."""

ENERGY = "Energy.Active.Import.Register"
CURRENT = "Current.Import"
POWER = "Power.Active.Import"
OFFERED = "Current.Offered"
VOLTAGE = "Voltage"
SOC = "SoC"
BEGIN = "Transaction.Begin"
_ALIASES: Mapping[str, str] = {"Current.Import.Offered": OFFERED}
"""New names of OCPP 2.1 for existing measurands."""

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
"""Factors to the base unit, by unit as OCPP spells it and in lower case."""
_PHASES: Mapping[str, str] = {"L1-N": "L1", "L2-N": "L2", "L3-N": "L3"}
_LINE_TO_LINE: Mapping[str, str] = {"L1-L2": "L1", "L2-L3": "L2", "L3-L1": "L3"}

_SPELLING: Mapping[str, str] = {
    word.casefold(): word
    for word in (
        *(ENERGY, CURRENT, POWER, OFFERED, VOLTAGE, SOC, BEGIN, *_ALIASES, *_LOCATIONS, *_PHASES, *_LINE_TO_LINE),
        *("L1", "L2", "L3", "N"),
    )
}

MAX_PLANS = 1024
MAX_PLANNED_CHARACTERS = 4096
"""Limits of the cache of plans and of a cached shape's characters: some charge points send a new shape each time."""

_Shape = tuple[Kind, ...]
"""The samples without their values. A plan depends only on the shape, so plans are cached by shape."""
_Pick = tuple[int, float]
"""The index of a sample, and the factor that converts its value to the base unit."""
_Phases = dict[str, _Pick]
_Places = dict[str, _Phases]
"""Picks by location, and there by phase; "" is no phase."""


class _Plan(NamedTuple):
    """The samples from which each figure is computed. Empty: not measured."""

    register: tuple[_Pick, ...]
    """Summed over the phases; `power` too."""
    current: tuple[_Pick, ...]
    """The highest phase counts; for `offered` and `soc` too."""
    power: tuple[_Pick, ...]
    apparent: tuple[tuple[_Pick, tuple[_Pick, ...]], ...]
    """If no power was sent: each current with the voltages whose mean it is multiplied by."""
    offered: tuple[_Pick, ...]
    soc: tuple[_Pick, ...]
    begins: bool


_plans: dict[_Shape, _Plan] = {}


def reading(
    kinds: Sequence[Kind], values: Sequence[float], charger_ts: float | None, wire: Sequence[Payload]
) -> Reading:
    """Return the reading for samples of these kinds and values, all taken at one time. `wire`: the samples as sent.

    Samples are kept apart by measurand, location and phase; the location Outlet takes precedence. Energy and power of
    phases are summed, of currents the highest phase counts, a neutral never counts. Samples of context
    Transaction.Begin are left out unless there are no others, and so are samples whose unit is of another quantity.
    """
    shape = tuple(kinds)
    register, current, power, apparent, offered, soc, begins = _plans.get(shape) or _make_plan(shape)
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
    """Return the value picked, in the base unit; `join` combines the values of several phases."""
    if len(picks) == 1:
        ((index, factor),) = picks
        return values[index] * factor
    return join([values[index] * factor for index, factor in picks])


def _apparent(values: Sequence[float], pairs: tuple[tuple[_Pick, tuple[_Pick, ...]], ...]) -> float:
    """Return the sum of voltage times current over the phases, which replaces a power that was not sent."""
    return sum(
        values[index] * factor * sum(values[at] * per for at, per in volts) / len(volts)
        for (index, factor), volts in pairs
    )


def _make_plan(written: _Shape) -> _Plan:
    """Return the plan of a new shape, and cache it within limits."""
    shape = tuple([_canonical(kind) for kind in written])
    measured = _by_measurand(shape, skipped=BEGIN)
    begins = not measured and any(context == BEGIN for _, _, _, context, _ in shape)
    if begins:
        measured = _by_measurand(shape, skipped=None)
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
    if len(_plans) < MAX_PLANS and sum(len(text) for fields in written for text in fields) <= MAX_PLANNED_CHARACTERS:
        _plans[written] = plan
    return plan


def _canonical(kind: Kind) -> Kind:
    """Return the kind in OCPP's own spelling, where it differs from that in case or by space."""
    measurand, phase, location, context, unit = [_SPELLING.get(word.strip().casefold(), word) for word in kind]
    return measurand, phase, location, context, unit


def _by_measurand(shape: _Shape, *, skipped: str | None) -> dict[str, _Places]:
    """Return the picks by measurand, location and phase, without those of the context `skipped`."""
    measured: dict[str, _Places] = {}
    for index, (measurand, phase, location, context, unit) in enumerate(shape):
        factor = _FACTORS.get(unit) or _FACTORS.get(unit.strip().casefold())
        if context == skipped or factor is None:
            continue
        places = measured.setdefault(_ALIASES.get(measurand, measurand), {})
        places.setdefault(location or DEFAULT_LOCATION, {})[_PHASES.get(phase, phase)] = (index, factor)
    return measured


def _by_preference(places: _Places) -> list[_Phases]:
    """Return the picks of each location, the preferred location first."""
    known = [places[name] for name in _LOCATIONS if name in places]
    return known + [phases for name, phases in places.items() if name not in _LOCATIONS]


def _total(places: _Places | None) -> tuple[_Pick, ...]:
    """Return the pick without a phase, or else those of all phases but the neutral."""
    for phases in _by_preference(places or {}):
        if "" in phases:
            return (phases[""],)
        if parts := tuple([pick for phase, pick in phases.items() if phase != "N"]):
            return parts
    return ()


def _phases(places: _Places | None) -> tuple[_Pick, ...]:
    """Return the picks of all phases but the neutral, or else the one without a phase."""
    for phases in _by_preference(places or {}):
        if parts := tuple([pick for phase, pick in phases.items() if phase not in ("", "N")]):
            return parts
        if "" in phases:
            return (phases[""],)
    return ()


def _pairs(currents: _Places, voltages: _Places | None) -> tuple[tuple[_Pick, tuple[_Pick, ...]], ...]:
    """Return each phase's current with its voltage, or with all voltages if its phase has none."""
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
