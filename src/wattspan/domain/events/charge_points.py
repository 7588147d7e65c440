"""Events of a charge point as a whole, its connectors and its connection."""

from dataclasses import field

from wattspan.domain.events.base import Event, Payload, event


@event
class ChargePointConnected(Event):
    """The WebSocket of a charge point was opened. `protocol` is the negotiated subprotocol, e.g. "ocpp1.6"."""

    protocol: str


@event
class ChargePointDisconnected(Event):
    """A WebSocket of a charge point closed. `replaced`: a newer one is open, so the charge point is still connected."""

    code: int
    replaced: bool = False


@event
class CertificateHeld(Event):
    """A charge point presented a client certificate or accepted one from us. It expires at `expires_ts`."""

    expires_ts: float


@event
class ChargePointBooted(Event):
    """BootNotification (OCPP 1.6 §4.2). "": not reported."""

    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware: str = ""
    accepted: bool = True
    details: Payload = field(default_factory=dict)


@event
class HeartbeatReceived(Event):
    """Heartbeat (OCPP 1.6 §4.6)."""


@event
class ConnectorStatusChanged(Event):
    """StatusNotification (OCPP 1.6 §4.9, 2.0.1 G01). `status` is as the charger sent it, defined by OCPP or not.

    In 2.x `connector_id` is the EVSE and `outlet` the connector of it; `outlet` is None in 1.6.
    """

    connector_id: str
    status: str
    error_code: str = "NoError"
    vendor_error_code: str = ""
    info: str = ""
    charger_ts: float | None = None
    outlet: str | None = None


@event
class ChargePointDecommissioned(Event):
    """An operator removed a charge point, which removes it from the state and from every metric."""
