"""MeterValue lists of OCPP 1.6 (§7.33) as readings. It knows their shape; what values mean is for `domain.energy`."""

from math import isfinite
from typing import Any

from wattspan.domain.energy import ENERGY, Sample, reading
from wattspan.domain.events import Reading
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.fields import number

_FIELDS = ("measurand", "phase", "location", "context", "unit")
_ODD = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


def readings(meter_values: Any) -> tuple[Reading, ...]:
    """One reading a MeterValue. What is no object is left out; a value that is no number leaves only itself out."""
    if type(meter_values) is dict:
        meter_values = [meter_values]
    if type(meter_values) is not list:
        return ()
    return tuple([_reading(entry) for entry in meter_values if type(entry) is dict])


def _reading(entry: dict[str, Any]) -> Reading:
    """A MeterValue: one moment, and all that was sampled at it."""
    wire = entry.get("sampledValue")
    told_ts = charger_ts(entry.get("timestamp"))
    try:
        return reading([_sample(sampled) for sampled in wire], told_ts, wire)  # type: ignore[union-attr, arg-type]
    except _ODD:
        return _leniently(wire, told_ts)


def _sample(sampled: dict[str, Any]) -> Sample:
    """A well-formed SampledValue (§7.43). Raises one of _ODD for any other."""
    get = sampled.get
    value = float(sampled["value"])
    if not isfinite(value) or get("format") == "SignedData":
        raise ValueError
    return (
        get("measurand", ENERGY),
        get("phase", ""),
        get("location", ""),
        get("context", ""),
        get("unit", ""),
        value,
    )


def _leniently(wire: Any, told_ts: float | None) -> Reading:
    """The same for a list in which something is odd: signed data, empty values, fields of the wrong type."""
    if type(wire) is dict:
        wire = [wire]
    kept = [sampled for sampled in wire if type(sampled) is dict] if type(wire) is list else []
    samples = []
    for sampled in kept:
        value = number(sampled.get("value"))
        if value is not None and sampled.get("format") != "SignedData":
            measurand, phase, location, context, unit = (_word(sampled.get(name)) for name in _FIELDS)
            samples.append((measurand or ENERGY, phase, location, context, unit, value))
    return reading(samples, told_ts, kept)


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
