"""Records in the store: charge points, id tags, reservations, certificates, users and files."""

import json
from dataclasses import asdict, dataclass, field

from wattspan.domain.installed import CertificateId

NOW, RESTART, NETWORK = "now", "restart", "network"
"""The values of `PendingSecret.when`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSecret:
    """A secret that a command gave to a charge point, and that is accepted until it is known which one it has.

    `secret` is hashed. Entries with the same `offer` belong to one command: they are readings of one value. `when` it
    is used: NOW, from the next connection; RESTART, after a restart; NETWORK, with another network profile.
    """

    offer: str
    secret: str
    when: str = "now"

    def __repr__(self) -> str:
        return f"PendingSecret(offer={self.offer!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The stored record of a charge point.

    `registered_ts`: when an operator added it; None: it connected without being registered. `secret` is hashed
    (csms.security.credentials); None: it has none. `other_secret` is accepted too until `other_until_ts`, or, if that
    is None, until it is known which of the two the charger has. `security_profile` None: the minimum of the server
    applies. `unknown_id_tags` "": the policy of the server applies.

    `pending_secrets` is JSON; see `pending`. `pending_profile`: the security profile that a command set and that the
    charge point has not used yet. `profile_lowered`: an operator lowered the required profile, and the charge point
    has not used the lower one yet. `registered_serial` "": certificates must name the identity. `owner`: the node of a
    cluster that owns it, under `owner_epoch`.
    """

    cp_id: str
    registered_ts: float | None
    secret: str | None
    protocol: str = ""
    vendor: str = ""
    model: str = ""
    last_msg_ts: float | None = None
    name: str = ""
    location: str = ""
    note: str = ""
    other_secret: str | None = None
    other_until_ts: float | None = None
    security_profile: int | None = None
    unknown_id_tags: str = ""
    pending_secrets: str = "[]"
    pending_profile: int | None = None
    profile_lowered: bool = False
    registered_serial: str = ""
    owner: str | None = None
    owner_epoch: int = 0

    @property
    def pending(self) -> tuple[PendingSecret, ...]:
        """The secrets that commands gave it, the newest last."""
        return () if self.pending_secrets == NO_SECRETS else secrets_from_json(self.pending_secrets)

    def __repr__(self) -> str:
        secret = "***" if self.secret else None
        return f"Registration(cp_id={self.cp_id!r}, registered_ts={self.registered_ts}, secret={secret})"


NO_SECRETS = "[]"


def secrets_from_json(text: str) -> tuple[PendingSecret, ...]:
    """Return the pending secrets of a row's column."""
    return tuple(PendingSecret(**each) for each in json.loads(text))


def secrets_to_json(pending: tuple[PendingSecret, ...]) -> str:
    """Return pending secrets as a row's column has them."""
    return json.dumps([asdict(each) for each in pending])


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTag:
    """A registered id token. `expiry_ts` None: it never expires. `max_active_transactions` None: any number.

    `type` is the token type of OCPP 2.x (ISO14443, eMAID, …), "" any. `evse_ids`: where it may charge; empty: anywhere.
    `tag_group` is the operator's, "" none; OCPP's group is `parent`. Where it was last used is not stored with it.
    """

    id_token: str
    status: str = "Accepted"
    expiry_ts: float | None = None
    parent: str | None = None
    max_active_transactions: int | None = None
    type: str = ""
    evse_ids: tuple[int, ...] = ()
    tag_group: str = ""
    note: str = ""
    last_used_ts: float | None = field(default=None, compare=False)
    last_used_cp_id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A reservation that a charge point accepted. `expires_ts` None: the expiry could not be parsed."""

    cp_id: str
    reservation_id: int
    connector_id: str
    id_token: str
    parent_id_token: str | None
    made_ts: float
    expires_ts: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate that our authority signed. `installed_ts` None: the charge point has not accepted it."""

    serial: str
    cp_id: str
    issued_ts: float
    expires_ts: float
    installed_ts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """The newest signing request of a charge point for a type of certificate (`kind`), and its certificate's delivery.

    `state` is one of domain.certificates.SIGNING_STATES. `reason`: why the last try failed. `next_try_ts` None: no
    further try. `chain` and `echo` (JSON) are what CertificateSigned contains; "" before the certificate is signed.
    """

    cp_id: str
    kind: str
    state: str
    reason: str = ""
    tries: int = 0
    requested_ts: float
    next_try_ts: float | None = None
    serial: str = ""
    expires_ts: float | None = None
    chain: str = ""
    echo: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledCertificates:
    """The certificates of one type that a charge point reported; empty: it has none."""

    type: str
    certificates: tuple[CertificateId, ...]
    reported_ts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """A security event that a charge point reported. `charger_ts` None: its time could not be parsed."""

    id: int
    cp_id: str
    received_ts: float
    charger_ts: float | None
    type: str
    tech_info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTransferStatus:
    """A status of a firmware update or a log upload (`kind` "firmware", "log").

    `is_request`: it is the charge point's answer to the request, "" if the answer has no status (1.6). `request_id`
    None: the charge point named none, as with UpdateFirmware and GetDiagnostics of 1.6.
    """

    kind: str
    request_id: int | None
    status: str
    is_request: bool
    received_ts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReading:
    """A meter reading, in the order of arrival. `samples` is the sampledValue list as the charger sent it."""

    charger_ts: float | None
    received_ts: float
    energy_wh: float | None
    register_wh: float | None
    current_a: float | None
    power_w: float | None
    soc_percent: float | None
    samples: object
    offered_a: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of the API. `password` is hashed (csms.security.passwords)."""

    name: str
    role: str
    password: str
    created_ts: float
    last_login_ts: float | None = None
    disabled: bool = False

    def __repr__(self) -> str:
        return f"User(name={self.name!r}, role={self.role!r}, disabled={self.disabled})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """An API token of a user, for programs. Its secret is not stored. `expires_ts` None: it never expires."""

    token_id: str
    user: str
    label: str
    scopes: tuple[str, ...]
    created_ts: float
    expires_ts: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One request in the audit log, successful or not. `status` is the HTTP status of the response."""

    id: int = 0
    at_ts: float
    who: str
    auth_method: str
    action: str
    target: str
    status: int
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file that a charge point sent (`diagnostics`) or may download (`firmware`). `cp_id` "": of none."""

    file_id: str
    kind: str
    cp_id: str
    name: str
    size_bytes: int
    sha256: str
    created_ts: float
