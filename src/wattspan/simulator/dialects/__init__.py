"""The versions of OCPP that virtual charge points speak: a file each, and its commands'. Everything else is shared."""

from collections.abc import Mapping

from wattspan.simulator.dialects.base import Dialect
from wattspan.simulator.dialects.v16 import V16
from wattspan.simulator.dialects.v21 import V21
from wattspan.simulator.dialects.v201 import V201

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (V16(), V201, V21)}
"""By the version's number."""
