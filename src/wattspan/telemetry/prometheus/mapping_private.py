"""The stock Prometheus exporter's mapping of names and units, which lives in a module that begins with an underscore.

A mapping of our own would drift from the specification. `tests/unit/telemetry/test_private_reaches.py` names the
versions this holds for.
"""

from opentelemetry.exporter.prometheus._mapping import map_unit, sanitize_attribute, sanitize_full_name

__all__ = ["map_unit", "sanitize_attribute", "sanitize_full_name"]
