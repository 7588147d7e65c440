"""What can be set, where from, and whether it makes sense. Owns the names, defaults and ranges; opens nothing it names.

Strongest first: explicit overrides (the command line), the environment (`WATTSPAN_PORT`, …), a TOML file with the same
names in small letters, the defaults. Every fault is told at once. `OTEL_*` variables are read by the OpenTelemetry SDK
itself; `otel_variables` checks the ones we rely on.
"""

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from wattspan.errors import SettingsError
from wattspan.otel_variables import otel_faults

PREFIX = "WATTSPAN_"
CONFIG = "WATTSPAN_CONFIG"
"""Names the TOML file where `--config` does not."""
ALIASES = {"METRICS_PORT": "metrics_port", "KML_URL": "kml_url"}
"""Variables without our prefix, weaker than those with it."""
NO_SETTINGS = frozenset({CONFIG, "WATTSPAN_TOKEN", "WATTSPAN_SIMULATE_PASSWORD", "WATTSPAN_STACK_DIRECTORY"})
"""Variables with our prefix that other commands read."""


class Must(NamedTuple):
    """How a value has to be, in words: `kind` when it can't be read at all, `bounds` when it is out of them."""

    kind: str
    bounds: str = ""

    def broken_by(self, value: object, error_type: str) -> str:
        """Says what is wrong with a `value` that pydantic refused with `error_type`."""
        unreadable = error_type.endswith(("_parsing", "_type", "_from_float", "value_error")) or not self.bounds
        return f"{value} is not {f'{self.kind} {self.bounds}'.rstrip() if unreadable else self.bounds}"


