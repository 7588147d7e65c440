"""MeterValue lists of OCPP 1.6 (§7.33) to readings. It knows their format; `domain.readings` knows what values mean."""

from math import isfinite
from typing import Any

from wattspan.domain.events import Reading
from wattspan.domain.packed_samples import PackedSamples
from wattspan.domain.readings import ENERGY, Entry, Kind, by_time, check, combined
from wattspan.domain.readings import readings as readings_of
from wattspan.domain.timestamps import charger_ts
from wattspan.versions.fields import number, word

_FIELDS = ("measurand", "phase", "location", "context", "unit")
_INVALID = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


def readings(meter_values: Any) -> tuple[Reading, ...]:
    """Return the readings of MeterValues. Entries that are no objects and values that are no numbers are left out."""
    if type(meter_values) is dict:
        meter_values = [meter_values]
    if type(meter_values) is not list:
        return ()
    if len(meter_values) == 1 and type(entry := meter_values[0]) is dict:
        return _readings(entry.get("sampledValue"), charger_ts(entry.get("timestamp")))
    parts = [
        (entry.get("sampledValue"), charger_ts(entry.get("timestamp"))) for entry in meter_values if type(entry) is dict
    ]
    if len(parts) == 1:
        return _readings(*parts[0])
    parts = by_time(parts)
    if len({measured_ts for _, measured_ts in parts}) == len(parts):
        return tuple([reading for wire, measured_ts in parts for reading in _readings(wire, measured_ts)])
    return combined(_entry(wire, measured_ts) for wire, measured_ts in parts)


def _readings(wire: Any, measured_ts: float | None) -> tuple[Reading, ...]:
    """Return the readings of the samples of one time."""
    try:
        return readings_of(measured_ts, *_well_formed(wire), wire)
    except _INVALID:
        return readings_of(*_leniently(wire, measured_ts))


def _entry(wire: Any, measured_ts: float | None) -> Entry:
    """Return the samples of one MeterValue."""
    if wire is None:
        return Entry(measured_ts, [], [], [])
    try:
        kinds, values = _well_formed(wire)
        return Entry(measured_ts, check(kinds), values, wire)
    except _INVALID:
        return _leniently(wire, measured_ts)


def _well_formed(wire: list[dict[str, Any]]) -> tuple[list[Kind], list[float]]:
    """Return the kinds and values of valid SampledValues (§7.43). Raises one of _INVALID for any others."""
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
    return kinds, values


def _leniently(wire: Any, measured_ts: float | None) -> Entry:
    """Return the samples of a list with invalid parts: signed data, empty values, fields of the wrong type."""
    if type(wire) is dict:
        wire = [wire]
    kept = [sampled for sampled in wire if type(sampled) is dict] if type(wire) in (list, PackedSamples) else []
    kinds: list[Kind] = []
    values = []
    for sampled in kept:
        value = number(sampled.get("value"))
        if value is not None and sampled.get("format") != "SignedData":
            measurand, phase, location, context, unit = (word(sampled.get(name)) for name in _FIELDS)
            kinds.append((measurand or ENERGY, phase, location, context, unit))
            values.append(value)
    return Entry(measured_ts, kinds, values, kept)
