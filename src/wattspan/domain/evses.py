"""The status of an EVSE, out of what its connectors and its transaction tell apart (OCPP 2.x), in the words of 1.6."""

from wattspan.domain.model import Connector
from wattspan.domain.status import CHARGING_STATES, OCCUPIED

MAX_OUTLETS = 16
"""Connectors kept apart an EVSE; of one that names more, the last is replaced."""
AVAILABLE = "Available"
FINISHING = "Finishing"
PREPARING = "Preparing"

_COUNTS_FIRST = (OCCUPIED, "Faulted", "Reserved", "Unavailable")
"""Of several connectors that are not available: while one is in use, others are often reported unavailable."""
_STAYS = frozenset({"Faulted", "Unavailable"})
"""What only the charger's next status takes back."""


def status_told(connector: Connector, outlet: str, word: str) -> str:
    """Note what a connector of the EVSE said (G01); returns what it makes the EVSE's status."""
    if outlet not in connector.outlets and len(connector.outlets) >= MAX_OUTLETS:
        connector.outlets.popitem()
    connector.outlets[outlet] = word
    whole = _whole(connector)
    return _occupied(connector) if whole == OCCUPIED else whole or ""


def state_told(connector: Connector, state: str, *, is_past: bool) -> str | None:
    """What a transaction's new chargingState makes the EVSE's status; None: it stays.

    A state of the past (stored while offline) only tells apart what Occupied means now.
    """
    whole, refined = _whole(connector), CHARGING_STATES.get(state)
    if whole == OCCUPIED:
        return refined
    if refined is None or is_past or whole in _STAYS or state == "Idle":
        return None
    return refined


def ended(connector: Connector, *, is_past: bool) -> str | None:
    """What the end of its transaction makes the EVSE's status; None: it stays."""
    whole = _whole(connector)
    return FINISHING if whole == OCCUPIED or (whole is None and not is_past) else None


def _whole(connector: Connector) -> str | None:
    """The word of 2.x that counts for the EVSE: of its connectors, the one that is not available."""
    words = connector.outlets.values()
    for word in _COUNTS_FIRST:
        if word in words:
            return word
    return next((word for word in words if word != AVAILABLE), next(iter(words), None))


def _occupied(connector: Connector) -> str:
    """What Occupied means: the charging state, before a transaction a preparation, after it the end of it."""
    if connector.transaction is not None:
        return CHARGING_STATES.get(connector.transaction.charging_state, PREPARING)
    return FINISHING if connector.status == FINISHING else PREPARING