def _small(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _policy(value: object) -> object:
    """`refuse` was the word for `reject`, and goes on to be understood."""
    word = _small(value)
    return "reject" if word == "refuse" else word


def _listed(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _not_bool(value: object) -> object:
    """TOML's `true` is no number, though Python takes it for one."""
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 (pydantic reads it so)
    return value


def _text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1), Must("a text that is not empty")]
Port = Annotated[int, Field(ge=0, le=65535), BeforeValidator(_not_bool), Must("a whole number", "between 0 and 65535")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_not_bool), Must("a number", "above 0")]
SecondsOrNone = Annotated[
    float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_not_bool), Must("a number", "at least 0")
]
Flag = Annotated[bool, Must("true or false")]
Policy = Annotated[
    Literal["accept", "pending", "reject"] | None, BeforeValidator(_policy), Must("accept, pending or reject")
]
TagPolicy = Annotated[Literal["accept", "reject"] | None, BeforeValidator(_policy), Must("accept or reject")]
Subprotocol = Annotated[
    Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"], BeforeValidator(_small), Must("ocpp1.6, ocpp2.0.1 or ocpp2.1")
]
File = Annotated[Path | None, Must("a path")]
WebAddress = Annotated[
    str | None, Field(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$"), Must("a URL like https://traces.example")
]
Secret = Annotated[SecretStr | None, Field(min_length=1), Must("a text that is not empty")]


class Settings(BaseModel):
    """Everything that can be set; frozen, validated, secrets masked in its repr. Made by `load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    host: Text = "127.0.0.1"
    """Where charge points connect to."""
    port: Port = 9000
    """Port for OCPP; 0 takes a free one."""
    tls_port: Annotated[
        int | None, Field(ge=0, le=65535), BeforeValidator(_not_bool), Must("a whole number", "between 0 and 65535")
    ] = None
    """A second port for OCPP, with TLS; not set: `port` itself has TLS where there is a certificate."""
    tls_cert: File = None
    """PEM certificate chain for OCPP, with `tls_key`. Renewed files are read without a restart."""
    tls_key: File = None
    """Its private key."""
    tls_client_ca: File = None
    """PEM certificates of the authorities whose client certificates are believed (security profile 3)."""
    tls_client_crl: File = None
    """PEM revocation lists of theirs."""
    min_security_profile: Annotated[
        int, Field(ge=0, le=3), BeforeValidator(_not_bool), Must("a whole number", "between 0 and 3")
    ] = 0
    """Least OCPP security profile of a connection: 1 credentials, 2 with TLS, 3 client certificate."""
    credential_grace_s: SecondsOrNone = 86_400.0
    """How long the old secret of a charge point works beside a rotated one."""
    ca_dir: File = None
    """Folder of the certificate authority that signs charge points' certificates; not set: there is none."""
    certificate_days: Annotated[
        float, Field(gt=0, le=3650), BeforeValidator(_not_bool), Must("a number", "above 0 and at most 3650")
    ] = 365.0
    """How long a certificate that it signs is good."""
    renewal_days: Annotated[
        float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_not_bool), Must("a number", "at least 0")
    ] = 30.0
    """How long before its end a charge point is asked to renew its certificate; 0: never."""
    metrics_host: Text = Field(default_factory=lambda fields: fields.get("host", "127.0.0.1"))
    """Where /metrics, /healthz and /readyz are; `host` when not set."""
    metrics_port: Port = 9090
    """Port for /metrics; 0 takes a free one."""
    api_host: Text = Field(default_factory=lambda fields: fields.get("host", "127.0.0.1"))
    """Where the HTTP API is; `host` when not set."""
    api_port: Port = 8080
    """Port of the HTTP API; 0 takes a free one."""
    api_url: Annotated[
        str | None, Field(pattern=r"^https?://[^/?#\s]+/?$"), Must("a URL like https://csms.example")
    ] = None
    """How people and charge points reach the API from outside; not set: by `api_host` and `api_port`."""
    api_tls_cert: File = None
    """PEM certificate chain for the API, with `api_tls_key`."""
    api_tls_key: File = None
    """Its private key."""
    admin_password: Annotated[
        SecretStr | None, Field(min_length=12, max_length=200), Must("a text", "of 12 to 200 characters")
    ] = None
    """Password of the first user, `admin`, made when there is none; not set: one is made up and printed once."""
    jaeger_url: WebAddress = None
    """Where the console leads to for traces, e.g. `http://127.0.0.1:16686`."""
    alertmanager_url: WebAddress = None
    """Whose alerts the console shows, e.g. `http://127.0.0.1:9093`."""
    registration: Flag = False
    """People may register themselves, as viewers."""
    session_hours: Annotated[
        float, Field(gt=0, le=720), BeforeValidator(_not_bool), Must("a number", "above 0 and at most 720")
    ] = 12.0
    """How long a log-in lasts."""
    files: Annotated[Path, Must("a path")] = Path("wattspan-files")
    """Folder of diagnostics that charge points upload and of firmware they fetch; made when the first one comes."""
    max_file_bytes: Annotated[
        int, Field(ge=1024), BeforeValidator(_not_bool), Must("a whole number", "at least 1024")
    ] = 268_435_456
    """The largest of them."""
    database: Text = "wattspan.db"
    """A path (SQLite) or a database URL."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        BeforeValidator(_small),
        Must("debug, info, warning, error or critical"),
    ] = "info"
    """Least severity that is logged."""
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_small), Must("text or json")] = "text"
    """For eyes or for a log shipper."""
    unknown_charge_points: Policy = None
    """Accept, reject or leave pending those whom nobody registered; not set: accept only when `host` is loopback."""
    unknown_id_tags: TagPolicy = None
    """What those get whom nobody registered; not set: accept only when `host` is loopback."""
    default_subprotocol: Subprotocol = "ocpp1.6"
    """Spoken with a charge point that offers no WebSocket subprotocol."""
    strict: Flag = False
    """Schema faults are answered with a CALLERROR, even where the facts could be saved."""
    heartbeat_interval_s: Annotated[
        int, Field(ge=1), BeforeValidator(_not_bool), Must("a whole number", "at least 1")
    ] = 120
    """Told to charge points at boot."""
    command_timeout_s: Seconds = 30.0
    """How long a charge point may take to answer a command."""
    ping_interval_s: SecondsOrNone = 20.0
    """Between WebSocket pings; 0: none, for chargers that dislike them."""
    ping_timeout_s: Seconds = 20.0
    """How long a pong may take."""
    max_frame_bytes: Annotated[
        int, Field(ge=1024), BeforeValidator(_not_bool), Must("a whole number", "at least 1024")
    ] = 1_048_576
    """A longer frame closes the connection (1009)."""
    store_hold_s: SecondsOrNone = 30.0
    """How long an answer waits for a store that is down before the connection is closed unanswered."""
    metrics_token: Secret = None
    """Bearer token that /metrics asks for."""
    metrics_user: Annotated[str | None, Field(min_length=1), Must("a text that is not empty")] = None
    """User name that /metrics asks for, with `metrics_password`."""
    metrics_password: Secret = None
    """Its password."""
    metrics_tls_cert: File = None
    """PEM certificate chain for /metrics, with `metrics_tls_key`."""
    metrics_tls_key: File = None
    """Its private key."""
    handling_by_charge_point: Flag = True
    """`ocpp_msg_handling_seconds` has the label `cp_id`; without it, far fewer series."""
    reading_retention_days: Annotated[
        float | None, Field(ge=0, allow_inf_nan=False), BeforeValidator(_not_bool), Must("a number", "at least 0")
    ] = 400
    """Meter readings older than this are deleted; 0: never."""
    audit_retention_days: Annotated[
        float | None, Field(ge=0, allow_inf_nan=False), BeforeValidator(_not_bool), Must("a number", "at least 0")
    ] = 730
    """Rows of the operators' audit log older than this are deleted; 0: never."""
    plugins: Annotated[
        tuple[str, ...], BeforeValidator(_listed), Must("a list of plugin names, commas between them")
    ] = ("orphans",)
    """Plugins by name; in the environment with commas between them, a lone comma for none."""
    plug_and_charge_id_tag: Annotated[
        str | None, Field(min_length=1, max_length=20, repr=False), Must("a text", "of 1 to 20 characters")
    ] = None
    """Id tag of the remote start that plugging in brings about (plugin `plug_and_charge`)."""
    audit_log: File = None
    """File of the audit plugin; not set: its entries go to the log."""
    audit_unmasked: Flag = False
    """The audit log shows id tokens and keys as they are."""

    kml_url: Annotated[
        str | None, Field(pattern=r"^https?://[^\s/]+"), Must("an address that begins with http:// or https://")
    ] = None
    """`wattspan chargy`: address of the public network's KML; KML_URL works as well."""
    kml_interval_s: Seconds = 300.0
    """`wattspan chargy`: between two looks at the feed."""
    kml_timeout_s: Seconds = 30.0
    """`wattspan chargy`: for one whole fetch of it."""
    kml_max_bytes: Annotated[
        int, Field(ge=1024), BeforeValidator(_not_bool), Must("a whole number", "at least 1024")
    ] = 33_554_432
    """`wattspan chargy`: a larger feed is refused."""

    @property
    def charge_point_policy(self) -> Literal["accept", "pending", "reject"]:
        """What becomes of a charge point that nobody registered."""
        return self.unknown_charge_points or ("accept" if is_loopback(self.host) else "reject")

    @property
    def lets_unknown_id_tags(self) -> bool:
        """Whether an id tag that nobody registered may charge."""
        return is_loopback(self.host) if self.unknown_id_tags is None else self.unknown_id_tags == "accept"

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, _without_password(value) if name == "database" else value


