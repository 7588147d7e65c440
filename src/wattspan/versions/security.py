"""Commands that give a charge point a Basic password or a security profile, and what their answers mean for it.

OCPP 1.6 security whitepaper A01 and A05, 2.0.1 Part 2 A01 and A05. It must not know who may connect, or the store.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Payload = dict[str, Any]


class Outcome(Enum):
    """What an answer means for one password or profile."""

    APPLIED = "it uses the value from its next connection"
    RESTART = "it uses the value after a restart"
    NETWORK = "it uses the value with another network profile, if ever"
    REFUSED = "it did not take the value"
    UNKNOWN = "the answer does not name a known status"


Read = Callable[[Payload], Outcome]
"""The answer to a command to the outcome for one of its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityChange:
    """One value in a command: a password, or a security profile. `identity` None: of the charge point it is sent to."""

    secret: str | None = field(default=None, repr=False)
    profile: int | None = None
    identity: str | None = None
    outcome: Read


Changes = Sequence[SecurityChange]


_STATUSES = {
    "Accepted": Outcome.APPLIED,
    "RebootRequired": Outcome.RESTART,
    "Rejected": Outcome.REFUSED,
    "Failed": Outcome.REFUSED,
    "NotSupported": Outcome.REFUSED,
    "UnknownComponent": Outcome.REFUSED,
    "UnknownVariable": Outcome.REFUSED,
    "NotSupportedAttributeType": Outcome.REFUSED,
}
_NETWORK = "networkconfiguration"


def configuration_change(call: Payload) -> Changes:
    """Return what ChangeConfiguration sets. Keys ignore letter case (OCPP 1.6 §7.29, CiString50Type)."""
    key, value = _name(call.get("key")), call.get("value")
    if not isinstance(value, str) or not value:
        return ()
    if key == "authorizationkey":
        return (SecurityChange(secret=value, outcome=_status),)
    profile = _profile(value) if key == "securityprofile" else None
    return () if profile is None else (SecurityChange(profile=profile, outcome=_status),)


def variables_change(call: Payload) -> Changes:
    """Return what SetVariables sets: each variable has a result of its own.

    Passwords and profiles of the component NetworkConfiguration apply when the charge point uses that configuration.
    """
    found: list[SecurityChange] = []
    seen: dict[tuple[str, ...], int] = {}
    for entry in _objects(call.get("setVariableData")):
        named, value = _variable(entry), entry.get("attributeValue")
        nth = seen[named] = seen.get(named, -1) + 1
        component, variable, *_, attribute = named
        if not isinstance(value, str) or not value or attribute != "actual":
            continue
        outcome = _variable_outcome(named, nth, of_network=component == _NETWORK)
        if variable == "basicauthpassword":
            found.append(SecurityChange(secret=value, outcome=outcome))
        elif variable == "securityprofile" and (profile := _profile(value)) is not None:
            found.append(SecurityChange(profile=profile, outcome=outcome))
    return found


def network_profile_change(call: Payload) -> Changes:
    """Return what SetNetworkProfile sets. It applies when the charge point uses that network profile (B09, B10)."""
    connection = call.get("connectionData")
    if not isinstance(connection, dict):
        return ()
    found: list[SecurityChange] = []
    identity = connection.get("identity")
    named = identity if isinstance(identity, str) and identity else None
    secret, profile = connection.get("basicAuthPassword"), _profile(connection.get("securityProfile"))
    if isinstance(secret, str) and secret:
        found.append(SecurityChange(secret=secret, identity=named, outcome=_network_status))
    if profile is not None:
        found.append(SecurityChange(profile=profile, identity=named, outcome=_network_status))
    return found


def _status(answer: Payload) -> Outcome:
    return _outcome(answer.get("status"))


def _network_status(answer: Payload) -> Outcome:
    return _of_network(_status(answer))


def _variable_outcome(named: tuple[str, ...], nth: int, *, of_network: bool) -> Read:
    """Return a reader of the `nth` result that names the variable; results may come in any order."""

    def outcome(answer: Payload) -> Outcome:
        own = [result for result in _objects(answer.get("setVariableResult")) if _variable(result) == named]
        read = _outcome(own[nth].get("attributeStatus")) if nth < len(own) else Outcome.UNKNOWN
        return _of_network(read) if of_network else read

    return outcome


def _of_network(outcome: Outcome) -> Outcome:
    return outcome if outcome is Outcome.REFUSED else Outcome.NETWORK


def _outcome(status: Any) -> Outcome:
    return _STATUSES.get(status, Outcome.UNKNOWN) if isinstance(status, str) else Outcome.UNKNOWN


def _variable(entry: Payload) -> tuple[str, ...]:
    """Return names and instances of a component's variable, and the attribute, in lower case."""
    component, variable = entry.get("component"), entry.get("variable")
    parts = [
        _name(part.get(field)) if isinstance(part, dict) else ""
        for field in ("name", "instance")
        for part in (component, variable)
    ]
    return (*parts, _name(entry.get("attributeType")) or "actual")


def _name(value: Any) -> str:
    return value.strip().casefold() if isinstance(value, str) else ""


def _profile(value: Any) -> int | None:
    """Return a security profile of 0 to 3, or None."""
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return int(text) if text in {"0", "1", "2", "3"} else None


def _objects(value: Any) -> Iterable[Payload]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
