"""Every exception Wattspan raises, one tree. It knows nothing of the rest.

WattspanError
├── SettingsError            the settings are wrong; names every fault
├── FrameError               a frame that is no OCPP-J message; carries the CALLERROR code for it
├── CallFault                a CALL we answer with a CALLERROR
├── HandshakeRefused         a charge point that is not let in; carries the HTTP status and the reason's label
├── CommandError             a command to a charge point did not get a CALLRESULT
│   ├── NotConnected         no open WebSocket of that charge point
│   ├── CommandTimeout       no answer within the time-out
│   ├── CommandRefused       the charge point answered with a CALLERROR
│   ├── CommandInvalid       it was not sent: its payload breaks the schema, or the version has no such command
│   └── ConnectionLost       the WebSocket closed before the answer
├── FeedError                the public network's feed could not be had or read (chargy)
├── Stale                    what was to be changed is not what the caller saw (api: If-Match)
├── Problem                  an HTTP request that is answered with a problem document (api.problems)
├── ConnectionDown           a virtual charge point lost its connection (simulator.rpc)
├── CentralSystemUnreachable nothing listens where virtual charge points connect to (simulator.reachability)
├── AuthorityError           our certificate authority can't be used (csms.authority)
├── CsrRefused               a certificate that a charge point may not have (csms.authority)
└── StoreError               the database
    ├── StoreUnavailable     not now: locked, full, gone; what was to be written is held and tried again
    └── StoreUnusable        not at all: corrupt, read-only, of a newer version; says what to do
"""

from collections.abc import Mapping, Sequence
from typing import Any


class WattspanError(Exception):
    """Root of all errors of Wattspan."""


class SettingsError(WattspanError):
    """Settings that can't be used. `faults` has one line a fault, all of them at once."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class FrameError(WattspanError):
    """A text that is no OCPP-J frame (OCPP-J 1.6 §4.1).

    `code` is the CALLERROR code to answer with; `message_id` is "-1" where the frame's own could not be read.
    `answered`: whether it gets that answer at all.
    """

    answered = True

    def __init__(self, code: str, description: str, message_id: str | int = "-1") -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.message_id = message_id


class CallFault(WattspanError):
    """A CALL that gets a CALLERROR instead of a result (OCPP-J 1.6 §4.2.3)."""

    def __init__(self, code: str, description: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.details = dict(details or {})


class HandshakeRefused(WattspanError):
    """A charge point that may not connect. `reason` is a metric label, bounded; `status` the HTTP status.

    `retry_after_s`: when it may try again, where it had better wait; None: at its own pace.
    """

    def __init__(self, status: int, reason: str, description: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(description or reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class AuthorityError(WattspanError):
    """The certificate authority's folder can't be used; the text says why."""


class CsrRefused(WattspanError):
    """A request for a certificate that is not signed; the text says what is wrong with it, without quoting it."""


class CommandError(WattspanError):
    """A command that got no CALLRESULT. `error_type` is its label on `ocpp_central_call_errors_total`."""

    error_type = "InternalError"

    def __init__(self, cp_id: str, action: str, description: str) -> None:
        super().__init__(f"{action} to {cp_id}: {description}")
        self.cp_id = cp_id
        self.action = action


class NotConnected(CommandError):
    """The charge point has no open WebSocket."""

    error_type = "NotConnected"

    def __init__(self, cp_id: str, action: str) -> None:
        super().__init__(cp_id, action, "not connected")


class CommandTimeout(CommandError):
    """No answer within `timeout_s` seconds. A late answer is counted and dropped."""

    error_type = "Timeout"

    def __init__(self, cp_id: str, action: str, timeout_s: float) -> None:
        super().__init__(cp_id, action, f"no answer within {timeout_s:g} s")
        self.timeout_s = timeout_s


class CommandRefused(CommandError):
    """The charge point answered with a CALLERROR of this `code`."""

    def __init__(self, cp_id: str, action: str, code: str, description: str, details: Mapping[str, Any]) -> None:
        super().__init__(cp_id, action, f"{code} {description}".rstrip())
        self.error_type = code
        self.code = code
        self.description = description
        self.details = dict(details)


class CommandInvalid(CommandError):
    """Nothing was sent: the payload breaks its schema, or the charge point's OCPP version has no such command."""

    error_type = "Invalid"

    def __init__(self, cp_id: str, action: str, description: str, faults: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(cp_id, action, description)
        self.faults = tuple(faults)
        """(JSON pointer, what is wrong there) of each schema fault; none: there is no such command."""


class ConnectionLost(CommandError):
    """The WebSocket closed while the command waited for its answer."""

    error_type = "ConnectionLost"

    def __init__(self, cp_id: str, action: str) -> None:
        super().__init__(cp_id, action, "the connection closed before the answer")


class FeedError(WattspanError):
    """The public network's feed gave nothing usable. `reason` is a metric label, bounded."""

    def __init__(self, reason: str, description: str) -> None:
        super().__init__(f"{reason}: {description}")
        self.reason = reason


class Stale(WattspanError):
    """What was to be changed has changed since the caller looked, or is not there, or is there already."""


class StoreError(WattspanError):
    """The database said no."""


class StoreUnavailable(StoreError):
    """The database can't be written or read just now."""


class StoreUnusable(StoreError):
    """The database can't be used at all; the text says what to do about it."""
