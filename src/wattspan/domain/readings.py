"""Samples of MeterValues to `Reading`s: energy, current and power in base units. It knows no OCPP version."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any, NamedTuple

from wattspan.domain.events import Payload, Reading
from wattspan.domain.packed_samples import PackedSamples

Kind = tuple[str, str, str, str, str]
"""A sample's (measurand, phase, location, context, unit). A plain tuple, because every message has several.
"" stands for OCPP's default of the field: no phase, at the outlet, periodic, base unit."""

ENERGY = "Energy.Active.Import.Register"
CURRENT = "Current.Import"
INTERVAL = "Energy.Active.Import.Interval"
POWER = "Power.Active.Import"
OFFERED = "Current.Offered"
VOLTAGE = "Voltage"
SOC = "SoC"
BEGIN = "Transaction.Begin"
END = "Transaction.End"
PERIODIC = "Sample.Periodic"
CLOCK = "Sample.Clock"
_BOUNDARIES = (BEGIN, END)
_MEASURANDS = frozenset({ENERGY, INTERVAL, CURRENT, POWER, OFFERED, VOLTAGE, SOC})
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
    "kv": 1e3,
    "MWh": 1e6,
    "MW": 1e6,
}
"""Factors to the base unit, by unit as OCPP spells it and in lower case."""
_PHASES: Mapping[str, str] = {"L1-N": "L1", "L2-N": "L2", "L3-N": "L3"}
_LINE_TO_LINE: Mapping[str, str] = {"L1-L2": "L1", "L2-L3": "L2", "L3-L1": "L3"}

_SPELLING: Mapping[str, str] = {
    word.casefold(): word
    for word in (
        *(
            ENERGY,
            INTERVAL,
            CURRENT,
            POWER,
            OFFERED,
            VOLTAGE,
            SOC,
            BEGIN,
            END,
            PERIODIC,
            CLOCK,
            *_ALIASES,
            *_LOCATIONS,
            *_PHASES,
            *_LINE_TO_LINE,
        ),
        *("L1", "L2", "L3", "N"),
    )
}

MAX_PLANS = 1024
MAX_PLANNED_SAMPLES = 128
MAX_PLANNED_CHARACTERS = 4096
"""Limits of the cache of plans, and of a cached shape: some charge points send a new shape each time. A full cache is
emptied, so that nobody else has to go without it."""

_Shape = tuple[Kind, ...]
"""The samples without their values. Plans depend only on the shape, so they are cached by shape."""
_Key = tuple[str, str, str, str]
"""Measurand, phase, location and context: a reading has one sample of each."""
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
    ends: bool
    location: str
    """Of `register`."""
    others: tuple[tuple[str, tuple[_Pick, ...]], ...]
    """The registers of all locations, if there are several."""
    inlet: bool
    interval: tuple[str, tuple[_Pick, ...]] | None
    """The context and the samples of Energy.Active.Import.Interval, if there is no register."""
    singles: tuple[_Pick | None, ...] | None
    """If each figure is that of one sample, as in nearly all messages: register, current, power, offered and soc."""


_Part = tuple[int, ...]
"""The indices of one reading's samples in a shape."""


class _Planned(NamedTuple):
    """One of the readings of a shape. The indices in its plan are those within its part."""

    plan: _Plan
    part: _Part


_plans: dict[_Shape, tuple[_Planned, ...]] = {}
_shapes: dict[_Shape, _Shape] = {}
"""The shapes in `_plans`, so that messages of equal shape share one object."""


class Entry(NamedTuple):
    """A MeterValue: the charger's time, the kinds and values of its samples, and the samples as sent."""

    charger_ts: float | None
    kinds: Sequence[Kind]
    values: list[float]
    wire: Sequence[Payload]


def readings(
    charger_ts: float | None, kinds: Sequence[Kind], values: Sequence[float], wire: Sequence[Payload]
) -> tuple[Reading, ...]:
    """Return the readings of samples that were all taken at one time; nearly always one.

    Samples are kept apart by measurand, location and phase; the location Outlet takes precedence. Energy and power of
    phases are summed, of currents the highest phase counts, a neutral never counts. Samples whose unit is of another
    quantity are left out. Samples of the contexts Transaction.Begin and Transaction.End are readings of their own, and
    a sample that is there already begins the next reading.
    """
    shape = tuple(kinds)
    plans = _plans.get(shape) or _make_plans(shape)
    if len(plans) == 1:
        return (_reading(charger_ts, values, plans[0].plan, wire),)
    return tuple(
        [
            _reading(charger_ts, [values[index] for index in part], plan, _samples_of(part, wire, len(shape)))
            for plan, part in plans
        ]
    )


