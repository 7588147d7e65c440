"""Security events, certificates, and the progress of firmware updates and log uploads."""

from collections.abc import Iterable, Sequence

from wattspan.api.models.common import At, Shown, datetime_of
from wattspan.store import records

FINAL = frozenset(
    {
        "BadMessage",
        "DownloadFailed",
        "InstallVerificationFailed",
        "InstallationFailed",
        "Installed",
        "InvalidSignature",
        "NotSupportedOperation",
        "PermissionDenied",
        "UploadFailed",
        "UploadFailure",
        "Uploaded",
    }
)
"""Statuses after which nothing more of a request is expected."""


class SecurityEvent(Shown):
    """A security event that a charge point reported. `charger_at` is by its clock, `received_at` by the server's."""

    id: int
    cp_id: str
    type: str
    tech_info: str
    charger_at: At | None
    received_at: At | None


class IssuedCertificate(Shown):
    """A certificate that this server issued. `installed_at` null: the charge point has not accepted it."""

    serial: str
    issued_at: At | None
    expires_at: At | None
    installed_at: At | None


class InstalledCertificate(Shown):
    """A certificate that a charge point has installed, as it names it: by hashes of its issuer, and serial number.

    `children` is how many certificates of its chain follow it.
    """

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    children: int


class InstalledCertificates(Shown):
    """What a charge point reported of one type of certificate, at `reported_at`; empty: it has none of that type."""

    type: str
    certificates: list[InstalledCertificate]
    reported_at: At | None


class Certificates(Shown):
    """The newest certificates that the server issued to a charge point, and those that it reported as installed."""

    issued: list[IssuedCertificate]
    installed: list[InstalledCertificates]


class TransferStatus(Shown):
    """A status that a charge point reported, or its answer to the request ("Requested" if that has no status)."""

    status: str
    at: At | None
    is_answer: bool


class Transfer(Shown):
    """A firmware update or a log upload (`kind` "firmware", "log") with its statuses, the oldest first.

    `request_id` null: the charge point named none, as in OCPP 1.6 without its security extension. `status` and
    `updated_at` are those of the newest status.
    """

    kind: str
    request_id: int | None
    status: str
    updated_at: At | None
    statuses: list[TransferStatus]


def security_event(found: records.SecurityEvent) -> SecurityEvent:
    """Return the JSON of a security event."""
    return SecurityEvent(
        id=found.id,
        cp_id=found.cp_id,
        type=found.type,
        tech_info=found.tech_info,
        charger_at=datetime_of(found.charger_ts),
        received_at=datetime_of(found.received_ts),
    )


def certificates(
    issued: Iterable[records.IssuedCertificate], installed: Iterable[records.InstalledCertificates]
) -> Certificates:
    """Return the JSON of a charge point's certificates."""
    return Certificates(
        issued=[
            IssuedCertificate(
                serial=each.serial,
                issued_at=datetime_of(each.issued_ts),
                expires_at=datetime_of(each.expires_ts),
                installed_at=datetime_of(each.installed_ts),
            )
            for each in issued
        ],
        installed=[
            InstalledCertificates(
                type=each.type,
                certificates=[InstalledCertificate(**one._asdict()) for one in each.certificates],
                reported_at=datetime_of(each.reported_ts),
            )
            for each in installed
        ],
    )


def transfers(statuses: Iterable[records.FileTransferStatus]) -> list[Transfer]:
    """Return the transfers that these statuses belong to, the one with the newest status first.

    Statuses with a request id belong to that request. Others belong to the newest request without one of their kind,
    or begin another if that is over.
    """
    groups: list[list[records.FileTransferStatus]] = []
    current: dict[tuple[str, int | None], list[records.FileTransferStatus]] = {}
    for each in statuses:
        key = (each.kind, each.request_id)
        group = current.get(key)
        if group is None or each.is_request or (each.request_id is None and group[-1].status in FINAL):
            group = current[key] = []
            groups.append(group)
        group.append(each)
    groups.sort(key=lambda group: group[-1].received_ts, reverse=True)
    return [_transfer(group) for group in groups]


def _transfer(group: Sequence[records.FileTransferStatus]) -> Transfer:
    newest = group[-1]
    return Transfer(
        kind=newest.kind,
        request_id=newest.request_id,
        status=newest.status or REQUESTED,
        updated_at=datetime_of(newest.received_ts),
        statuses=[
            TransferStatus(status=each.status or REQUESTED, at=datetime_of(each.received_ts), is_answer=each.is_request)
            for each in group
        ],
    )


REQUESTED = "Requested"
"""The status of a request whose answer has none."""
