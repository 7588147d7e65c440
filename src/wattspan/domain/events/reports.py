"""Events of what a charge point reports about itself: transfers, certificates, problems, its device model."""

from collections.abc import Mapping, Sequence

from wattspan.domain.device_model import Attribute, Characteristics, Monitor
from wattspan.domain.events.base import Event, Payload, event
from wattspan.domain.installed import CertificateId


@event
class FirmwareStatusChanged(Event):
    """FirmwareStatusNotification, SignedFirmwareStatusNotification. `request_id` is the update's, if it has one."""

    status: str
    request_id: int | None = None


@event
class LogStatusChanged(Event):
    """DiagnosticsStatusNotification, LogStatusNotification. `request_id` is the upload's, if it has one."""

    status: str
    request_id: int | None = None


@event
class FileTransferRequested(Event):
    """UpdateFirmware, SignedUpdateFirmware, GetLog or GetDiagnostics was accepted.

    `kind` is "firmware" or "log". `status` is "" if the answer has none (OCPP 1.6).
    """

    kind: str
    status: str
    request_id: int | None = None


@event
class InstalledCertificatesReported(Event):
    """The answer to GetInstalledCertificateIds: the certificates of each type that was asked for, possibly none."""

    certificates: Mapping[str, Sequence[CertificateId]]


@event
class SecurityEventReported(Event):
    """SecurityEventNotification (OCPP 1.6 security whitepaper §A00)."""

    type: str
    charger_ts: float | None
    tech_info: str = ""


@event
class ProblemReported(Event):
    """NotifyEvent of a variable that reports a problem (OCPP 2.x N07). `error_type` is a bounded metric label.

    `connector_id` is the EVSE's; None: the charge point as a whole.
    """

    error_type: str
    connector_id: str | None = None
    component: str = ""
    tech_code: str = ""
    tech_info: str = ""


@event
class DeviceModelReported(Event):
    """Parts of a 2.x device model, from a report, an event, or the answer to a command that read or set them.

    `reported_ts` is the charger's time if it is credible, else ours: an older report does not replace a newer one.
    """

    reported_ts: float
    attributes: tuple[Attribute, ...] = ()
    characteristics: tuple[Characteristics, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    cleared_monitors: tuple[int, ...] = ()


@event
class EventStreamOpened(Event):
    """A charger opened a periodic event stream, or reported an open one (OCPP 2.1 N11, N13)."""

    stream_id: int
    monitor_id: int
    interval_s: int | None = None
    values: int | None = None


@event
class EventStreamClosed(Event):
    """ClosePeriodicEventStream (OCPP 2.1 N12)."""

    stream_id: int


@event
class EventStreamReceived(Event):
    """NotifyPeriodicEventStream (OCPP 2.1 N11): the newest of its values, and the number of them."""

    stream_id: int
    value: str
    reported_ts: float
    count: int


@event
class NoticeReceived(Event):
    """A message that changes no state and is passed to plugins: settlements, DER alarms, battery swaps, …

    `payload` is as received; it may contain personal data (NotifyCustomerInformation). It is not stored.
    """

    action: str
    payload: Payload
