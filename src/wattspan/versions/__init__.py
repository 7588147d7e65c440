"""The OCPP versions, one table each: action to answer and to what the conversation meant."""

from collections.abc import Mapping

from wattspan.versions.base import Version
from wattspan.versions.v16 import v16
from wattspan.versions.v21 import v21
from wattspan.versions.v201 import v201

VERSIONS: Mapping[str, Version] = {version.subprotocol: version for version in (v16, v201, v21)}
"""By WebSocket subprotocol; the order is ours of preference."""

__all__ = ["VERSIONS", "Version"]
