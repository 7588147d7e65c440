"""OCPP 2.0.1, and what 2.1 shares with it."""

from wattspan.versions.v2x.requests import v201

__all__ = ["v201"]
