"""The OCPP versions of virtual charge points: one module for the messages of a version and one for its commands.

They own every payload. They must not know the connection or timing.
"""

from collections.abc import Mapping

from wattspan.simulator.dialects.base import Dialect
from wattspan.simulator.dialects.v16 import V16
from wattspan.simulator.dialects.v21 import V21
from wattspan.simulator.dialects.v201 import V201

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (V16(), V201, V21)}
"""Dialects by OCPP version: "1.6", "2.0.1", "2.1"."""
