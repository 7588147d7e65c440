"""`wattspan ca`: the certificate authority for charge points, in the folder of the setting `ca_dir`."""

import os
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from wattspan.cli.options import read_settings, settings_options
from wattspan.csms.security.authority import CERTIFICATE, Authority
from wattspan.errors import AuthorityError


def _folder(given: dict[str, Any]) -> Path:
    folder = read_settings(given).ca_dir
    if folder is None:
        raise click.UsageError("which folder? Give --ca-dir or WATTSPAN_CA_DIR")
    return folder


@click.group(name="ca")
def authority() -> None:
    """Certificates of charge points (security profile 3): an authority of our own."""


@authority.command(name="init")
@settings_options("ca_dir")
def init(**given: Any) -> None:
    """Make the authority; whoever reads its key can make certificates."""
    folder = _folder(given)
    Authority.create(folder)
    click.echo(f"{folder / CERTIFICATE}")


@authority.command(name="issue")
@click.argument("cp_id")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write to.")
@settings_options("ca_dir", "certificate_days")
def issue(cp_id: str, out: Path, **given: Any) -> None:
    """Make a key and a certificate for CP_ID, for a charge point that can't ask for one itself (SignCertificate)."""
    days = read_settings(dict(given)).certificate_days
    key, signed = Authority.open(_folder(given)).issue(cp_id, days)
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in cp_id)
    files = {out / f"{name}.key": (key, 0o600), out / f"{name}.pem": (signed.chain, 0o644)}
    for path, (content, mode) in files.items():
        try:
            out.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(content)
        except OSError as exc:
            raise click.ClickException(f"{path}: {exc.strerror}") from exc
        click.echo(f"{path}")


@authority.command(name="revoke")
@click.argument("certificate")
@settings_options("ca_dir")
def revoke(certificate: str, **given: Any) -> None:
    """Revoke CERTIFICATE, a file of it or its serial number in hex; a running server drops who came with it."""
    Authority.open(_folder(given)).revoke(_serial(certificate))
    click.echo(f"{certificate} revoked", err=True)


def _serial(certificate: str) -> int:
    path = Path(certificate)
    try:
        if path.is_file():
            return x509.load_pem_x509_certificate(path.read_bytes()).serial_number
        return int(certificate, 16)
    except ValueError as exc:
        raise AuthorityError(f"{certificate} is neither a certificate nor a serial number in hex") from exc
