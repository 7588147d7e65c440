"""OCPP's words for statuses and errors, and the labels derived from them. It knows no events and no state."""

from collections.abc import Iterable, Mapping

NO_ERROR = "NoError"
OTHER = "other"

NUMERIC: Mapping[str, int] = {
    "Available": 0,
    "Preparing": 1,
    "Charging": 2,
    "SuspendedEVSE": 3,
    "SuspendedEV": 4,
    "Finishing": 5,
    "Reserved": 6,
    "Unavailable": 7,
    "Faulted": 8,
}
"""`ocpp_cp_status` by OCPP 1.6 ChargePointStatus (§7.7)."""

PHASES: Mapping[str, str] = {
    "Preparing": "preparing",
    "Charging": "charging",
    "SuspendedEV": "suspended by EV",
    "SuspendedEVSE": "suspended by EVSE",
    "Finishing": "finishing",
}
"""The phase of a session that begins with a status."""

OCCUPIED = "Occupied"
"""OCPP 2.x ConnectorStatus for all statuses that 1.6 distinguishes while a vehicle is there."""

CHARGING_STATES: Mapping[str, str] = {
    "Charging": "Charging",
    "EVConnected": "Preparing",
    "SuspendedEVSE": "SuspendedEVSE",
    "SuspendedEV": "SuspendedEV",
    "Idle": "Finishing",
}
"""OCPP 2.x ChargingState of a transaction to the status of 1.6."""

STATES = ("available", "charging", "unavailable")
_STATE: Mapping[str, str] = {"Available": "available", "Occupied": "charging"} | dict.fromkeys(PHASES, "charging")

WORST_FIRST = (
    "Faulted",
    "Unavailable",
    "Charging",
    "SuspendedEVSE",
    "SuspendedEV",
    "Occupied",
    "Preparing",
    "Finishing",
    "Reserved",
    "Available",
)
"""Statuses in the order in which one stands for several connectors: trouble, then use, then what is free."""
RANKS: Mapping[str, int] = {status: rank for rank, status in enumerate(WORST_FIRST)}
UNKNOWN_RANK = RANKS["Unavailable"]
"""The rank of a word that OCPP does not define."""

ERROR_CODES = frozenset(
    {
        "ConnectorLockFailure",
        "EVCommunicationError",
        "GroundFailure",
        "HighTemperature",
        "InternalError",
        "LocalListConflict",
        "NoError",
        "OtherError",
        "OverCurrentFailure",
        "OverVoltage",
        "PowerMeterFailure",
        "PowerSwitchFailure",
        "ReaderFailure",
        "ResetFailure",
        "UnderVoltage",
        "WeakSignal",
    }
)
"""OCPP 1.6 ChargePointErrorCode (§7.6)."""

CALL_ERROR_CODES = frozenset(
    {
        "FormatViolation",
        "FormationViolation",
        "GenericError",
        "InternalError",
        "MessageTypeNotSupported",
        "NotImplemented",
        "NotSupported",
        "OccurenceConstraintViolation",
        "OccurrenceConstraintViolation",
        "PropertyConstraintViolation",
        "ProtocolError",
        "RpcFrameworkError",
        "SecurityError",
        "TypeConstraintViolation",
    }
)
"""CALLERROR codes of OCPP-J 1.6, 2.0.1 and 2.1; protocol faults are counted under them."""

PROBLEMS = frozenset({"Fallback", "Overload", "Problem", "Tripped"})
"""Variables of OCPP 2.x standard components that are true if something is wrong (2.0.1 Part 2, appendix 3)."""

UNSPECIFIED_FAULT = "OtherError"
"""The code of a fault whose kind is not reported: 1.6's code for any other."""
MAX_VENDOR_ERRORS = 20
"""Maximum number of vendor error codes per charge point that have their own label."""
_MAX_CODE_LENGTH = 50
_NAMED = ERROR_CODES | CALL_ERROR_CODES | PROBLEMS | {OTHER}
_COMMAND_ERRORS = CALL_ERROR_CODES | {"Cancelled", "ConnectionLost", "NotConnected", "Timeout"}


_BLANKS = str.maketrans("", "", " \t_-")
_BY_FOLDED = {code.casefold(): code for code in ERROR_CODES} | {"": NO_ERROR, "none": NO_ERROR, "null": NO_ERROR}
"""1.6's codes by their letters alone, and other words for no error."""


def error_code(code: str) -> str:
    """Return OCPP 1.6's own spelling of an error code that differs in case, spaces or hyphens; others as they are."""
    if code in ERROR_CODES:
        return code
    return _BY_FOLDED.get(code.translate(_BLANKS).casefold(), code)


_STATUSES = {word.casefold(): word for word in (*NUMERIC, OCCUPIED)}
_CHARGING_STATES = {word.casefold(): word for word in CHARGING_STATES}


def status_word(status: str) -> str:
    """Return OCPP's own spelling of a status that differs in case, spaces or hyphens; others as they are."""
    if status in NUMERIC or status == OCCUPIED:
        return status
    return _STATUSES.get(status.translate(_BLANKS).casefold(), status)


def charging_state(state: str) -> str:
    """Return OCPP 2.x's own spelling of a charging state, as `status_word` does of a status."""
    return _CHARGING_STATES.get(state.translate(_BLANKS).casefold(), state)


def numeric(status: str | None) -> int:
    """Return the status as a number; -1 for a word OCPP does not define and for None."""
    return NUMERIC.get(status or "", -1)


def worst(statuses: Iterable[str]) -> str | None:
    """Return the status that stands for all of them, or None without any.

    A word OCPP does not define ranks as Unavailable does; of two of one rank, the first in the order of letters counts.
    """
    return min(statuses, key=lambda each: (RANKS.get(each, UNKNOWN_RANK), each), default=None)


def state(status: str | None) -> str:
    """Return the status as one of STATES. Reserved, faulted and unknown statuses are unavailable."""
    return _STATE.get(status or "", "unavailable")


def bounded_error(code: str, known: Mapping[str, int]) -> str:
    """Return `code` as a label of bounded cardinality, given the labels the charge point already has.

    OCPP's codes are kept, and up to MAX_VENDOR_ERRORS of a vendor's own per charge point; "other" stands for the rest,
    for an empty code and for one that is not printable.
    """
    if code in ERROR_CODES or code in known:
        return code
    if not code or len(code) > _MAX_CODE_LENGTH or not code.isprintable():
        return OTHER
    own = sum(1 for label in known if label not in _NAMED)
    return code if own < MAX_VENDOR_ERRORS else OTHER


def bounded_problem(variable: str) -> str:
    """Return the variable that reports a problem as a label: a standard one of OCPP, or "other"."""
    return variable if variable in PROBLEMS else OTHER


def bounded_call_error(error_type: str) -> str:
    """Return why a command failed as a label: our own words and CALLERROR codes, or "other"."""
    return error_type if error_type in _COMMAND_ERRORS else OTHER