class _Given(NamedTuple):
    """A value that somebody set; `source` names it in a fault: `WATTSPAN_PORT`, `wattspan.toml: port`, `port`."""

    source: str
    value: object


def load_settings(overrides: Mapping[str, Any], config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Reads and checks everything. None in `overrides` and empty variables count as not set.

    `config` None: the file that WATTSPAN_CONFIG names, if any. Raises SettingsError with all faults, one line each.
    """
    faults: list[str] = []
    config = config or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    given: dict[str, _Given] = {}
    for source in (_from_file(config, faults), _from_environ(environ), _from_overrides(overrides)):
        given.update({name: _Given(called, value) for called, name, value in source})
    faults += [_unknown(given.pop(name).source, name) for name in given.keys() - Settings.model_fields.keys()]
    settings, wrong = _validated(given)
    faults += wrong
    faults += otel_faults(environ)
    if settings is not None:
        faults += _contradictions(settings, given)
    if faults or settings is None:
        raise SettingsError(sorted(faults))
    return settings


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


_Setting = tuple[str, str, object]


def _from_file(path: Path | None, faults: list[str]) -> Iterator[_Setting]:
    if path is None:
        return
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        faults.append(f"{path}: can't be read: {exc.strerror or exc}")
    except ValueError as exc:
        faults.append(f"{path}: is no TOML: {exc}")
    else:
        yield from ((f"{path.name}: {name}", name, value) for name, value in content.items())


def _from_environ(environ: Mapping[str, str]) -> Iterator[_Setting]:
    for variable, name in ALIASES.items():
        if environ.get(variable):
            yield variable, name, environ[variable]
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable not in NO_SETTINGS and value:
            yield variable, variable.removeprefix(PREFIX).lower(), value


def _from_overrides(overrides: Mapping[str, Any]) -> Iterator[_Setting]:
    return ((name, name, value) for name, value in overrides.items() if value is not None)


def _unknown(source: str, name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    if not near:
        return f"{source}: there is no such setting"
    meant = PREFIX + near[0].upper() if source.startswith(PREFIX) else near[0]
    return f"{source}: there is no such setting; did you mean {meant}?"


def _validated(given: Mapping[str, _Given]) -> tuple[Settings | None, list[str]]:
    try:
        return Settings.model_validate({name: entry.value for name, entry in given.items()}), []
    except ValidationError as exc:
        wrong = {str(error["loc"][0]): error["type"] for error in exc.errors(include_url=False, include_input=False)}
        # What only follows from another setting (`metrics_host`) is not told apart from it.
        wrong = {name: kind for name, kind in wrong.items() if name in given}
        return None, [f"{given[name].source}: {_fault(name, given[name].value, kind)}" for name, kind in wrong.items()]


def _fault(name: str, value: object, error_type: str) -> str:
    field = Settings.model_fields[name]
    must = next(item for item in field.metadata if isinstance(item, Must))
    secret = SecretStr in getattr(field.annotation, "__args__", ()) or not field.repr
    return must.broken_by("it" if secret else value, error_type)


def _contradictions(settings: Settings, given: Mapping[str, _Given]) -> Iterator[str]:
    def called(name: str) -> str:
        return given[name].source if name in given else name

    yield from _ports_taken(settings, called)
    pairs = (
        ("metrics_user", "metrics_password"),
        ("metrics_tls_cert", "metrics_tls_key"),
        ("api_tls_cert", "api_tls_key"),
        ("tls_cert", "tls_key"),
    )
    for one, other in pairs:
        for here, missing in ((one, other), (other, one)):
            if getattr(settings, here) is not None and getattr(settings, missing) is None:
                yield f"{called(here)}: needs {missing} as well"
    yield from _without_tls(settings, called)
    for name in _FILES:
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            yield f"{called(name)}: {path} is no file"
    if "plug_and_charge" in settings.plugins and settings.plug_and_charge_id_tag is None:
        yield f"{called('plugins')}: plug_and_charge needs plug_and_charge_id_tag as well"


_FILES = (
    *("metrics_tls_cert", "metrics_tls_key", "api_tls_cert", "api_tls_key"),
    *("tls_cert", "tls_key", "tls_client_ca", "tls_client_crl"),
)


def _without_tls(settings: Settings, called: Callable[[str], str]) -> Iterator[str]:
    """Settings that mean nothing unless the OCPP port has TLS, and CRLs of nobody."""
    if settings.tls_cert is None:
        for name in ("tls_port", "tls_client_ca"):
            if getattr(settings, name) is not None:
                yield f"{called(name)}: needs tls_cert and tls_key as well"
        if settings.min_security_profile > 1:
            asked = settings.min_security_profile
            yield f"{called('min_security_profile')}: {asked} needs tls_cert and tls_key as well"
    if settings.tls_client_crl is not None and settings.tls_client_ca is None:
        yield f"{called('tls_client_crl')}: needs tls_client_ca as well"
    if settings.min_security_profile > 2 and settings.tls_client_ca is None and settings.ca_dir is None:  # noqa: PLR2004
        yield f"{called('min_security_profile')}: 3 needs tls_client_ca or ca_dir as well"


def _ports_taken(settings: Settings, called: Callable[[str], str]) -> Iterator[str]:
    if settings.metrics_port == settings.port != 0 and settings.metrics_host == settings.host:
        yield f"{called('metrics_port')}: {settings.port} is the port for OCPP already"
    if settings.tls_port is not None and settings.tls_port == settings.port != 0:
        yield f"{called('tls_port')}: {settings.tls_port} is the port for OCPP without TLS already"
    others = {"for OCPP": (settings.host, settings.port), "of /metrics": (settings.metrics_host, settings.metrics_port)}
    for what, taken in others.items():
        if taken == (settings.api_host, settings.api_port) and settings.api_port != 0:
            yield f"{called('api_port')}: {settings.api_port} is the port {what} already"


def _without_password(database: str) -> str:
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:**********@", database)
    return re.sub(r"([?&]password=)[^&]*", r"\1**********", hidden)
