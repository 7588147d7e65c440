"""Checks between settings that are each valid: what must be set together, files that must exist, ports used twice."""

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from wattspan.settings.model import Settings


class Conflict(NamedTuple):
    """What is wrong with the setting `name`, considering the settings `others`."""

    name: str
    text: str
    others: tuple[str, ...] = ()


_PAIRS = (
    ("metrics_user", "metrics_password"),
    ("metrics_tls_cert", "metrics_tls_key"),
    ("api_tls_cert", "api_tls_key"),
    ("tls_cert", "tls_key"),
)
_FILES = (
    *("metrics_tls_cert", "metrics_tls_key", "api_tls_cert", "api_tls_key"),
    *("tls_cert", "tls_key", "tls_client_ca", "tls_client_crl", "upstream_ca"),
)
_PROFILE_WITH_CLIENT_CERTIFICATE = 3


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield every conflict."""
    yield from _ports_used_twice(settings)
    yield from _incomplete_pairs(settings)
    yield from _tls_missing(settings)
    yield from _files_missing(settings)
    yield from _proxies_without_address(settings)
    if settings.redis is not None and not settings.database.startswith("postgresql"):
        yield Conflict("redis", "needs a PostgreSQL database", ("database",))
    if "plug_and_charge" in settings.plugins and settings.plug_and_charge_id_tag is None:
        text = "plug_and_charge needs plug_and_charge_id_tag as well"
        yield Conflict("plugins", text, ("plug_and_charge_id_tag",))


def _ports_used_twice(settings: Settings) -> Iterator[Conflict]:
    if settings.metrics_port == settings.port != 0 and settings.metrics_host == settings.host:
        yield Conflict("metrics_port", f"{settings.port} is already the OCPP port", ("port", "host", "metrics_host"))
    if settings.tls_port is not None and settings.tls_port == settings.port != 0:
        yield Conflict("tls_port", f"{settings.tls_port} is already the OCPP port without TLS", ("port",))
    for prefix, description in (("", "the OCPP port"), ("metrics_", "the port of /metrics")):
        host, port = f"{prefix}host", f"{prefix}port"
        if settings.api_port == getattr(settings, port) != 0 and settings.api_host == getattr(settings, host):
            yield Conflict("api_port", f"{settings.api_port} is already {description}", (host, port, "api_host"))


def _incomplete_pairs(settings: Settings) -> Iterator[Conflict]:
    for one, other in _PAIRS:
        for present, missing in ((one, other), (other, one)):
            if getattr(settings, present) is not None and getattr(settings, missing) is None:
                yield Conflict(present, f"needs {missing} as well", (missing,))


def _tls_missing(settings: Settings) -> Iterator[Conflict]:
    """Yield settings that have no effect unless the OCPP port uses TLS, and revocation lists without an authority."""
    profile = settings.min_security_profile
    has_plain_port = settings.tls_cert is None or settings.tls_port is not None
    if settings.proxy_protocol_from and not has_plain_port:
        yield Conflict("proxy_protocol_from", "needs a port without TLS: set tls_port", ("tls_port",))
    if settings.tls_cert is None:
        for name in ("tls_port", "tls_client_ca"):
            if getattr(settings, name) is not None:
                yield Conflict(name, "needs tls_cert and tls_key as well", ("tls_cert",))
        if profile > 1 and not settings.proxy_protocol_from:
            yield Conflict("min_security_profile", f"{profile} needs tls_cert and tls_key as well", ("tls_cert",))
    if settings.tls_client_ocsp != "off" and settings.tls_client_ca is None:
        yield Conflict("tls_client_ocsp", "needs tls_client_ca as well", ("tls_client_ca",))
    if settings.tls_client_crl is not None and settings.tls_client_ca is None:
        yield Conflict("tls_client_crl", "needs tls_client_ca as well", ("tls_client_ca",))
    has_authority = settings.tls_client_ca or settings.ca_dir or settings.proxy_protocol_from
    if profile == _PROFILE_WITH_CLIENT_CERTIFICATE and not has_authority:
        text = f"{profile} needs tls_client_ca or ca_dir as well"
        yield Conflict("min_security_profile", text, ("tls_client_ca", "ca_dir"))


def _files_missing(settings: Settings) -> Iterator[Conflict]:
    for name in _FILES:
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            yield Conflict(name, f"{path} is not a file")


def _is_network(name: str) -> bool:
    try:
        ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
    return True


def _proxies_without_address(settings: Settings) -> Iterator[Conflict]:
    for setting in ("trusted_proxies", "proxy_protocol_from"):
        for name in getattr(settings, setting):
            if not _is_network(name):
                yield Conflict(setting, f"{name} is not an address or network, such as 10.0.0.7 or 10.0.0.0/24")
