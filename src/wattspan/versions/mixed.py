"""Chargers that negotiated 2.x and send what only 1.6 has, or in its shape: which version a message is really of."""

from collections.abc import Mapping

from wattspan.versions.base import Payload, Version
from wattspan.versions.v16.requests import v16

_SHAPES: Mapping[str, tuple[frozenset[str], str]] = {
    "Authorize": (frozenset({"idTag"}), "idToken"),
    "BootNotification": (frozenset({"chargePointVendor", "chargePointModel"}), "chargingStation"),
    "MeterValues": (frozenset({"connectorId"}), "evseId"),
    "StatusNotification": (frozenset({"status", "errorCode"}), "connectorStatus"),
}
"""Actions that both have: (fields that 1.6 alone has, the field without which it can't be 2.x)."""


def spoken(negotiated: Version, action: str, payload: Payload) -> Version | None:
    """The older version that a message is of; None where it is of the negotiated one, or of none that we know.

    Ask it only of a message that the negotiated version has no place for, or whose schema it breaks.
    """
    if negotiated is v16:
        return None
    if action not in negotiated.known:
        return v16 if action in v16.requests else None
    own, missing = _SHAPES.get(action, (frozenset(), ""))
    return v16 if missing not in payload and not own.isdisjoint(payload) else None