def _samples_of(part: "_Part", wire: Sequence[Payload], kinds: int) -> Sequence[Payload]:
    """Return the samples of one of several readings; all of them if it is not known which kind is whose."""
    if len(wire) != kinds:
        return wire
    return wire.pick(part) if type(wire) is PackedSamples else [wire[index] for index in part]


def check(kinds: Iterable[Kind]) -> Sequence[Kind]:
    """Return the kinds; equal ones are one object. Raises AttributeError or TypeError if a field is no text."""
    shape = tuple(kinds)
    if shape not in _plans:
        _ = {_canonical(kind) for kind in set(shape)} if len(shape) > MAX_PLANNED_SAMPLES else _make_plans(shape)
    return _shapes.get(shape, shape)


def by_time(parts: list[tuple[Any, float | None]]) -> list[tuple[Any, float | None]]:
    """Return (samples, charger's time) in the order of the times; unchanged if one has none.

    Some chargers send the newest first.
    """
    times = [measured_ts for _, measured_ts in parts if measured_ts is not None]
    if len(times) < len(parts) or all(earlier <= later for earlier, later in pairwise(times)):
        return parts
    return sorted(parts, key=lambda part: part[1] or 0.0)


def combined(entries: Iterable[Entry]) -> tuple[Reading, ...]:
    """Return the readings of a message: its MeterValues of equal time are one, until a sample repeats.

    Some chargers send a MeterValue for each measurand, location or phase.
    """
    groups: list[Entry] = []
    latest: dict[float | None, int] = {}
    keys: dict[int, set[_Key]] = {}
    for entry in entries:
        at = latest.get(entry.charger_ts)
        if at is not None:
            if not entry.kinds and not entry.wire:
                continue
            found, added = keys.get(at) or _keys(groups[at].kinds), _keys(entry.kinds)
            if found.isdisjoint(added):
                group = groups[at]
                if at not in keys:
                    group = groups[at] = Entry(entry.charger_ts, [*group.kinds], [*group.values], [*group.wire])
                keys[at] = found | added
                group.kinds.extend(entry.kinds)  # type: ignore[attr-defined]  # the lists made above
                group.values.extend(entry.values)
                group.wire.extend(entry.wire)  # type: ignore[attr-defined]
                continue
        latest[entry.charger_ts] = len(groups)
        groups.append(entry)
    results: list[Reading] = []
    groups.reverse()
    while groups:  # freed one by one: there may be many
        results.extend(readings(*groups.pop()))
    return tuple(results)


def _keys(kinds: Iterable[Kind]) -> set["_Key"]:
    """Return what identifies the samples that figures are computed from."""
    return {key for kind in kinds if (key := _key(kind)) is not None}


def _key(kind: Kind) -> "_Key | None":
    """Return what identifies a sample within a reading; None if no figure is computed from it."""
    measurand, phase, location, context, unit = kind
    measurand = _ALIASES.get(measurand, measurand)
    if measurand not in _MEASURANDS or _factor(unit) is None:
        return None
    return measurand, phase, location or DEFAULT_LOCATION, context or PERIODIC


def _factor(unit: str) -> float | None:
    return _FACTORS.get(unit) or _FACTORS.get(unit.strip().casefold())


