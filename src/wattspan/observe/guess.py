"""Finds the OCPP version of a conversation whose subprotocol is not known, from its CALLs."""

from wattspan.ocppj.frames import Call
from wattspan.versions import VERSIONS
from wattspan.versions.base import Version

THOROUGH_CALLS = 50
"""So many CALLs are checked against all candidates: chargers that differ show it in their first messages."""


class VersionGuess:
    """The versions that a conversation may be of. Each CALL rules out those that it does not fit.

    After THOROUGH_CALLS, a CALL that fits the present guess rules out nothing.
    """

    __slots__ = ("_calls", "_candidates")

    def __init__(self) -> None:
        self._calls = 0
        self._candidates = list(VERSIONS.values())

    @property
    def version(self) -> Version:
        """The oldest version that all CALLs so far fit."""
        return self._candidates[0]

    @property
    def certain(self) -> bool:
        """Whether only one version is left."""
        return len(self._candidates) == 1

    def add(self, call: Call, *, from_charge_point: bool) -> bool:
        """Rule out the versions that `call` does not fit, unless it fits none of them; return whether it fits any.

        If so, it has no schema faults by `version`.
        """
        self._calls += 1
        if self._calls > THOROUGH_CALLS and _fits(self.version, call, from_charge_point=from_charge_point):
            return True
        fitting = [each for each in self._candidates if _fits(each, call, from_charge_point=from_charge_point)]
        if fitting:
            self._candidates = fitting
        return bool(fitting)


def _fits(version: Version, call: Call, *, from_charge_point: bool) -> bool:
    actions = version.requests if from_charge_point else version.commands
    return call.action in actions and not version.schemas.call_faults(call.action, call.payload)
