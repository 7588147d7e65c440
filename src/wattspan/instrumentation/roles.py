"""Finds out at which end of the connection a `ChargePoint` of the `ocpp` package is: one class serves both."""

from typing import Any

from wattspan.errors import FrameError, SettingsError
from wattspan.observe import Role
from wattspan.ocppj import frames
from wattspan.ocppj.frames import Call
from wattspan.ocppj.large import LARGE_BYTES
from wattspan.versions import VERSIONS

SUBPROTOCOLS = {"1.6": "ocpp1.6", "2.0": "ocpp2.0.1", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}
"""By `ChargePoint._ocpp_version`."""


def role_named(variable: str, value: str) -> Role:
    """Return the role that a variable of the environment names: `central_system` or `charge_point`.

    Raises SettingsError if it is none.
    """
    try:
        return Role(value.strip().lower().replace("_", " "))
    except ValueError:
        raise SettingsError([f"{variable}: {value} is neither central_system nor charge_point"]) from None


def role_of_connection(connection: Any) -> Role | None:
    """Return the role by the class of the WebSocket: those of `websockets` say whether they are a server's or client's.

    None: the class says nothing, as with an adapter for another library.
    """
    for kind in type(connection).__mro__:
        if "Server" in kind.__name__:
            return Role.CENTRAL_SYSTEM
        if "Client" in kind.__name__:
            return Role.CHARGE_POINT
    return None


def role_of_message(data: str | bytes, *, sent: bool) -> Role | None:
    """Return the role by a message that was sent or received here.

    None: its action is one of both sides, or it is too long to be parsed here.
    """
    if len(data) > LARGE_BYTES:
        return None
    try:
        frame = frames.parse(data.encode() if isinstance(data, str) else data)
    except (FrameError, UnicodeError):
        return None
    if not isinstance(frame, Call):
        return None
    of_charge_point = any(frame.action in version.requests for version in VERSIONS.values())
    if of_charge_point == any(frame.action in version.commands for version in VERSIONS.values()):
        return None
    return Role.CHARGE_POINT if of_charge_point is sent else Role.CENTRAL_SYSTEM


def subprotocol_of(charge_point: Any) -> str | None:
    """Return the subprotocol of the version of a `ChargePoint`, or None if it names none that is known."""
    return SUBPROTOCOLS.get(getattr(charge_point, "_ocpp_version", ""))


def close_code_of(connection: Any, exc: BaseException | None) -> int:
    """Return the code with which a connection closed: the WebSocket's, the exception's, or 1006 (RFC 6455 §7.4.1)."""
    codes = (
        getattr(connection, "close_code", None),
        getattr(getattr(exc, "rcvd", None), "code", None),
        getattr(exc, "__dict__", {}).get("code"),  # not getattr: `websockets` warns that its own is deprecated
    )
    for code in codes:
        if isinstance(code, int) and not isinstance(code, bool):
            return code
    return 1006