def _reading(charger_ts: float | None, values: Sequence[float], plan: "_Plan", wire: Sequence[Payload]) -> Reading:
    register, current, power, apparent, offered, soc, begins, ends, location, others, inlet, interval, singles = plan
    if singles is not None:
        one_register, one_current, one_power, one_offered, one_soc = singles
        found = (
            charger_ts,
            None if one_register is None else values[one_register[0]] * one_register[1],
            None if one_current is None else values[one_current[0]] * one_current[1],
            None if one_power is None else values[one_power[0]] * one_power[1],
            None if one_offered is None else values[one_offered[0]] * one_offered[1],
            None if one_soc is None else values[one_soc[0]] * one_soc[1],
            begins,
            wire,
            ends,
            location,
            (),
            inlet,
            None,
        )
        return tuple.__new__(Reading, found)  # takes a third of the time of `Reading`, which is Python code
    return Reading(
        charger_ts,
        _figure(values, register, sum) if register else None,
        _figure(values, current, max) if current else None,
        _apparent(values, apparent) if apparent else _figure(values, power, sum) if power else None,
        _figure(values, offered, max) if offered else None,
        _figure(values, soc, max) if soc else None,
        begins,
        wire,
        ends,
        location,
        tuple([(name, _figure(values, picks, sum)) for name, picks in others]) if others else (),
        inlet,
        (interval[0], _figure(values, interval[1], sum)) if interval else None,
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


def _make_plans(written: _Shape) -> tuple[_Planned, ...]:
    """Return the plans of a new shape, one for each reading, and cache them within limits.

    The readings of a long shape mostly have the same samples, and then the same plan.
    """
    canonical = {kind: _canonical(kind) for kind in set(written)}
    shape = tuple([canonical[kind] for kind in written])
    made: dict[_Shape, _Plan] = {}
    planned = []
    for part in _split(shape):
        kinds = tuple([shape[index] for index in part])
        plan = made.get(kinds)
        if plan is None:
            plan = made[kinds] = _make_plan(kinds)
        planned.append(_Planned(plan, tuple(part)))
    plans = tuple(planned)
    is_short = len(written) <= MAX_PLANNED_SAMPLES
    if is_short and sum(len(text) for fields in written for text in fields) <= MAX_PLANNED_CHARACTERS:
        if len(_plans) >= MAX_PLANS:
            _plans.clear()
            _shapes.clear()
        _plans[written] = plans
        _shapes[written] = written
    return plans


def _canonical(kind: Kind) -> Kind:
    """Return the kind in OCPP's own spelling, where it differs from that in case or by space."""
    measurand, phase, location, context, unit = [_SPELLING.get(word.strip().casefold(), word) for word in kind]
    return measurand, phase, location, context, unit


def _split(shape: _Shape) -> list[list[int]]:
    """Return the indices of the samples of each reading: first the begin of a transaction, last its end."""
    found: dict[str, list[tuple[list[int], set[_Key]]]] = {BEGIN: [], "": [], END: []}
    key_of = {kind: _key(kind) for kind in set(shape)}
    for index, kind in enumerate(shape):
        parts = found[kind[3] if kind[3] in _BOUNDARIES else ""]
        key = key_of[kind]
        if not parts or (key is not None and key in parts[-1][1]):
            parts.append(([], set()))
        parts[-1][0].append(index)
        if key is not None:
            parts[-1][1].add(key)
    return [indices for parts in found.values() for indices, _ in parts] or [[]]


def _make_plan(shape: _Shape) -> _Plan:
    measured = _by_measurand(shape)
    contexts = {kind[3] for kind in shape}
    currents, power = measured.get(CURRENT), _total(measured.get(POWER))
    energy = measured.get(ENERGY)
    registers = tuple([(name, picks) for name in _places(energy) if (picks := _total({name: (energy or {})[name]}))])
    register, current = registers[0][1] if registers else (), _phases(currents)
    apparent = () if power or currents is None else _pairs(currents, measured.get(VOLTAGE))
    offered, soc = _phases(measured.get(OFFERED)), _phases(measured.get(SOC))
    figures = (register, current, power, offered, soc)
    intervals = () if register else _total(measured.get(INTERVAL))
    has_one_each = len(registers) <= 1 and not apparent and not intervals and all(len(picks) <= 1 for picks in figures)
    return _Plan(
        register=register,
        current=current,
        power=power,
        apparent=apparent,
        offered=offered,
        soc=soc,
        begins=contexts == {BEGIN},
        ends=contexts == {END},
        location=registers[0][0] if registers else DEFAULT_LOCATION,
        others=registers if len(registers) > 1 else (),
        inlet=any(DEFAULT_LOCATION not in measured[name] for name in (CURRENT, POWER) if name in measured),
        interval=(shape[intervals[0][0]][3] or PERIODIC, intervals) if intervals else None,
        singles=tuple([picks[0] if picks else None for picks in figures]) if has_one_each else None,
    )


def _by_measurand(shape: _Shape) -> dict[str, _Places]:
    """Return the picks by measurand, location and phase.

    Those of Sample.Clock, which may be of the main meter, count only beside none of another context.
    """
    measured: dict[str, _Places] = {}
    of_session = {(kind[0], kind[2]) for kind in shape if kind[3] != CLOCK}
    for index, (measurand, phase, location, context, unit) in enumerate(shape):
        factor = _factor(unit)
        if factor is not None and (context != CLOCK or (measurand, location) not in of_session):
            places = measured.setdefault(_ALIASES.get(measurand, measurand), {})
            places.setdefault(location or DEFAULT_LOCATION, {})[_PHASES.get(phase, phase)] = (index, factor)
    return measured


def _places(places: _Places | None) -> list[str]:
    """Return the locations, the preferred one first."""
    names = list(places or {})
    return [name for name in _LOCATIONS if name in names] + [name for name in names if name not in _LOCATIONS]


def _by_preference(places: _Places) -> list[_Phases]:
    """Return the picks of each location, the preferred location first."""
    return [places[name] for name in _places(places)]


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
