"""`wattspan ca`: an authority in a folder, certificates for chargers that can't ask, and their revocation."""

import stat
from pathlib import Path

import pytest
from cryptography import x509

from wattspan.cli import main
from wattspan.csms.security.authority import Authority


def wattspan(*words: str) -> int:
    """The exit code of `wattspan ca …`."""
    with pytest.raises(SystemExit) as ended:
        main(["ca", *words])
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ca"
    assert wattspan("init", "--ca-dir", str(made)) == 0
    return made


def revoked(folder: Path) -> list[int]:
    return [each.serial_number for each in x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())]


def test_an_issued_certificate_is_signed_and_its_key_is_readable_by_its_owner_only(folder, tmp_path, capsys):
    assert wattspan("issue", "CP/1", "--ca-dir", str(folder), "--out", str(tmp_path), "--certificate-days", "2") == 0
    key, cert = tmp_path / "CP_1.key", tmp_path / "CP_1.pem"
    assert capsys.readouterr().out.split()[-2:] == [str(key), str(cert)]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    own, authority = x509.load_pem_x509_certificates(cert.read_bytes())
    own.verify_directly_issued_by(authority)
    assert own.subject.rfc4514_string() == "CN=CP/1"
    assert (own.not_valid_after_utc - own.not_valid_before_utc).days == 2
    assert "PRIVATE KEY" not in cert.read_text()


def test_an_issued_certificate_has_the_organization_of_the_settings(folder, tmp_path):
    words = ("issue", "CP1", "--ca-dir", str(folder), "--out", str(tmp_path), "--cpo-name", "Operator One")
    assert wattspan(*words) == 0
    own = x509.load_pem_x509_certificate((tmp_path / "CP1.pem").read_bytes())
    assert own.subject.rfc4514_string() == "O=Operator One,CN=CP1"


def test_an_existing_authority_or_key_is_never_overwritten(folder, tmp_path, capsys):
    before = (folder / "ca.key").read_bytes()
    assert wattspan("init", "--ca-dir", str(folder)) == 1
    assert (folder / "ca.key").read_bytes() == before
    for code in (0, 1):
        assert wattspan("issue", "CP1", "--ca-dir", str(folder), "--out", str(tmp_path)) == code
    assert "File exists" in capsys.readouterr().err


def test_certificates_are_revoked_by_file_or_serial_and_stay_so(folder, tmp_path):
    authority = Authority.open(folder)
    serials = [authority.issue("CP1", 1)[1].serial for _ in range(2)]
    for serial in (serials[0], serials[0], serials[1]):
        assert wattspan("revoke", serial, "--ca-dir", str(folder)) == 0
    assert wattspan("issue", "CP2", "--ca-dir", str(folder), "--out", str(tmp_path)) == 0
    assert wattspan("revoke", str(tmp_path / "CP2.pem"), "--ca-dir", str(folder)) == 0
    third = x509.load_pem_x509_certificate((tmp_path / "CP2.pem").read_bytes()).serial_number
    assert revoked(folder) == [int(serials[0], 16), int(serials[1], 16), third]


@pytest.mark.parametrize("what", ["zz", "no-such-file.pem", ""])
def test_something_else_than_a_certificate_is_not_revoked(folder, what, capsys):
    assert wattspan("revoke", what, "--ca-dir", str(folder)) == 1
    assert "neither a certificate nor a serial number" in capsys.readouterr().err
    assert revoked(folder) == []


def test_a_folder_without_a_complete_authority_is_reported_in_one_line(tmp_path, folder, capsys):
    assert wattspan("issue", "CP1", "--ca-dir", str(tmp_path / "none")) == 1
    (folder / "ca.key").write_bytes(Authority.create(tmp_path / "other").folder.joinpath("ca.key").read_bytes())
    assert wattspan("issue", "CP1", "--ca-dir", str(folder)) == 1
    (folder / "ca.key").write_text("nonsense")
    assert wattspan("issue", "CP1", "--ca-dir", str(folder)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("Error: ") for line in lines)
