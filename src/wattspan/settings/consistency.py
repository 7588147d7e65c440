"""Checks between settings that are each valid: what must be set together, files that must exist, ports in use twice."""

from collections.abc import Callable, Iterator

from wattspan.settings.model import Settings

Source = Callable[[str], str]
"""Returns where a setting came from, for an error message: `WATTSPAN_PORT`, `wattspan.toml: port`, `port`."""

_PAIRS = (
    ("metrics_user", "metrics_password"),
    ("metrics_tls_cert", "metrics_tls_key"),
    ("api_tls_cert", "api_tls_key"),
    ("tls_cert", "tls_key"),
)
_FILES = (
    *("metrics_tls_cert", "metrics_tls_key", "api_tls_cert", "api_tls_key"),
    *("tls_cert", "tls_key", "tls_client_ca", "tls_client_crl"),
)
_PROFILE_WITH_CLIENT_CERTIFICATE = 3


def conflicts(settings: Settings, source: Source) -> Iterator[str]:
    """Yield a line for each conflict."""
    yield from _ports_used_twice(settings, source)
    yield from _incomplete_pairs(settings, source)
    yield from _tls_missing(settings, source)
    yield from _files_missing(settings, source)
    if "plug_and_charge" in settings.plugins and settings.plug_and_charge_id_tag is None:
        yield f"{source('plugins')}: plug_and_charge needs plug_and_charge_id_tag as well"


def _ports_used_twice(settings: Settings, source: Source) -> Iterator[str]:
    if settings.metrics_port == settings.port != 0 and settings.metrics_host == settings.host:
        yield f"{source('metrics_port')}: {settings.port} is already the OCPP port"
    if settings.tls_port is not None and settings.tls_port == settings.port != 0:
        yield f"{source('tls_port')}: {settings.tls_port} is already the OCPP port without TLS"
    others = {
        "the OCPP port": (settings.host, settings.port),
        "the port of /metrics": (settings.metrics_host, settings.metrics_port),
    }
    for name, address in others.items():
        if address == (settings.api_host, settings.api_port) and settings.api_port != 0:
            yield f"{source('api_port')}: {settings.api_port} is already {name}"


def _incomplete_pairs(settings: Settings, source: Source) -> Iterator[str]:
    for one, other in _PAIRS:
        for present, missing in ((one, other), (other, one)):
            if getattr(settings, present) is not None and getattr(settings, missing) is None:
                yield f"{source(present)}: needs {missing} as well"


def _tls_missing(settings: Settings, source: Source) -> Iterator[str]:
    """Settings that have no effect unless the OCPP port uses TLS, and revocation lists without an authority."""
    profile = settings.min_security_profile
    if settings.tls_cert is None:
        for name in ("tls_port", "tls_client_ca"):
            if getattr(settings, name) is not None:
                yield f"{source(name)}: needs tls_cert and tls_key as well"
        if profile > 1:
            yield f"{source('min_security_profile')}: {profile} needs tls_cert and tls_key as well"
    if settings.tls_client_crl is not None and settings.tls_client_ca is None:
        yield f"{source('tls_client_crl')}: needs tls_client_ca as well"
    if profile == _PROFILE_WITH_CLIENT_CERTIFICATE and settings.tls_client_ca is None and settings.ca_dir is None:
        yield f"{source('min_security_profile')}: {profile} needs tls_client_ca or ca_dir as well"


def _files_missing(settings: Settings, source: Source) -> Iterator[str]:
    for name in _FILES:
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            yield f"{source(name)}: {path} is not a file"
