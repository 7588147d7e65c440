"""TLS of the OCPP port (OCPP security whitepaper §2.4, 2.0.1 Part 2 A00.FR.3xx): versions, suites, client certificates.

It owns the SSL context and its renewal without closing connections, and reports why a TLS handshake failed. It must not
know which certificate may connect as which charge point.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509

from wattspan.csms.security.authority import authority_files
from wattspan.errors import SettingsError
from wattspan.gateway.certificates import Revocations
from wattspan.settings import Settings

SUITES = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        # The specification requires these two as well: chargers without elliptic curves have nothing else.
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    )
)
"""TLS_ECDHE_ECDSA_… and TLS_RSA_… of A00.FR.318, and the ECDHE_RSA equivalents; TLS 1.3 uses OpenSSL's defaults."""

_EXPIRED = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""

OnFailure = Callable[[str, str], None]
"""(reason, text) of a failed TLS handshake. `reason` is a metric label."""


class TlsFiles(NamedTuple):
    """The files of a context. `client_ca` and `crl` may be several files; without them, no client certificates."""

    cert: Path
    key: Path
    client_ca: tuple[Path, ...] = ()
    crl: tuple[Path, ...] = ()

    def stamps(self) -> tuple[object, ...]:
        """Return a value that changes when one of the files does."""
        return tuple(_stamp(path) for path in (self.cert, self.key, *self.client_ca, *self.crl))


def tls_files(settings: Settings) -> TlsFiles | None:
    """Return the files from the settings, our own authority included, or None if the OCPP port has no TLS."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    authorities = [settings.tls_client_ca] if settings.tls_client_ca is not None else []
    lists = [settings.tls_client_crl] if settings.tls_client_crl is not None else []
    if settings.ca_dir is not None:
        own_authorities, own_lists = authority_files(settings.ca_dir)
        authorities += own_authorities
        lists += own_lists
    return TlsFiles(settings.tls_cert, settings.tls_key, tuple(authorities), tuple(lists))


class _RenewedContext(ssl.SSLContext):
    """Delegates to the newest context, because the context that a server was started with can't be replaced."""

    newest: ssl.SSLContext

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Called by the event loop for each connection."""
        return self.newest.wrap_bio(*args, **kwargs)


class ServerTls:
    """The context for servers. `renew` reloads its files."""

    def __init__(self, files: TlsFiles, on_failure: OnFailure) -> None:
        """Load the files. Raises SettingsError if they can't be used."""
        self._files = files
        self._object = _reporting_class(on_failure)
        self._stamps = files.stamps()
        self.context = _RenewedContext(ssl.PROTOCOL_TLS_SERVER)
        self._use(self._read())

    revocations: Revocations
    """Revoked client certificates, as last read."""
    expires_ts: float
    """When the server's certificate expires, in Unix seconds."""

    def renew(self) -> bool:
        """Reload the files if they have changed, and return whether they had. Blocks on the disk.

        Open connections are not affected. Raises SettingsError if the files can't be used; the previous ones stay in
        use until the files change again.
        """
        stamps = self._files.stamps()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        self._use(self._read())
        return True

    def _use(self, read: tuple[ssl.SSLContext, Revocations, float]) -> None:
        self.context.newest, self.revocations, self.expires_ts = read

    def _read(self) -> tuple[ssl.SSLContext, Revocations, float]:
        files = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = self._object
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(SUITES)
        try:
            context.load_cert_chain(files.cert, files.key)
            expires_ts = x509.load_pem_x509_certificate(files.cert.read_bytes()).not_valid_after_utc.timestamp()
            for path in files.client_ca:
                context.load_verify_locations(path)
            if files.client_ca:
                context.verify_mode = ssl.CERT_OPTIONAL
            revocations = Revocations.read(files.crl, files.client_ca)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise SettingsError(
                [f"OCPP port: TLS certificate, key, authority or revocations can't be used: {exc}"]
            ) from exc
        return context, revocations, expires_ts


def _reporting_class(on_failure: OnFailure) -> type[ssl.SSLObject]:
    """Return an SSLObject class that reports failed handshakes, which the event loop does not."""

    class ReportingSSLObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLCertVerificationError as exc:
                expired = exc.verify_code in _EXPIRED
                on_failure("certificate_expired" if expired else "certificate_untrusted", exc.verify_message)
                raise
            except ssl.SSLError as exc:
                on_failure("tls", exc.reason or "aborted")
                raise

    return ReportingSSLObject


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
