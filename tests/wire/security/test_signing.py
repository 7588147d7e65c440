"""Certificates that charge points ask for: signed in their own name alone, sent back, used, renewed and revoked."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from websockets.typing import Subprotocol

from support.certificates import Pair, as_pair, certificate_request, client_context
from support.chargers import BOOT, Charger
from support.operators import admin
from support.waiting import eventually
from wattspan.csms.plugins.base import Plugin
from wattspan.csms.security.authority import REVOCATIONS, Authority
from wattspan.csms.security.signing import ASK_AGAIN_S
from wattspan.store.queries import certificates as certificate_queries

DAY_S = 86_400.0
VERSIONS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}


def subprotocol(version: str) -> list[Subprotocol]:
    return [Subprotocol(VERSIONS[version])]


@pytest.fixture
async def secured(make_secured: Any, tmp_path: Path) -> Any:
    """One whose only authority for charge points is its own, made at the first start."""
    return await make_secured(
        unknown_charge_points="reject", tls_client_ca=None, ca_dir=str(tmp_path / "ca"), certificate_days=90
    )


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_charge_point_asks_for_its_certificate_and_connects_with_it(secured, tmp_path, version):
    await secured.register("CP1")
    key = ec.generate_private_key(ec.SECP256R1())
    more = {"1.6": {}, "2.0.1": {"certificateType": "ChargingStationCertificate"}, "2.1": {"requestId": 7}}[version]
    async with secured.charger("CP1", tls=False, subprotocols=subprotocol(version)) as charger:
        asked = {"csr": certificate_request("CP1", key), **more}
        assert (await charger.call("SignCertificate", asked))["status"] == "Accepted"
        command = await charger.expect("CertificateSigned")
        await charger.reply(command, {"status": "Accepted"})
        await eventually(lambda: secured.csms.central.fleet.charge_points["CP1"].certificate_expires_ts is not None)
    chain = command[3].pop("certificateChain")
    assert command[3] == more
    own, authority = x509.load_pem_x509_certificates(chain.encode())
    own.verify_directly_issued_by(authority)
    assert own.public_key() == key.public_key()
    expires_ts = own.not_valid_after_utc.timestamp()
    assert await secured.csms.metric("ocpp_cp_certificate_expires_ts", cp_id="CP1") == expires_ts
    (issued,) = await secured.csms.store.read(certificate_queries.list_certificates, "CP1")
    assert (int(issued.serial, 16), issued.expires_ts) == (own.serial_number, expires_ts)
    await secured.register("CP1", profile=3)
    await secured.register("CP2")
    pair = await asyncio.to_thread(as_pair, tmp_path, chain, key)
    assert await secured.outcome("CP1", pair=pair) == 101
    assert await secured.outcome("CP2", pair=pair) == 403


@pytest.mark.parametrize(
    "csr",
    [
        certificate_request("CP2"),
        certificate_request("CP1").replace("A", "B"),
        certificate_request("CP1") + "x" * 6000,
        "no request at all",
        "",
    ],
    ids=["of another", "broken", "too long", "nonsense", "empty"],
)
@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_what_it_may_not_have_is_rejected_and_nothing_follows(secured, csr, version):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False, subprotocols=subprotocol(version)) as charger:
        assert (await charger.call("SignCertificate", {"csr": csr}))["status"] == "Rejected"
        await charger.call("Heartbeat")
        assert charger.unread == []
    assert await secured.csms.store.read(certificate_queries.list_certificates, "CP1") == []


async def signed_chain(charger: Charger, csr: str) -> str:
    """The chain that a charge point gets for its request, and accepts."""

    async def taken() -> bool:
        return bool((await charger.call("SignCertificate", {"csr": csr}))["status"] == "Accepted")

    await eventually(taken)
    command = await charger.expect("CertificateSigned")
    await charger.reply(command, {"status": "Accepted"})
    return str(command[3]["certificateChain"])


async def test_a_request_may_name_the_registered_serial_number_and_connects_with_it(secured, tmp_path):
    await secured.register("CP1")
    await secured.register("CP2")
    async with secured.charger("CP1", tls=False) as charger:
        key = ec.generate_private_key(ec.SECP256R1())
        csr = certificate_request("SN-1", key)
        assert (await charger.call("SignCertificate", {"csr": csr}))["status"] == "Rejected"
        await charger.call("BootNotification", {**BOOT, "chargePointSerialNumber": "SN-1"})
        assert (await charger.call("SignCertificate", {"csr": csr}))["status"] == "Rejected"
        async with admin(secured.csms) as operator:
            headers = {"If-Match": "*"}
            body = {"registered_serial": "SN-1"}
            await operator.ask("PATCH", "/charge-points/CP1", json=body, headers=headers)
        chain = await signed_chain(charger, csr)
    pair = await asyncio.to_thread(as_pair, tmp_path, chain, key)
    assert await secured.outcome("CP1", pair=pair) == 101
    assert await secured.outcome("CP2", pair=pair) == 403


async def test_an_identity_that_is_the_serial_number_of_another_gets_no_certificate(make_secured, tmp_path):
    secured = await make_secured(unknown_charge_points="accept", tls_client_ca=None, ca_dir=str(tmp_path / "ca"))
    async with admin(secured.csms) as operator:
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1", "registered_serial": "SN-1"})
    async with secured.charger("SN-1", tls=False) as charger:
        assert (await charger.call("SignCertificate", {"csr": certificate_request("SN-1")}))["status"] == "Rejected"


@pytest.mark.parametrize("rsa_requests", ["ecdsa", "rsa"])
async def test_requests_with_rsa_keys_are_signed_with_the_key_that_is_configured(make_secured, tmp_path, rsa_requests):
    secured = await make_secured(
        unknown_charge_points="reject",
        tls_client_ca=None,
        ca_dir=str(tmp_path / "ca"),
        rsa_requests=rsa_requests,
        cpo_name="Operator One",
    )
    await secured.register("CP1")
    rsa_key, ec_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    async with secured.charger("CP1", tls=False) as charger:
        chain = await signed_chain(charger, certificate_request("CP1", rsa_key))
        by_ec = await signed_chain(charger, certificate_request("CP1", ec_key))
    own, issuer = x509.load_pem_x509_certificates(chain.encode())
    own.verify_directly_issued_by(issuer)
    assert isinstance(issuer.public_key(), rsa.RSAPublicKey) == (rsa_requests == "rsa")
    assert own.subject.rfc4514_string() == "O=Operator One,CN=CP1"
    assert isinstance(x509.load_pem_x509_certificates(by_ec.encode())[1].public_key(), ec.EllipticCurvePublicKey)
    pair = await asyncio.to_thread(as_pair, tmp_path, chain, rsa_key)
    assert await secured.outcome("CP1", pair=pair) == 101
    authority = await asyncio.to_thread(Authority.open, tmp_path / "ca")
    await asyncio.to_thread(authority.revoke, own.serial_number)
    await secured.csms.restart()
    assert await secured.outcome("CP1", pair=pair) == 403


async def test_without_an_authority_every_request_is_rejected(make_secured):
    secured = await make_secured(unknown_charge_points="reject")
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        assert (await charger.call("SignCertificate", {"csr": certificate_request("CP1")}))["status"] == "Rejected"


async def test_a_certificate_for_vehicles_is_not_ours_to_sign(secured):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False, subprotocols=subprotocol("2.0.1")) as charger:
        asked = {"csr": certificate_request("CP1"), "certificateType": "V2GCertificate"}
        assert (await charger.call("SignCertificate", asked))["status"] == "Rejected"


async def test_one_request_at_a_time(secured):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        asked = {"csr": certificate_request("CP1")}
        assert (await charger.call("SignCertificate", asked))["status"] == "Accepted"
        command = await charger.expect("CertificateSigned")
        assert (await charger.call("SignCertificate", asked))["status"] == "Rejected"
        await charger.reply(command, {"status": "Accepted"})

        async def taken() -> bool:
            return bool((await charger.call("SignCertificate", asked))["status"] == "Accepted")

        await eventually(taken)


async def test_one_that_does_not_take_its_certificate_has_none(secured, caplog):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("SignCertificate", {"csr": certificate_request("CP1")})
        await charger.reply(await charger.expect("CertificateSigned"), {"status": "Rejected"})
        await eventually(lambda: "rejected its certificate" in caplog.text)
    assert secured.csms.central.fleet.charge_points["CP1"].certificate_expires_ts is None


async def test_a_certificate_near_its_end_is_renewed_when_asked_and_asked_for_once_a_day(make_secured, tmp_path):
    secured = await make_secured(
        unknown_charge_points="reject", tls_client_ca=None, ca_dir=str(tmp_path / "ca"), renewal_days=30
    )
    await secured.register("CP1")
    await secured.register("CP2")
    now_ts = secured.csms.central._core.clock()
    renewal = secured.csms.central._renewal
    async with (
        secured.charger("CP1", tls=False) as old,
        secured.charger("CP2", tls=False, subprotocols=subprotocol("2.0.1")) as station,
    ):
        await old.call("Heartbeat")
        await station.call("Heartbeat")
        points = secured.csms.central.fleet.charge_points
        points["CP1"].certificate_expires_ts = now_ts + 29 * DAY_S
        points["CP2"].certificate_expires_ts = now_ts + 31 * DAY_S
        looked = asyncio.create_task(renewal.look())
        command = await old.expect("ExtendedTriggerMessage")
        assert command[3] == {"requestedMessage": "SignChargePointCertificate"}
        await old.reply(command, {"status": "Accepted"})
        await looked
        points["CP2"].certificate_expires_ts = now_ts + 29 * DAY_S
        looked = asyncio.create_task(renewal.look())
        command = await station.expect("TriggerMessage")
        assert command[3] == {"requestedMessage": "SignChargingStationCertificate"}
        await station.reply(command, {"status": "Accepted"})
        await looked
        await old.call("Heartbeat")
        assert old.unread == []
        renewal.clock = lambda: now_ts + ASK_AGAIN_S + 1
        looked = asyncio.create_task(renewal.look())
        await old.reply(await old.expect("ExtendedTriggerMessage"), {"status": "NotImplemented"})
        await station.reply(await station.expect("TriggerMessage"), {"status": "Accepted"})
        await looked


async def test_who_came_with_a_certificate_that_is_revoked_is_dropped_and_does_not_come_back(
    make_secured, tmp_path, monkeypatch
):
    monkeypatch.setattr("wattspan.gateway.ports.TLS_LOOK_S", 0.02)
    secured = await make_secured(unknown_charge_points="reject", tls_client_ca=None, ca_dir=str(tmp_path / "ca"))
    for cp_id in ("CP1", "CP2"):
        await secured.register(cp_id, profile=3)
    authority = await asyncio.to_thread(Authority.open, tmp_path / "ca")
    pairs = {}
    for cp_id in ("CP1", "CP2"):
        key, signed = authority.issue(cp_id, 1)
        pairs[cp_id] = Pair(tmp_path / f"{cp_id}.pem", tmp_path / f"{cp_id}.key")
        pairs[cp_id].cert.write_text(signed.chain)
        pairs[cp_id].key.write_text(key)
    async with secured.charger("CP1", pair=pairs["CP1"]) as one, secured.charger("CP2", pair=pairs["CP2"]) as two:
        await one.call("Heartbeat")
        await asyncio.to_thread(authority.revoke, pairs["CP1"].serial)
        assert await one.closed() == 1008
        await two.call("Heartbeat")
    assert await secured.outcome("CP1", pair=pairs["CP1"]) == 403
    assert await secured.rejected("certificate_revoked") == 1


class Signer(Plugin):
    """Somebody else's authority."""

    name = "signer"

    def __init__(self, folder: Path, *, chain: str | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self._authority = Authority.create(folder)
        self._chain = chain

    async def sign_certificate(self, cp_id: str, csr: str, kind: str) -> str | None:
        self.asked.append((cp_id, kind))
        return self._chain or self._authority.sign(csr, cp_id, 1).chain


async def test_a_plugin_signs_in_the_place_of_our_own_authority(make_secured, tmp_path):
    signer = Signer(tmp_path / "theirs")
    secured = await make_secured(unknown_charge_points="reject", plugins=[signer])
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False, subprotocols=subprotocol("2.0.1")) as charger:
        asked = {"csr": certificate_request("CP1"), "certificateType": "V2GCertificate"}
        assert (await charger.call("SignCertificate", asked))["status"] == "Accepted"
        command = await charger.expect("CertificateSigned")
        await charger.reply(command, {"status": "Accepted"})
    assert signer.asked == [("CP1", "V2GCertificate")]
    assert command[3]["certificateType"] == "V2GCertificate"
    issuer = x509.load_pem_x509_certificates(command[3]["certificateChain"].encode())[0].issuer
    assert issuer == x509.load_pem_x509_certificate((tmp_path / "theirs" / "ca.pem").read_bytes()).subject


async def test_a_plugin_that_returns_no_certificate_sends_none(make_secured, tmp_path, caplog):
    secured = await make_secured(
        unknown_charge_points="reject", plugins=[Signer(tmp_path / "theirs", chain="no certificate")]
    )
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("BootNotification", BOOT)
        assert (await charger.call("SignCertificate", {"csr": certificate_request("CP1")}))["status"] == "Accepted"
        await eventually(lambda: "no PEM certificate" in caplog.text)
        await charger.call("Heartbeat")
        assert charger.unread == []


async def test_the_authoritys_key_is_nobody_elses_to_read(secured, tmp_path):
    folder = tmp_path / "ca"
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / REVOCATIONS).exists()
    with pytest.raises(ssl.SSLError):
        client_context(folder / "ca.pem").load_cert_chain(folder / "ca.pem", secured.server.key)
