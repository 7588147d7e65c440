"""MeterValue lists of OCPP 2.0.1 and 2.1 (MeterValueType, Part 2 §2.31) as readings. It knows their shape alone."""

from math import isfinite
from typing import Any

from wattspan.domain.energy import ENERGY, Kind, reading
from wattspan.domain.events import Reading
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.fields import number, whole

MAX_EXPONENT = 30
"""Of a unit's multiplier, up or down; with more, nothing was measured that we could mean."""

_DIGITS = 6
"""Decimals kept of a scaled value: 1.001 kWh are 1001 Wh, and not 1000.9999999999999."""
_ODD = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
_POWERS: list[float] = [10.0**exponent for exponent in range(MAX_EXPONENT + 1)]


Dated = tuple[Any, float | None]
"""A time as sent, and what it is: readings are mostly of the very moment that the message itself tells."""


def readings(meter_values: Any, dated: Dated = (None, None)) -> tuple[Reading, ...]:
    """One reading a MeterValue. What is no object is left out; a value that is no number leaves only itself out."""
    if type(meter_values) is dict:
        meter_values = [meter_values]
    if type(meter_values) is not list:
        return ()
    return tuple([_reading(entry, dated) for entry in meter_values if type(entry) is dict])


def _reading(entry: dict[str, Any], dated: Dated) -> Reading:
    wire, timestamp = entry.get("sampledValue"), entry.get("timestamp")
    told_ts = dated[1] if type(timestamp) is str and timestamp == dated[0] else charger_ts(timestamp)
    try:
        return _well_formed(wire, told_ts)  # type: ignore[arg-type]
    except _ODD:
        return _leniently(wire, told_ts)


def _well_formed(wire: list[dict[str, Any]], told_ts: float | None) -> Reading:
    """SampledValues as they should be (§2.42). Raises one of _ODD for any others."""
    kinds: list[Kind] = []
    values = []
    for sampled in wire:
        unit, value = "", float(sampled["value"])
        if "unitOfMeasure" in sampled:
            measure = sampled["unitOfMeasure"]
            unit = measure.get("unit", "")
            if "multiplier" in measure:
                value = scaled(value, measure["multiplier"])
        elif "unit" in sampled:
            unit = sampled["unit"]  # 1.6's way, which is met in 2.0.1 too
        kinds.append(
            (
                sampled.get("measurand", ENERGY),
                sampled.get("phase", ""),
                sampled.get("location", ""),
                sampled.get("context", ""),
                unit,
            )
        )
        values.append(value)
    if not isfinite(sum(values)):
        raise ValueError
    return reading(kinds, values, told_ts, wire)


def scaled(value: float, exponent: int | None) -> float:
    """`value` times ten to the `exponent` (UnitOfMeasureType.multiplier). Raises one of _ODD for an absurd one."""
    if not exponent:
        return value
    if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        raise ValueError
    found = value * _POWERS[exponent] if exponent > 0 else value / _POWERS[-exponent]
    return round(found, _DIGITS)


def _leniently(wire: Any, told_ts: float | None) -> Reading:
    """The same for a list in which something is odd: a value or a multiplier that is none, fields of the wrong type."""
    if type(wire) is dict:
        wire = [wire]
    kept = [sampled for sampled in wire if type(sampled) is dict] if type(wire) is list else []
    kinds: list[Kind] = []
    values = []
    for sampled in kept:
        value = _value(sampled)
        if value is not None:
            measurand, phase, location, context = (
                _word(sampled.get(name)) for name in ("measurand", "phase", "location", "context")
            )
            kinds.append((measurand or ENERGY, phase, location, context, _word(_measure(sampled).get("unit"))))
            values.append(value)
    return reading(kinds, values, told_ts, kept)


def _value(sampled: dict[str, Any]) -> float | None:
    value, exponent = number(sampled.get("value")), _measure(sampled).get("multiplier")
    if value is None:
        return None
    try:
        found = scaled(value, 0 if exponent is None else whole(exponent))
    except _ODD:
        return None
    return found if isfinite(found) else None


def _measure(sampled: dict[str, Any]) -> dict[str, Any]:
    """Its unit and multiplier, the unit also where 1.6 has it."""
    measure = sampled.get("unitOfMeasure")
    return measure if type(measure) is dict else {"unit": measure or sampled.get("unit")}


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
