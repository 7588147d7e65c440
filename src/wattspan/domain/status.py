"""Words a charger uses for its state and its errors, and what we make of them. It knows no events and no state."""

from collections.abc import Mapping

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
"""The phase of a session that a status opens."""

OCCUPIED = "Occupied"
"""OCPP 2.x ConnectorStatus of all that 1.6 tells apart while a vehicle is there."""

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
"""CALLERROR codes of OCPP-J 1.6, 2.0.1 and 2.1: protocol faults are counted among the errors under them."""

PROBLEMS = frozenset({"Fallback", "Overload", "Problem", "Tripped"})
"""Variables of OCPP 2.x's standard components that are true when something is wrong (2.0.1 Part 2, appendix 3)."""

UNSAID_FAULT = "OtherError"
"""What a fault counts as whose kind is not told: 1.6's word for any other."""
MAX_VENDOR_ERRORS = 20
"""A vendor's own error codes kept apart a charge point."""
_LONGEST_CODE = 50
_NAMED = ERROR_CODES | CALL_ERROR_CODES | PROBLEMS | {OTHER}


_COMMAND_ERRORS = CALL_ERROR_CODES | {"Cancelled", "ConnectionLost", "NotConnected", "Timeout"}


def numeric(status: str | None) -> int:
    """The status as a number, -1 for any word OCPP does not know and for none."""
    return NUMERIC.get(status or "", -1)


def state(status: str | None) -> str:
    """What a driver cares for: one of STATES. Reserved, faulted and unknown words are unavailable."""
    return _STATE.get(status or "", "unavailable")


def bounded_error(code: str, known: Mapping[str, int]) -> str:
    """`code` as a label that can't grow without bound, given the labels the charge point has already.

    OCPP's codes stay; a vendor's own stay too up to MAX_VENDOR_ERRORS a charge point; "other" for the rest,
    for an empty code and for one that is no printable word.
    """
    if code in ERROR_CODES or code in known:
        return code
    if not code or len(code) > _LONGEST_CODE or not code.isprintable():
        return OTHER
    own = sum(1 for label in known if label not in _NAMED)
    return code if own < MAX_VENDOR_ERRORS else OTHER


def bounded_problem(variable: str) -> str:
    """The variable that tells of a problem, as a label: those of OCPP's standard components, "other" for the rest."""
    return variable if variable in PROBLEMS else OTHER


def bounded_call_error(error_type: str) -> str:
    """Why a command failed, as a label: our own words and CALLERROR codes; what a charger made up is "other"."""
    return error_type if error_type in _COMMAND_ERRORS else OTHER
