"""OCPP 1.6 with its security extension."""

from wattspan.versions.v16.requests import v16

__all__ = ["v16"]
