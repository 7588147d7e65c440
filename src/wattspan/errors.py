"""The errors that cross modules or reach users, in one tree. This module knows nothing of the others.

An error that only one module raises and its neighbour handles is defined there, below the same root. Third-party errors
are translated into these where the library is called.

WattspanError
├── SettingsError            settings are invalid; has every fault
├── FrameError               a frame that is not an OCPP-J message; has the CALLERROR code for it
├── CallFault                a CALL that is answered with a CALLERROR
├── HandshakeRefused         a charge point may not connect; has the HTTP status and the reason
├── CommandError             a command to a charge point did not get a CALLRESULT
│   ├── NotConnected         no open WebSocket of that charge point
│   ├── NodeUnreachable      the charge point is connected to another node, which can't be reached now
│   ├── CommandTimeout       no answer within the time-out
│   ├── CommandRefused       the charge point answered with a CALLERROR
│   ├── CommandInvalid       not sent: the payload violates the schema, or the version has no such command
│   │   └── OperationUnsupported    not sent: the charge point's OCPP version has no message for the operation
│   ├── TransactionNotIdentified    not sent: a stop that does not name exactly one open transaction
│   ├── ResponseInvalid      the CALLRESULT lacks required fields
│   └── ConnectionLost       the WebSocket closed before the answer
├── NodeSilent               another node of the cluster does not answer
├── RedisUnavailable         Redis does not answer, or refused a command
├── FeedError                the feed of the public charging network cannot be fetched or read
├── RegistryError            a charge point or user cannot be changed as requested
│   ├── NotRegistered        there is no such charge point, user or pending charge point
│   ├── AlreadyRegistered    the charge point is registered, or the name of the user is taken
│   ├── SerialConflict       a serial number is the identity or serial number of another charge point
│   ├── LastAdmin            the last user who may create users would be gone
│   └── LimitReached         the settings allow no more users, or API tokens of one user
├── Overloaded               too much of this work is waiting; try again later
├── Stale                    the record has changed since the caller read it
├── AuthorityError           the certificate authority cannot be used
├── CsrRefused               a certificate signing request is not signed
└── StoreError               the database
    ├── StoreUnavailable     not now: locked, full or gone; writes are held and retried
    └── StoreUnusable        not at all: corrupt, read-only or of a newer version; the text says what to do
"""

from collections.abc import Mapping, Sequence
from typing import Any


class WattspanError(Exception):
    """Root of all errors of Wattspan."""


class SettingsError(WattspanError):
    """Settings are invalid. `faults` has one line for each fault, all of them at once."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class FrameError(WattspanError):
    """A text is not an OCPP-J frame (OCPP-J 1.6 §4.1).

    `code` is the CALLERROR code of the answer; `message_id` is "-1" if the frame's own could not be read. `answered`:
    whether the frame is answered at all.
    """

    answered = True

    def __init__(self, code: str, description: str, message_id: str | int = "-1") -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.message_id = message_id


class CallFault(WattspanError):
    """A CALL is answered with a CALLERROR instead of a result (OCPP-J 1.6 §4.2.3)."""

    def __init__(self, code: str, description: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.details = dict(details or {})


class HandshakeRefused(WattspanError):
    """A charge point may not connect. `reason` is a metric label from a fixed set, `status` the HTTP status.

    `retry_after_s`: how long it has to wait before it tries again; None: as it likes.
    """

    def __init__(self, status: int, reason: str, description: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(description or reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class AuthorityError(WattspanError):
    """The folder of the certificate authority cannot be used; the text says why."""


class CsrRefused(WattspanError):
    """A certificate signing request is not signed; the text says what is wrong with it, without quoting it."""


class CommandError(WattspanError):
    """A command got no usable CALLRESULT. `error_type` is its label on `ocpp_central_call_errors_total`."""

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


class NodeUnreachable(CommandError):
    """The charge point is, or may be, connected to another node that can't be reached now; `description` says why."""

    error_type = "NodeUnreachable"

    def __init__(self, cp_id: str, action: str, description: str) -> None:
        super().__init__(cp_id, action, description)
        self.description = description


