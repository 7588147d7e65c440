"""MeterValue lists of OCPP 2.0.1 and 2.1 (MeterValueType, Part 2 §2.31) to readings. It knows only their format."""

from math import isfinite
from typing import Any

from wattspan.domain.events import Reading
from wattspan.domain.packed_samples import PackedSamples
from wattspan.domain.readings import ENERGY, Entry, Kind, by_time, check, combined
from wattspan.domain.readings import readings as readings_of
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.fields import number, whole, word

MAX_EXPONENT = 30
"""Of a unit's multiplier, up or down; a value with a larger one is left out."""

_DIGITS = 6
"""Decimals of a scaled value: 1.001 kWh is 1001 Wh, not 1000.9999999999999."""
_INVALID = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
_POWERS: list[float] = [10.0**exponent for exponent in range(MAX_EXPONENT + 1)]

Dated = tuple[Any, float | None]
"""A timestamp as sent, and as Unix seconds: most readings have the timestamp of their message."""


def readings(meter_values: Any, dated: Dated = (None, None)) -> tuple[Reading, ...]:
    """Return the readings of MeterValues. Entries that are no objects and values that are no numbers are left out.

    `dated`: a timestamp that was parsed already.
    """
    if type(meter_values) is dict:
        meter_values = [meter_values]
    if type(meter_values) is not list:
        return ()
    if len(meter_values) == 1 and type(entry := meter_values[0]) is dict:
        return _readings(entry.get("sampledValue"), _measured_ts(entry.get("timestamp"), dated))
    parts = [
        (entry.get("sampledValue"), _measured_ts(entry.get("timestamp"), dated))
        for entry in meter_values
        if type(entry) is dict
    ]
    if len(parts) == 1:
        return _readings(*parts[0])
    parts = by_time(parts)
    if len({measured_ts for _, measured_ts in parts}) == len(parts):
        return tuple([reading for wire, measured_ts in parts for reading in _readings(wire, measured_ts)])
    return combined(_entry(wire, measured_ts) for wire, measured_ts in parts)


def _measured_ts(timestamp: Any, dated: Dated) -> float | None:
    return dated[1] if type(timestamp) is str and timestamp == dated[0] else charger_ts(timestamp)


def _readings(wire: Any, measured_ts: float | None) -> tuple[Reading, ...]:
    """Return the readings of the samples of one time."""
    try:
        return readings_of(measured_ts, *_well_formed(wire), wire)
    except _INVALID:
        return readings_of(*_leniently(wire, measured_ts))


def _entry(wire: Any, measured_ts: float | None) -> Entry:
    """Return the samples of one MeterValue."""
    try:
        kinds, values = _well_formed(wire)
        return Entry(measured_ts, check(kinds), values, wire)
    except _INVALID:
        return _leniently(wire, measured_ts)


def _well_formed(wire: list[dict[str, Any]]) -> tuple[list[Kind], list[float]]:
    """Return the kinds and values of valid SampledValues (§2.42). Raises one of _INVALID for any others."""
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
            unit = sampled["unit"]  # as in 1.6; some 2.0.1 chargers send it
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
    return kinds, values


def scaled(value: float, exponent: int | None) -> float:
    """Return `value` times ten to the `exponent` (UnitOfMeasureType.multiplier). ValueError beyond MAX_EXPONENT."""
    if not exponent:
        return value
    if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        raise ValueError
    found = value * _POWERS[exponent] if exponent > 0 else value / _POWERS[-exponent]
    return round(found, _DIGITS)


def _leniently(wire: Any, measured_ts: float | None) -> Entry:
    """Return the samples of a list with invalid parts: values that are no numbers, fields of the wrong type."""
    if type(wire) is dict:
        wire = [wire]
    kept = [sampled for sampled in wire if type(sampled) is dict] if type(wire) in (list, PackedSamples) else []
    kinds: list[Kind] = []
    values = []
    for sampled in kept:
        value = _value(sampled)
        if value is not None:
            measurand, phase, location, context = (
                word(sampled.get(name)) for name in ("measurand", "phase", "location", "context")
            )
            kinds.append((measurand or ENERGY, phase, location, context, word(_measure(sampled).get("unit"))))
            values.append(value)
    return Entry(measured_ts, kinds, values, kept)


def _value(sampled: dict[str, Any]) -> float | None:
    value, exponent = number(sampled.get("value")), _measure(sampled).get("multiplier")
    if value is None:
        return None
    try:
        found = scaled(value, 0 if exponent is None else whole(exponent))
    except _INVALID:
        return None
    return found if isfinite(found) else None


def _measure(sampled: dict[str, Any]) -> dict[str, Any]:
    """Return its unit and multiplier, the unit also from the field of 1.6."""
    measure = sampled.get("unitOfMeasure")
    return measure if type(measure) is dict else {"unit": measure or sampled.get("unit")}
