"""The OCPP versions: for each a table from action to the answer and to the events of the exchange."""

from collections.abc import Mapping

from wattspan.versions.base import Version
from wattspan.versions.v2x.requests import v201
from wattspan.versions.v16.requests import v16
from wattspan.versions.v21.requests import v21

VERSIONS: Mapping[str, Version] = {version.subprotocol: version for version in (v16, v201, v21)}
"""By WebSocket subprotocol, in our order of preference."""

__all__ = ["VERSIONS", "Version"]
