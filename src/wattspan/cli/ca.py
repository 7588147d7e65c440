"""`wattspan ca`: the certificate authority for charge points, in the folder of the setting `ca_dir`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from wattspan.cli.options import read_settings, settings_options
from wattspan.csms.security.authority import CERTIFICATE, Authority
from wattspan.errors import AuthorityError, SettingsError
from wattspan.settings import Settings

CA_DIR_HELP = {"ca_dir": "Folder of the authority."}


@click.group()
def ca() -> None:
    """Manage the certificate authority for charge points.

    It issues client certificates for security profile 3.
    """


@ca.command(name="init")
@settings_options("ca_dir", help=CA_DIR_HELP)
def init(**options: Any) -> None:
    """Create the authority. Anyone who can read its key can issue certificates."""
    folder = _folder(read_settings(options))
    Authority.create(folder)
    click.echo(f"{folder / CERTIFICATE}")


@ca.command(name="issue")
@click.argument("cp_id")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write the files to."
)
@settings_options("ca_dir", "certificate_days", "cpo_name", help=CA_DIR_HELP)
def issue(cp_id: str, out: Path, **options: Any) -> None:
    """Create a key and a certificate for CP_ID.

    It is for charge points that cannot request a certificate themselves (SignCertificate).
    """
    settings = read_settings(options)
    authority = replace(Authority.open(_folder(settings)), organization=settings.cpo_name)
    key, signed = authority.issue(cp_id, settings.certificate_days)
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in cp_id)
    files = {out / f"{name}.key": (key, 0o600), out / f"{name}.pem": (signed.chain, 0o644)}
    for path, (content, mode) in files.items():
        try:
            out.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(content)
        except OSError as exc:
            raise AuthorityError(f"--out: {path}: {exc.strerror}") from exc
        click.echo(f"{path}")


@ca.command(name="revoke")
@click.argument("certificate")
@settings_options("ca_dir", help=CA_DIR_HELP)
def revoke(certificate: str, **options: Any) -> None:
    """Revoke CERTIFICATE, a file or a serial number in hex.

    A running server closes the connections that were made with it.
    """
    Authority.open(_folder(read_settings(options))).revoke(_serial(certificate))
    click.echo(f"{certificate} revoked", err=True)


def _folder(settings: Settings) -> Path:
    if settings.ca_dir is None:
        raise SettingsError(["ca_dir: is required; set it with --ca-dir or WATTSPAN_CA_DIR"])
    return settings.ca_dir


def _serial(certificate: str) -> int:
    path = Path(certificate)
    try:
        if path.is_file():
            return x509.load_pem_x509_certificate(path.read_bytes()).serial_number
        return int(certificate, 16)
    except ValueError as exc:
        raise AuthorityError(f"certificate: {certificate} is neither a certificate nor a serial number in hex") from exc
