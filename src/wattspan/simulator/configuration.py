"""The configuration keys of a virtual charge point (OCPP 1.6 §9). It must not know messages of 2.x."""

from collections.abc import Iterable

from wattspan.simulator.meter import MEASURANDS
from wattspan.simulator.rpc import Payload

READ_ONLY = {
    "AuthorizeRemoteTxRequests",
    "NumberOfConnectors",
    "SupportedFeatureProfiles",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "MaxChargingProfilesInstalled",
    "LocalAuthListMaxLength",
    "SendLocalListMaxLength",
    "ReserveConnectorZeroSupported",
}
_PROFILES = "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"
WRITE_ONLY = {"AuthorizationKey"}
_NEEDS_REBOOT = {"WebSocketPingInterval"}


class Configuration:
    """Configuration keys and their values, which are text as in OCPP."""

    def __init__(self, *, connectors: int, meter_interval_s: float) -> None:
        self._values = {
            "AllowOfflineTxForUnknownId": "true",
            "AuthorizationKey": "",
            "AuthorizeRemoteTxRequests": "false",
            "ChargeProfileMaxStackLevel": "10",
            "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
            "ChargingScheduleMaxPeriods": "24",
            "ConnectionTimeOut": "60",
            "HeartbeatInterval": "300",
            "LocalAuthListEnabled": "true",
            "LocalAuthListMaxLength": "1000",
            "LocalPreAuthorize": "false",
            "MaxChargingProfilesInstalled": "20",
            "MeterValueSampleInterval": f"{meter_interval_s:g}",
            "MeterValuesSampledData": ",".join(MEASURANDS),
            "NumberOfConnectors": str(connectors),
            "ReserveConnectorZeroSupported": "false",
            "SendLocalListMaxLength": "1000",
            "StopTransactionOnInvalidId": "true",
            "SupportedFeatureProfiles": _PROFILES,
            "TransactionMessageAttempts": "3",
            "TransactionMessageRetryInterval": "10",
            "WebSocketPingInterval": "0",
        }

    def text(self, key: str) -> str:
        """Return the value of `key`. Raises KeyError for an unknown key."""
        return self._values[key]

    def number(self, key: str) -> float:
        """Return the value of `key` as a number. Raises KeyError for an unknown key."""
        return float(self._values[key])

    def flag(self, key: str) -> bool:
        """Return the value of `key` as a boolean. Raises KeyError for an unknown key."""
        return self._values[key].lower() == "true"

    def set(self, key: str, value: str) -> None:
        """Set `key`, even if it is read-only for the central system."""
        self._values[key] = value

    def get_configuration(self, keys: Iterable[str]) -> Payload:
        """Return the payload of GetConfiguration.conf (OCPP 1.6 §5.8); no keys: all readable ones."""
        requested = list(keys) or sorted(self._values.keys() - WRITE_ONLY)
        known = [key for key in requested if key in self._values]
        return {
            "configurationKey": [
                {"key": key, "readonly": key in READ_ONLY}
                | ({} if key in WRITE_ONLY else {"value": self._values[key][:500]})
                for key in known
            ],
            "unknownKey": [key for key in requested if key not in self._values],
        }

    def change(self, key: str, value: str) -> str:
        """Set `key` if allowed, and return the status of ChangeConfiguration.conf (OCPP 1.6 §5.3)."""
        if key not in self._values:
            return "NotSupported"
        if key in READ_ONLY or not self._is_valid(key, value):
            return "Rejected"
        self._values[key] = value
        return "RebootRequired" if key in _NEEDS_REBOOT else "Accepted"

    def _is_valid(self, key: str, value: str) -> bool:
        current = self._values[key]
        if current in {"true", "false"}:
            return value.lower() in {"true", "false"}
        if key == "MeterValuesSampledData":
            return {name.strip() for name in value.split(",")} <= set(MEASURANDS)
        return value.isdecimal() if current.replace(".", "", 1).isdecimal() else True
