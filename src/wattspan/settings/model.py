"""The settings: their names, types, defaults, limits and descriptions. It opens nothing that they name."""

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _policy(value: object) -> object:
    """Return the policy, with `refuse`, an older name, as `reject`."""
    word = _lower(value)
    return "reject" if word == "refuse" else word


def _split(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _path_to_text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


Text = Annotated[str, BeforeValidator(_path_to_text), Field(min_length=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Bytes = Annotated[int, Field(ge=1024)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
DaysOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _detail(value: object) -> object:
    return value.lower().replace("-", "_") if isinstance(value, str) else value


ChargePointPolicy = Annotated[Literal["accept", "pending", "reject"], BeforeValidator(_policy)]
IdTagPolicy = Annotated[Literal["accept", "reject"], BeforeValidator(_policy)]
OcspPolicy = Annotated[Literal["off", "soft", "hard"], BeforeValidator(_lower)]
MetricsDetail = Annotated[Literal["fleet", "charge_points", "connectors"], BeforeValidator(_detail)]
RsaSigner = Annotated[Literal["ecdsa", "rsa"], BeforeValidator(_lower)]
Subprotocol = Annotated[Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"], BeforeValidator(_lower)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(_lower)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Secret = Annotated[SecretStr, Field(min_length=1)]
# A pattern's first example is shown in error messages.
BaseUrl = Annotated[str, Field(pattern=r"^https?://[^/?#\s]+/?$", examples=["https://csms.example"])]
RedisUrl = Annotated[
    str, Field(pattern=r"^(rediss?(\+(sentinel|cluster))?|unix)://\S+$", examples=["redis://127.0.0.1:6379/0"])
]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", examples=["node-1"])]
WebUrl = Annotated[str, Field(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$", examples=["https://traces.example"])]
MapUrl = Annotated[
    str,
    Field(
        pattern=r"^https?://[A-Za-z0-9.\-:\[\]]+/[^\s#]*$",
        examples=["https://maps.example/style.json", "https://maps.example/{z}/{x}/{y}.png"],
    ),
]
FeedUrl = Annotated[str, Field(pattern=r"^https?://[^\s/]+", examples=["https://feed.example/chargy.kml"])]


class Settings(BaseModel):
    """Every setting, validated and frozen; its repr masks secrets. Created by `load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    host: Text = "127.0.0.1"
    """Address that charge points connect to."""
    port: Port = 9000
    """OCPP port; 0 picks a free one."""
    tls_port: Port | None = None
    """Second OCPP port, with TLS. Without it, `port` itself uses TLS if there is a certificate."""
    tls_cert: Path | None = None
    """PEM certificate chain for OCPP, used with `tls_key`. Renewed files are read without a restart."""
    tls_key: Path | None = None
    """Private key of `tls_cert`."""
    tls_client_ca: Path | None = None
    """PEM certificates of the authorities that sign client certificates (security profile 3)."""
    tls_client_crl: Path | None = None
    """PEM revocation lists of those authorities."""
    tls_client_ocsp: OcspPolicy = "off"
    """Whether to ask the OCSP responder that a client certificate names: `off`; `soft` accepts the certificate if the
    responder does not answer within 5 s; `hard` refuses it then."""
    min_security_profile: Annotated[int, Field(ge=0, le=3)] = 0
    """Lowest OCPP security profile accepted: 1 password, 2 password over TLS, 3 client certificate."""
    credential_grace_s: SecondsOrZero = 86_400.0
    """Seconds that the old password of a charge point keeps working after a rotation."""
    ca_dir: Path | None = None
    """Folder of the certificate authority that signs charge points' certificates. Without it there is none."""
    certificate_days: Annotated[float, Field(gt=0, le=3650)] = 365.0
    """Days that a certificate signed by our authority is valid."""
    cpo_name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Name of the charge point operator. Client certificates must have it as their organization, and our authority
    writes it into those that it signs. Without it, the organization is not checked."""
    rsa_requests: RsaSigner = "ecdsa"
    """Key with which our authority signs certificates for RSA keys: `ecdsa`, or `rsa` for charge points that support
    nothing else."""
    renewal_days: DaysOrZero = 30.0
    """Days before expiry when a charge point is asked to renew its certificate; 0 never asks."""
    metrics_host: Text = "127.0.0.1"
    """Address of /metrics, /healthz and /readyz."""
    metrics_port: Port = 9090
    """Port of /metrics; 0 picks a free one."""
    api_host: Text = "127.0.0.1"
    """Address of the HTTP API and the console."""
    api_port: Port = 8080
    """Port of the HTTP API and the console; 0 picks a free one."""
    api_url: BaseUrl | None = None
    """URL of the API as browsers and charge points reach it. Defaults to one made from `api_host` and `api_port`."""
    api_tls_cert: Path | None = None
    """PEM certificate chain for the API, used with `api_tls_key`."""
    api_tls_key: Path | None = None
    """Private key of `api_tls_cert`."""
    trusted_proxies: Names = ()
    """Addresses and networks of reverse proxies before the API or /metrics, separated by commas. Only from them are
    `X-Forwarded-For` and `X-Forwarded-Proto` accepted."""
    proxy_protocol_from: Names = ()
    """Addresses and networks of load balancers that begin each connection to the OCPP port without TLS with a PROXY
    protocol header (version 2), separated by commas. They report the charge point's address, and whether it used TLS
    and a client certificate that they verified."""
    max_users: Annotated[int, Field(ge=1)] = 1_000
    """Maximum number of users; further ones are refused."""
    max_tokens_per_user: Annotated[int, Field(ge=1)] = 50
    """Maximum number of API tokens per user; expired ones don't count."""
    max_streams_per_user: Annotated[int, Field(ge=1)] = 20
    """Maximum number of event streams that a user has open at the same time."""
    admin_password: Annotated[SecretStr, Field(min_length=12, max_length=200)] | None = None
    """Password of the first user, `admin`, created when there are no users. Without it, one is generated, and printed
    once to a terminal or else written to a file that only its owner can read."""
    jaeger_url: WebUrl | None = None
    """Address of Jaeger, for the console's links to traces, such as `http://127.0.0.1:16686`."""
    alertmanager_url: WebUrl | None = None
    """Address of the Alertmanager whose alerts the console shows, such as `http://127.0.0.1:9093`."""
    map_style_url: MapUrl | None = None
    """Address of a MapLibre style, or of raster tiles with `{z}/{x}/{y}`, for the console's map of sites."""
    registration: bool = False
    """Let people register themselves as viewers."""
    session_hours: Annotated[float, Field(gt=0, le=720)] = 12.0
    """Hours until a login to the console expires."""
    files: Path = Path("wattspan-files")
    """Folder for diagnostics that charge points upload and firmware that they download. Created when first used."""
    max_file_bytes: Bytes = 268_435_456
    """Largest file accepted, in bytes."""
    database: Text = "wattspan.db"
    """Path of a SQLite file, or a database URL."""
    redis: RedisUrl | None = None
    """URL of the Redis that connects the nodes of a cluster: `redis://` or `unix://` for one server,
    `redis+sentinel://host,host/service`, `redis+cluster://host,host`; with `rediss` for TLS. It needs a PostgreSQL
    database. Without it, this process is the only server of its database."""
    node_name: NodeName | None = None
    """Name of this node. No other node of the cluster may have it, and it stays the same over restarts. Defaults to the
    host name."""
    drain_s: SecondsOrZero = 10.0
    """Seconds over which a node of a cluster closes its connections when it stops, so that charge points do not all
    reconnect to the other nodes at once."""
    log_level: LogLevel = "info"
    """Lowest severity that is logged."""
    log_format: LogFormat = "text"
    """Format of log lines: text for people, JSON for log shippers."""
    unknown_charge_points: ChargePointPolicy | None = None
    """What to do with charge points that are not registered. By default they are accepted only if `host` is a
    loopback address."""
    unknown_id_tags: IdTagPolicy | None = None
    """What to do with id tags that are not registered. By default they are accepted only if `host` is a loopback
    address."""
    default_subprotocol: Subprotocol = "ocpp1.6"
    """OCPP version for charge points that offer no WebSocket subprotocol."""
    strict: bool = False
    """Answer every schema violation with a CALLERROR, even if the data could be saved."""
    heartbeat_interval_s: Annotated[int, Field(ge=1)] = 120
    """Heartbeat interval in seconds, sent to charge points when they boot."""
    command_timeout_s: Seconds = 30.0
    """Seconds that a charge point may take to answer a command."""
    ping_interval_s: SecondsOrZero = 20.0
    """Seconds between WebSocket pings; 0 sends none, for chargers that cannot handle them."""
    ping_timeout_s: Seconds = 20.0
    """Seconds to wait for a pong before the connection is closed."""
    max_frame_bytes: Bytes = 16_777_216
    """Largest WebSocket message accepted from charge points, in bytes. A longer one closes the connection (1009)."""
    store_hold_s: SecondsOrZero = 30.0
    """Seconds that answers wait for a database that is down before the connection is closed unanswered."""
    metrics_token: Secret | None = None
    """Bearer token required for /metrics."""
    metrics_user: Annotated[str, Field(min_length=1)] | None = None
    """User name required for /metrics, with `metrics_password`."""
    metrics_password: Secret | None = None
    """Password of `metrics_user`."""
    metrics_tls_cert: Path | None = None
    """PEM certificate chain for /metrics, used with `metrics_tls_key`."""
    metrics_tls_key: Path | None = None
    """Private key of `metrics_tls_cert`."""
    metrics_detail: MetricsDetail = "connectors"
    """What metrics are about: only the `fleet`, also its `charge_points`, or also their `connectors`. The shipped
    dashboards and alerts need all of them. See docs/operating.md for the number of series."""
    handling_by_charge_point: bool = True
    """Give `ocpp_msg_handling_seconds` the label `cp_id`. Without it there are far fewer series."""
    metrics_native_histograms: bool = False
    """Offer Prometheus' protobuf format at /metrics, with native histograms beside the classic ones. Prometheus then
    needs `always_scrape_classic_histograms`, or the shipped dashboards and alerts find no buckets."""
    reading_retention_days: DaysOrZero | None = 400.0
    """Days until meter readings are deleted; 0 keeps them forever."""
    audit_retention_days: DaysOrZero | None = 730.0
    """Days until rows of the operators' audit log are deleted; 0 keeps them forever."""
    message_retention_hours: Annotated[float, Field(ge=0, le=168)] = 24.0
    """Hours that the messages of charge points are kept, masked; 0 keeps none."""
    plugins: Names = ("orphans",)
    """Names of the plugins to load, separated by commas; a single comma loads none."""
    plug_and_charge_id_tag: Annotated[str, Field(min_length=1, max_length=20)] | None = Field(None, repr=False)
    """Id tag for the remote start when a car is plugged in (plugin `plug_and_charge`)."""
    audit_log: Path | None = None
    """File that the audit plugin writes to. Without it, entries go to the log."""
    audit_unmasked: bool = False
    """Write id tokens and keys to the audit log unmasked."""

    upstream: Annotated[str, Field(min_length=1)] | None = None
    """`wattspan proxy`: URL of the central system behind it, with `{cp_id}` for the identity of the charge point, such
    as `wss://csms.example/ocpp/{cp_id}`."""
    upstream_ca: Path | None = None
    """`wattspan proxy`: PEM certificates of the authorities that sign the central system's certificate. Defaults to
    those of the operating system."""
    upstream_cert: Annotated[str, Field(min_length=1)] | None = None
    """`wattspan proxy`: PEM file with the client certificate and key shown to the central system for a charge point
    (security profile 3), such as `certs/{cp_id}.pem`."""
    mirrors: Names = ()
    """`wattspan proxy`: URLs of other central systems, separated by commas, that get copies of the charge points'
    messages; each with `{cp_id}`."""
    compare: bool = False
    """`wattspan proxy`: report where the answers of mirrors differ, at `/compare` of the metrics port and
    at the end."""

    kml_url: FeedUrl | None = None
    """`wattspan chargy`: address of the public network's KML feed; the variable KML_URL works as well."""
    kml_interval_s: Seconds = 300.0
    """`wattspan chargy`: seconds between two fetches of the feed."""
    kml_timeout_s: Seconds = 30.0
    """`wattspan chargy`: seconds that one fetch of the feed may take."""
    kml_max_bytes: Bytes = 33_554_432
    """`wattspan chargy`: largest feed accepted, in bytes."""

    @field_validator("*", mode="before")
    @classmethod
    def _reject_bool_as_number(cls, value: object, info: ValidationInfo) -> object:
        """Reject `true` for a number: it is none in TOML, although it is in Python."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("a bool")
        return value

    @property
    def charge_point_policy(self) -> Literal["accept", "pending", "reject"]:
        """What happens to a charge point that is not registered."""
        return self.unknown_charge_points or ("accept" if is_loopback(self.host) else "reject")

    @property
    def accepts_unknown_id_tags(self) -> bool:
        """Whether an id tag that is not registered may charge."""
        return is_loopback(self.host) if self.unknown_id_tags is None else self.unknown_id_tags == "accept"

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, mask_url_password(value) if name in {"database", "redis"} and value else value


def is_secret(name: str) -> bool:
    """Return whether the value of this setting must never be shown."""
    field = Settings.model_fields[name]
    return not field.repr or "SecretStr" in str(field.annotation)


def is_loopback(host: str) -> bool:
    """Return whether `host` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def mask_url_password(url: str) -> str:
    """Return the URL of a database or of Redis with its password replaced by asterisks."""
    masked = re.sub(r"(://[^:/@]*):.*@", r"\1:**********@", url)
    return re.sub(r"([?&]password=)[^&]*", r"\1**********", masked)
