"""The device model of a 2.x charge point. Most variables are 1.6's configuration keys under another name.

It owns the mapping; values are in `configuration`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from wattspan.simulator.configuration import READ_ONLY, WRITE_ONLY, Configuration
from wattspan.simulator.rpc import Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint


class _VariableName(NamedTuple):
    """The address of a variable in 2.x (2.0.1 Part 2 §3); `instance` is the variable's."""

    component: str
    variable: str
    instance: str | None = None

    @property
    def payload(self) -> Payload:
        """The component and variable fields of a message."""
        variable = {"name": self.variable} | ({"instance": self.instance} if self.instance else {})
        return {"component": {"name": self.component}, "variable": variable}


_CONFIGURATION_KEYS = {
    _VariableName("AuthCtrlr", "LocalPreAuthorize"): "LocalPreAuthorize",
    _VariableName("AuthCtrlr", "OfflineTxForUnknownIdEnabled"): "AllowOfflineTxForUnknownId",
    _VariableName("AuthCtrlr", "AuthorizeRemoteStart"): "AuthorizeRemoteTxRequests",
    _VariableName("LocalAuthListCtrlr", "Enabled"): "LocalAuthListEnabled",
    _VariableName("LocalAuthListCtrlr", "ItemsPerMessage"): "SendLocalListMaxLength",
    _VariableName("OCPPCommCtrlr", "HeartbeatInterval"): "HeartbeatInterval",
    _VariableName("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent"): "TransactionMessageAttempts",
    _VariableName("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent"): "TransactionMessageRetryInterval",
    _VariableName("OCPPCommCtrlr", "WebSocketPingInterval"): "WebSocketPingInterval",
    _VariableName("SampledDataCtrlr", "TxUpdatedInterval"): "MeterValueSampleInterval",
    _VariableName("SampledDataCtrlr", "TxUpdatedMeasurands"): "MeterValuesSampledData",
    _VariableName("SecurityCtrlr", "BasicAuthPassword"): "AuthorizationKey",
    _VariableName("SmartChargingCtrlr", "PeriodsPerSchedule"): "ChargingScheduleMaxPeriods",
    _VariableName("SmartChargingCtrlr", "ProfileStackLevel"): "ChargeProfileMaxStackLevel",
    _VariableName("TxCtrlr", "EVConnectionTimeOut"): "ConnectionTimeOut",
    _VariableName("TxCtrlr", "StopTxOnInvalidId"): "StopTransactionOnInvalidId",
}
_COMPONENTS = {name.component for name in _CONFIGURATION_KEYS}


def get_variable(configuration: Configuration, request: Payload) -> Payload:
    """Return one entry of GetVariablesResponse. Raises KeyError or TypeError for an invalid request."""
    echo, name = _echo(request), _variable_name(request)
    status = _refusal(request, name)
    if status is None and _CONFIGURATION_KEYS[name] in WRITE_ONLY:
        status = "Rejected"
    if status is not None:
        return echo | {"attributeStatus": status}
    return echo | {"attributeStatus": "Accepted", "attributeValue": configuration.text(_CONFIGURATION_KEYS[name])}


def set_variable(configuration: Configuration, request: Payload) -> Payload:
    """Set a variable if allowed and return its entry of SetVariablesResponse.

    Raises KeyError or TypeError for an invalid request.
    """
    name = _variable_name(request)
    status = _refusal(request, name)
    if status is None:
        status = configuration.change(_CONFIGURATION_KEYS[name], str(request["attributeValue"]))
    return _echo(request) | {"attributeStatus": status}


def report(cp: "ChargePoint") -> Iterator[Payload]:
    """Return a ReportDataType for every variable."""
    vendor, model, firmware = cp.hardware
    for variable, value in (("Model", model), ("VendorName", vendor), ("FirmwareVersion", firmware)):
        yield _entry(_VariableName("ChargingStation", variable), value, "ReadOnly", "string")
    for connector in cp.connectors:
        yield _at_evse(connector.id, _entry(_VariableName("EVSE", "Power"), "22000", "ReadOnly", "decimal"))
    for name, key in _CONFIGURATION_KEYS.items():
        current = None if key in WRITE_ONLY else cp.configuration.text(key)
        mutability = "WriteOnly" if key in WRITE_ONLY else "ReadOnly" if key in READ_ONLY else "ReadWrite"
        yield _entry(name, current, mutability, _data_type(name, current))


def _at_evse(number: int, entry: Payload) -> Payload:
    return entry | {"component": entry["component"] | {"evse": {"id": number}}}


def _entry(name: _VariableName, value: str | None, mutability: str, data_type: str) -> Payload:
    attribute: Payload = {"mutability": mutability} | ({} if value is None else {"value": value})
    return {
        **name.payload,
        "variableAttribute": [attribute],
        "variableCharacteristics": {"dataType": data_type, "supportsMonitoring": False},
    }


def _data_type(name: _VariableName, value: str | None) -> str:
    if name.variable.endswith("Measurands"):
        return "MemberList"
    if value in {"true", "false"}:
        return "boolean"
    return "integer" if value is not None and value.isdecimal() else "string"


def _variable_name(request: Payload) -> _VariableName:
    variable = request["variable"]
    return _VariableName(request["component"]["name"], variable["name"], variable.get("instance"))


def _refusal(request: Payload, name: _VariableName) -> str | None:
    if name.component not in _COMPONENTS:
        return "UnknownComponent"
    if name not in _CONFIGURATION_KEYS:
        return "UnknownVariable"
    return "NotSupportedAttributeType" if request.get("attributeType", "Actual") != "Actual" else None


def _echo(request: Payload) -> Payload:
    fields = ("component", "variable", "attributeType")
    return {field: request[field] for field in fields if field in request}
