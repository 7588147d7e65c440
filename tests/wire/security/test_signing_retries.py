"""A certificate that the charge point does not take is sent again, and the state of its request is shown."""

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.typing import Subprotocol

from support.certificates import as_pair, certificate_request
from support.operators import admin
from support.waiting import eventually
from wattspan.csms.plugins.base import Plugin
from wattspan.store.queries import certificates as certificate_queries
from wattspan.store.records import SigningRequest

V201 = [Subprotocol("ocpp2.0.1")]
CSR = {"csr": certificate_request("CP1")}
ACCEPTED = {"status": "Accepted"}


@pytest.fixture
async def secured(make_secured: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One whose authority tries again at once, three times."""
    monkeypatch.setattr("wattspan.csms.security.signing.RETRY_S", (0.01, 0.02, 0.03))
    return await make_secured(
        unknown_charge_points="reject", tls_client_ca=None, ca_dir=str(tmp_path / "ca"), command_timeout_s=1
    )


async def request(secured: Any) -> dict[str, Any]:
    """The signing request as the API has it."""
    async with admin(secured.csms) as operator:
        (found,) = (await operator.ask("GET", "/charge-points/CP1"))["signing_requests"]
        return dict(found)


async def stored(secured: Any) -> list[SigningRequest]:
    return list(await secured.csms.store.read(certificate_queries.signing_requests, "CP1"))


async def becomes(secured: Any, **fields: Any) -> dict[str, Any]:
    """Wait until the request is so, and return it."""

    async def is_so() -> bool:
        found = await stored(secured)
        return any(all(getattr(each, name) == value for name, value in fields.items()) for each in found)

    await eventually(is_so)
    return await request(secured)


async def test_a_certificate_that_was_refused_is_sent_again_until_it_is_accepted(secured):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False, subprotocols=V201) as charger:
        assert (await charger.call("SignCertificate", CSR))["status"] == "Accepted"
        first = await charger.expect("CertificateSigned")
        (found,) = await stored(secured)
        assert (found.state, found.reason, found.tries) == ("pending", "", 0)
        info = {"reasonCode": "InvalidCertificate", "additionalInfo": "no\nclock yet"}
        await charger.reply(first, {"status": "Rejected", "statusInfo": info})
        again = await charger.expect("CertificateSigned")
        assert again[3] == first[3]
        (found,) = await stored(secured)
        assert (found.state, found.tries) == ("refused", 1)
        assert found.reason == "Rejected InvalidCertificate no clock yet"
        assert found.next_try_ts is not None
        await charger.reply(again, ACCEPTED)
        shown = await becomes(secured, state="installed")
    assert (shown["reason"], shown["tries"], shown["next_try_at"]) == ("", 2, None)
    (issued,) = await secured.csms.store.read(certificate_queries.list_certificates, "CP1")
    assert issued.installed_ts is not None


async def test_an_error_and_no_answer_are_tried_again_and_then_no_more(secured):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("SignCertificate", CSR)
        first = await charger.expect("CertificateSigned")
        await charger.send_raw(f'[4,"{first[1]}","InternalError","flash is full",{{}}]')
        await charger.expect("CertificateSigned")
        (found,) = await stored(secured)
        assert (found.state, found.reason) == ("refused", "InternalError flash is full")
        third = await charger.expect("CertificateSigned")
        (found,) = await stored(secured)
        assert found.state == "failed"
        assert "no answer within" in found.reason
        await charger.reply(third, {"status": "Rejected"})
        await charger.reply(await charger.expect("CertificateSigned"), {"status": "Rejected"})
        shown = await becomes(secured, tries=4, state="refused")
        assert shown["next_try_at"] is None
        await charger.call("Heartbeat")
        assert charger.unread == []


async def test_while_it_is_not_connected_the_next_try_waits_and_a_restart_ends_none(secured):
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("SignCertificate", CSR)
        first = await charger.expect("CertificateSigned")
        charger.vanish()
        await becomes(secured, state="failed", tries=1)
    await secured.csms.restart()
    assert (await request(secured))["tries"] == 1
    async with secured.charger("CP1", tls=False) as charger:
        again = await charger.expect("CertificateSigned")
        assert again[3] == first[3]
        await charger.reply(again, ACCEPTED)
        await becomes(secured, state="installed", tries=2)


async def test_one_that_connects_with_its_certificate_has_it_whatever_it_answered(secured, tmp_path):
    await secured.register("CP1")
    key = ec.generate_private_key(ec.SECP256R1())
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("SignCertificate", {"csr": certificate_request("CP1", key)})
        command = await charger.expect("CertificateSigned")
        charger.vanish()
        await becomes(secured, state="failed", tries=1)
    pair = await asyncio.to_thread(as_pair, tmp_path, command[3]["certificateChain"], key)
    async with secured.charger("CP1", pair=pair) as charger:
        await charger.call("Heartbeat")
        shown = await becomes(secured, state="installed")
        assert (shown["tries"], charger.unread) == (1, [])


async def test_a_new_request_replaces_one_that_waits_for_its_next_try(secured, monkeypatch):
    monkeypatch.setattr("wattspan.csms.security.signing.RETRY_S", (3600.0,))
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("SignCertificate", CSR)
        first = await charger.expect("CertificateSigned")
        await charger.reply(first, {"status": "Rejected"})
        await becomes(secured, state="refused")
        assert (await charger.call("SignCertificate", {"csr": certificate_request("CP1")}))["status"] == "Accepted"
        second = await charger.expect("CertificateSigned")
        assert second[3] != first[3]
        await charger.reply(second, ACCEPTED)
        await becomes(secured, state="installed", tries=1)
    assert len(secured.csms.central._signing._deliveries) == 0


async def test_another_charge_point_of_the_same_identity_does_not_get_the_certificate(secured, monkeypatch):
    monkeypatch.setattr("wattspan.csms.security.signing.RETRY_S", (3600.0,))
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("SignCertificate", CSR)
        await charger.reply(await charger.expect("CertificateSigned"), {"status": "Rejected"})
        await becomes(secured, state="refused")
    (found,) = await stored(secured)
    signing = secured.csms.central._signing
    assert await signing._is_current(found)
    async with admin(secured.csms) as operator:
        await operator.ask("DELETE", "/charge-points/CP1", 204, headers={"If-Match": "*"})
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1", "credentials": False})
    assert await stored(secured) == []
    assert not await signing._is_current(found)
    await secured.csms.restart()
    assert secured.csms.central._signing._deliveries == {}


class Declines(Plugin):
    """An authority that signs nothing."""

    name = "declines"

    async def sign_certificate(self, cp_id: str, csr: str, kind: str) -> str | None:
        await asyncio.sleep(0)
        return None


async def test_a_request_that_nobody_signs_has_failed(make_secured):
    secured = await make_secured(unknown_charge_points="reject", plugins=[Declines()])
    await secured.register("CP1")
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("SignCertificate", CSR)
        shown = await becomes(secured, state="failed")
    assert (shown["reason"], shown["tries"], shown["next_try_at"]) == ("no plugin signed it", 0, None)
