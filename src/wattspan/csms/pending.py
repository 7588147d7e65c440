"""A charge point that waits for approval, as the gateway reports it and the API shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingChargePoint:
    """A pending charge point. `since_ts` is Unix seconds; texts are "" before its BootNotification."""

    cp_id: str
    since_ts: float
    protocol: str
    source: str
    security_profile: int
    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware: str = ""
