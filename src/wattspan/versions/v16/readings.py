"""MeterValue lists of OCPP 1.6 (§7.33) as readings. It knows their shape; what values mean is for `domain.energy`."""

from math import isfinite
from typing import Any

from wattspan.domain.energy import ENERGY, Kind, reading
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
        return _well_formed(wire, told_ts)  # type: ignore[arg-type]
    except _ODD:
        return _leniently(wire, told_ts)


def _well_formed(wire: list[dict[str, Any]], told_ts: float | None) -> Reading:
    """SampledValues as they should be (§7.43). Raises one of _ODD for any others."""
    kinds: list[Kind] = []
    values = []
    for sampled in wire:
        kinds.append(
            (
                sampled.get("measurand", ENERGY),
                sampled.get("phase", ""),
                sampled.get("location", ""),
                sampled.get("context", ""),
                sampled.get("unit", ""),
            )
        )
        values.append(float(sampled["value"]))
        if "format" in sampled and sampled["format"] == "SignedData":
            raise ValueError
    if not isfinite(sum(values)):
        raise ValueError
    return reading(kinds, values, told_ts, wire)


def _leniently(wire: Any, told_ts: float | None) -> Reading:
    """The same for a list in which something is odd: signed data, empty values, fields of the wrong type."""
    if type(wire) is dict:
        wire = [wire]
    kept = [sampled for sampled in wire if type(sampled) is dict] if type(wire) is list else []
    kinds: list[Kind] = []
    values = []
    for sampled in kept:
        value = number(sampled.get("value"))
        if value is not None and sampled.get("format") != "SignedData":
            measurand, phase, location, context, unit = (_word(sampled.get(name)) for name in _FIELDS)
            kinds.append((measurand or ENERGY, phase, location, context, unit))
            values.append(value)
    return reading(kinds, values, told_ts, kept)


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
