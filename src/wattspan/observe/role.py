"""`Role`: the end of the conversation at which it is observed."""

from enum import Enum


class Role(Enum):
    """Whose messages are handled here, which decides the kinds of the spans.

    CENTRAL_SYSTEM: requests of charge points are SERVER spans, commands are CLIENT spans. CHARGE_POINT: the reverse.
    """

    CENTRAL_SYSTEM = "central system"
    CHARGE_POINT = "charge point"
