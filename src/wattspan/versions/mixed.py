"""Chargers that negotiated 2.x and send messages of 1.6, or in its format: which version a message really is of."""

from collections.abc import Mapping

from wattspan.versions.base import Payload, Version
from wattspan.versions.v16.requests import v16

_FORMATS: Mapping[str, tuple[frozenset[str], str]] = {
    "Authorize": (frozenset({"idTag"}), "idToken"),
    "BootNotification": (frozenset({"chargePointVendor", "chargePointModel"}), "chargingStation"),
    "MeterValues": (frozenset({"connectorId"}), "evseId"),
    "StatusNotification": (frozenset({"status", "errorCode"}), "connectorStatus"),
}
"""Actions of both versions: (fields that only 1.6 has, the field without which it can't be 2.x)."""


def actual_version(negotiated: Version, action: str, payload: Payload) -> Version | None:
    """Return the older version that a message is of; None if it is of the negotiated one, or of none that we know.

    For messages whose action the negotiated version does not have, or whose schema they break.
    """
    if negotiated is v16:
        return None
    if action not in negotiated.known:
        return v16 if action in v16.requests else None
    own, missing = _FORMATS.get(action, (frozenset(), ""))
    return v16 if missing not in payload and not own.isdisjoint(payload) else None
