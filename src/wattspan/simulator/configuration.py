"""The configuration keys of a virtual charge point (OCPP 1.6 §9)."""

from collections.abc import Iterable

from wattspan.simulator.link import Payload
from wattspan.simulator.meter import MEASURANDS

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
    """Keys and values as text, as OCPP has them."""

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
        """The value of a key that exists."""
        return self._values[key]

    def number(self, key: str) -> float:
        """The value of a key that holds a number."""
        return float(self._values[key])

    def flag(self, key: str) -> bool:
        """The value of a key that holds true or false."""
        return self._values[key].lower() == "true"

    def set(self, key: str, value: str) -> None:
        """Sets a key from within, whatever the outside may."""
        self._values[key] = value

    def get_configuration(self, keys: Iterable[str]) -> Payload:
        """GetConfiguration.conf (OCPP 1.6 §5.8); no keys: all that may be read."""
        asked = list(keys) or sorted(self._values.keys() - WRITE_ONLY)
        known = [key for key in asked if key in self._values]
        return {
            "configurationKey": [
                {"key": key, "readonly": key in READ_ONLY}
                | ({} if key in WRITE_ONLY else {"value": self._values[key][:500]})
                for key in known
            ],
            "unknownKey": [key for key in asked if key not in self._values],
        }

    def change(self, key: str, value: str) -> str:
        """The status of ChangeConfiguration.conf (OCPP 1.6 §5.3)."""
        if key not in self._values:
            return "NotSupported"
        if key in READ_ONLY or not self._fits(key, value):
            return "Rejected"
        self._values[key] = value
        return "RebootRequired" if key in _NEEDS_REBOOT else "Accepted"

    def _fits(self, key: str, value: str) -> bool:
        old = self._values[key]
        if old in {"true", "false"}:
            return value.lower() in {"true", "false"}
        if key == "MeterValuesSampledData":
            return {name.strip() for name in value.split(",")} <= set(MEASURANDS)
        return value.isdecimal() if old.replace(".", "", 1).isdecimal() else True
