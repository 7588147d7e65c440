"""The status of an EVSE (OCPP 2.x), derived from its connectors and its transaction, in the words of 1.6."""

from wattspan.domain.model import Connector
from wattspan.domain.status import CHARGING_STATES, OCCUPIED

MAX_OUTLETS = 16
"""Maximum number of connectors per EVSE. A further one replaces the last."""
AVAILABLE = "Available"
FINISHING = "Finishing"
PREPARING = "Preparing"

_PRECEDENCE = (OCCUPIED, "Faulted", "Reserved", "Unavailable")
"""Order of the statuses other than Available: while one connector is in use, others are often reported unavailable."""
_STICKY = frozenset({"Faulted", "Unavailable"})
"""Statuses that only the charger's next status replaces."""


def update_outlet(connector: Connector, outlet: str, status: str) -> str:
    """Record the status of one connector of the EVSE (G01). Return the EVSE's status that follows from it."""
    if outlet not in connector.outlets and len(connector.outlets) >= MAX_OUTLETS:
        connector.outlets.popitem()
    connector.outlets[outlet] = status
    combined = _combined(connector)
    return _occupied(connector) if combined == OCCUPIED else combined or ""


def status_for_state(connector: Connector, state: str, *, is_past: bool) -> str | None:
    """Return the EVSE's status that follows from a transaction's new chargingState; None: it does not change.

    A past state (stored while offline) only changes what Occupied stands for now.
    """
    combined, refined = _combined(connector), CHARGING_STATES.get(state)
    if combined == OCCUPIED:
        return refined
    if refined is None or is_past or combined in _STICKY or state == "Idle":
        return None
    return refined


def status_after_end(connector: Connector, *, is_past: bool) -> str | None:
    """Return the EVSE's status that follows from the end of its transaction; None: it does not change."""
    combined = _combined(connector)
    return FINISHING if combined == OCCUPIED or (combined is None and not is_past) else None


def _combined(connector: Connector) -> str | None:
    """Return the 2.x status that counts for the EVSE: that of the connector which is not available. None: no status."""
    statuses = connector.outlets.values()
    for status in _PRECEDENCE:
        if status in statuses:
            return status
    return next((status for status in statuses if status != AVAILABLE), next(iter(statuses), None))


def _occupied(connector: Connector) -> str:
    """Return the status for Occupied: the charging state of a transaction, Preparing before it, Finishing after it."""
    if connector.transaction is not None:
        return CHARGING_STATES.get(connector.transaction.charging_state, PREPARING)
    return FINISHING if connector.status == FINISHING else PREPARING
