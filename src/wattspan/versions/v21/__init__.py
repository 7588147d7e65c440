"""OCPP 2.1, expressed as its differences from 2.0.1."""

from wattspan.versions.v21.requests import v21

__all__ = ["v21"]