class CommandTimeout(CommandError):
    """The charge point did not answer within `timeout_s` seconds. A late answer is counted and dropped."""

    error_type = "Timeout"

    def __init__(self, cp_id: str, action: str, timeout_s: float) -> None:
        super().__init__(cp_id, action, f"no answer within {timeout_s:g} s")
        self.timeout_s = timeout_s


class CommandRefused(CommandError):
    """The charge point answered with a CALLERROR. `code` is its error code."""

    def __init__(self, cp_id: str, action: str, code: str, description: str, details: Mapping[str, Any]) -> None:
        super().__init__(cp_id, action, f"{code} {description}".rstrip())
        self.error_type = code
        self.code = code
        self.description = description
        self.details = dict(details)


class CommandInvalid(CommandError):
    """Nothing was sent: the payload violates its schema, or the OCPP version has no such command."""

    error_type = "Invalid"

    def __init__(self, cp_id: str, action: str, description: str, faults: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(cp_id, action, description)
        self.faults = tuple(faults)
        """(JSON pointer, description) of each schema fault; empty if there is no such command."""


class ResponseInvalid(CommandError):
    """The charge point answered with a CALLRESULT that lacks required fields; `CommandResult.payload` has it."""

    error_type = "ResponseInvalid"


class ConnectionLost(CommandError):
    """The WebSocket closed while the command waited for its answer."""

    error_type = "ConnectionLost"

    def __init__(self, cp_id: str, action: str) -> None:
        super().__init__(cp_id, action, "the connection closed before the answer")


class OperationUnsupported(CommandInvalid):
    """The charge point's OCPP version has no message for the operation; `description` says what it has instead."""

    def __init__(self, cp_id: str, action: str, description: str) -> None:
        super().__init__(cp_id, action, description)
        self.description = description


class TransactionNotIdentified(CommandError):
    """Nothing was sent: the transaction to stop is not open, or several are; `description` says which."""

    def __init__(self, cp_id: str, action: str, description: str) -> None:
        super().__init__(cp_id, action, description)
        self.description = description


class RegistryError(WattspanError):
    """A charge point or a user cannot be changed as requested. Nothing was changed."""


class NotRegistered(RegistryError):
    """There is no such `what`: a charge point, a pending charge point or a user."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name}")
        self.what = what
        self.name = name


class AlreadyRegistered(RegistryError):
    """There is such a `what` already: a charge point or a user."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is a {what} {name} already")
        self.what = what
        self.name = name


class SerialConflict(RegistryError):
    """A serial number and an identity must name one charge point, because certificates may name either."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the identity or the registered serial number of another charge point")
        self.name = name


class LastAdmin(RegistryError):
    """The last enabled admin cannot be removed, disabled or given another role: nobody could create users then."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the last admin stays: without {name} nobody could manage users")
        self.name = name


class LimitReached(RegistryError):
    """There are as many `what` as the settings allow: users, or API tokens of one user."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"there are {limit} {what} already, and the settings allow no more")
        self.what = what
        self.limit = limit


class Overloaded(WattspanError):
    """Too many requests for the same slow work are waiting. `retry_after_s`: when to try again, s."""

    def __init__(self, description: str, retry_after_s: int) -> None:
        super().__init__(description)
        self.retry_after_s = retry_after_s


class RedisUnavailable(WattspanError):
    """Redis does not answer, or refused a command; the text says which."""


class NodeSilent(WattspanError):
    """A node did not get a request, so nothing was executed; or, if `confirmed`, its reply was lost."""

    def __init__(self, node: str, *, confirmed: bool) -> None:
        super().__init__(f"node {node} stopped answering" if confirmed else f"node {node}, which does not answer")
        self.node = node
        self.confirmed = confirmed


class FeedError(WattspanError):
    """The feed of the public charging network cannot be used. `reason` is a metric label from a fixed set."""

    def __init__(self, reason: str, description: str) -> None:
        super().__init__(f"{reason}: {description}")
        self.reason = reason


class Stale(WattspanError):
    """A record was changed, removed or created since the caller read it."""


class StoreError(WattspanError):
    """The database failed."""


class StoreUnavailable(StoreError):
    """The database cannot be read or written at the moment."""


class StoreUnusable(StoreError):
    """The database cannot be used at all; the text says what to do."""
