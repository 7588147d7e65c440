"""A charge point that waits for an operator's approval, as the gateway tells of it and the API shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Who waits. `since_ts` is Unix seconds; texts are "" until its boot message told them."""

    cp_id: str
    since_ts: float
    protocol: str
    source: str
    security_profile: int
    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware: str = ""
