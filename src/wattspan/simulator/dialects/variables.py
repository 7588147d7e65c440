"""The device model of a 2.x charge point: its variables, most of them 1.6's configuration keys by another name."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from wattspan.simulator.configuration import READ_ONLY, WRITE_ONLY, Configuration
from wattspan.simulator.link import Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint


class _Name(NamedTuple):
    """A variable as 2.x addresses it (2.0.1 Part 2 §3); `instance` is the variable's."""

    component: str
    variable: str
    instance: str | None = None

    @property
    def words(self) -> Payload:
        """As messages carry it."""
        variable = {"name": self.variable} | ({"instance": self.instance} if self.instance else {})
        return {"component": {"name": self.component}, "variable": variable}


_KEYS = {
    _Name("AuthCtrlr", "LocalPreAuthorize"): "LocalPreAuthorize",
    _Name("AuthCtrlr", "OfflineTxForUnknownIdEnabled"): "AllowOfflineTxForUnknownId",
    _Name("AuthCtrlr", "AuthorizeRemoteStart"): "AuthorizeRemoteTxRequests",
    _Name("LocalAuthListCtrlr", "Enabled"): "LocalAuthListEnabled",
    _Name("LocalAuthListCtrlr", "ItemsPerMessage"): "SendLocalListMaxLength",
    _Name("OCPPCommCtrlr", "HeartbeatInterval"): "HeartbeatInterval",
    _Name("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent"): "TransactionMessageAttempts",
    _Name("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent"): "TransactionMessageRetryInterval",
    _Name("OCPPCommCtrlr", "WebSocketPingInterval"): "WebSocketPingInterval",
    _Name("SampledDataCtrlr", "TxUpdatedInterval"): "MeterValueSampleInterval",
    _Name("SampledDataCtrlr", "TxUpdatedMeasurands"): "MeterValuesSampledData",
    _Name("SecurityCtrlr", "BasicAuthPassword"): "AuthorizationKey",
    _Name("SmartChargingCtrlr", "PeriodsPerSchedule"): "ChargingScheduleMaxPeriods",
    _Name("SmartChargingCtrlr", "ProfileStackLevel"): "ChargeProfileMaxStackLevel",
    _Name("TxCtrlr", "EVConnectionTimeOut"): "ConnectionTimeOut",
    _Name("TxCtrlr", "StopTxOnInvalidId"): "StopTransactionOnInvalidId",
}
_COMPONENTS = {name.component for name in _KEYS}


def get_variable(configuration: Configuration, asked: Payload) -> Payload:
    """One entry of GetVariablesResponse."""
    told, name = _echo(asked), _name(asked)
    status = _refusal(asked, name)
    if status is None and _KEYS[name] in WRITE_ONLY:
        status = "Rejected"
    if status is not None:
        return told | {"attributeStatus": status}
    return told | {"attributeStatus": "Accepted", "attributeValue": configuration.text(_KEYS[name])}


def set_variable(configuration: Configuration, asked: Payload) -> Payload:
    """Sets it, and gives its entry of SetVariablesResponse."""
    name = _name(asked)
    status = _refusal(asked, name)
    if status is None:
        status = configuration.change(_KEYS[name], str(asked["attributeValue"]))
    return _echo(asked) | {"attributeStatus": status}


def report(cp: "ChargePoint") -> Iterator[Payload]:
    """ReportDataType of every variable."""
    for what, fact in (("Model", "Virtual AC 22"), ("VendorName", "Wattspan"), ("FirmwareVersion", cp.firmware)):
        yield _entry(_Name("ChargingStation", what), fact, "ReadOnly", "string")
    for connector in cp.connectors:
        yield _at_evse(connector.id, _entry(_Name("EVSE", "Power"), "22000", "ReadOnly", "decimal"))
    for name, key in _KEYS.items():
        value = None if key in WRITE_ONLY else cp.configuration.text(key)
        mutability = "WriteOnly" if key in WRITE_ONLY else "ReadOnly" if key in READ_ONLY else "ReadWrite"
        yield _entry(name, value, mutability, _data_type(name, value))


def _at_evse(number: int, entry: Payload) -> Payload:
    return entry | {"component": entry["component"] | {"evse": {"id": number}}}


def _entry(name: _Name, value: str | None, mutability: str, data_type: str) -> Payload:
    attribute: Payload = {"mutability": mutability} | ({} if value is None else {"value": value})
    return {
        **name.words,
        "variableAttribute": [attribute],
        "variableCharacteristics": {"dataType": data_type, "supportsMonitoring": False},
    }


def _data_type(name: _Name, value: str | None) -> str:
    if name.variable.endswith("Measurands"):
        return "MemberList"
    if value in {"true", "false"}:
        return "boolean"
    return "integer" if value is not None and value.isdecimal() else "string"


def _name(asked: Payload) -> _Name:
    variable = asked["variable"]
    return _Name(asked["component"]["name"], variable["name"], variable.get("instance"))


def _refusal(asked: Payload, name: _Name) -> str | None:
    if name.component not in _COMPONENTS:
        return "UnknownComponent"
    if name not in _KEYS:
        return "UnknownVariable"
    return "NotSupportedAttributeType" if asked.get("attributeType", "Actual") != "Actual" else None


def _echo(asked: Payload) -> Payload:
    kept = ("component", "variable", "attributeType")
    return {field: asked[field] for field in kept if field in asked}
