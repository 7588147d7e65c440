"""Decides what a connection proves about the security profile that a charge point can use. It stores nothing.

OCPP 1.6 security whitepaper A05, 2.0.1 Part 2 A05: a charge point that has used a stronger profile must not fall back.
"""

from collections.abc import Mapping

from wattspan.store.records import Registration

KEPT_FROM = 2
"""The lowest security profile that is required from then on once a charge point has connected with it."""


def proven(known: Registration | None, profile: int) -> Mapping[str, int | bool | None]:
    """Return the columns to change after a connection with this profile; empty if it proves nothing new.

    A profile that a command set is required once it was used: until then, the charge point may fall back. After an
    operator lowered the required profile, connections do not raise it until the charge point has used a lower one.
    """
    own = (known.security_profile if known is not None else None) or 0
    pending = known.pending_profile if known is not None else None
    reached = pending is not None and profile >= pending
    changed: dict[str, int | bool | None] = {"pending_profile": None} if reached else {}
    if known is not None and known.profile_lowered:
        if profile <= max(own, KEPT_FROM - 1):
            changed["profile_lowered"] = False
        if not reached:
            return changed
    if profile > own and (profile >= KEPT_FROM or reached):
        changed |= {"security_profile": profile, "profile_lowered": False}
    return changed
