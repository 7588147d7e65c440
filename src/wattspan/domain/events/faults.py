"""Events of messages that break the rules of OCPP."""

from wattspan.domain.events.base import Event, event


@event
class VersionMixed(Event):
    """A message in the format of an older OCPP version than the negotiated one; it was processed as that version."""

    action: str


@event
class ProtocolFaulted(Event):
    """The charge point violated OCPP-J. `code` is the CALLERROR code of the violation, whether or not one was sent."""

    code: str


@event
class SchemaFaulted(Event):
    """A payload that breaks its schema was accepted: it is counted, and answered as if it did not."""

    action: str
