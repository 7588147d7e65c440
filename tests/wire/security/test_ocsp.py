"""Client certificates whose authority has an OCSP responder: revoked, unknown, stale, forged, slow and gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from support.certificates import TestAuthority
from wattspan.gateway.ocsp import MAX_RESPONSE_BYTES

GOOD, REVOKED, UNKNOWN = OCSPCertStatus.GOOD, OCSPCertStatus.REVOKED, OCSPCertStatus.UNKNOWN


class Responder:
    """An HTTP server that answers every question with `answer`; None: it never answers."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""
        self.asked = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if self.answer is None:
            await reader.read()
        else:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.answer)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + self.answer)
        writer.close()


@asynccontextmanager
async def responding() -> AsyncIterator[Responder]:
    responder = Responder()
    server = await asyncio.start_server(responder.serve, "127.0.0.1", 0)
    responder.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocsp"
    try:
        yield responder
    finally:
        server.close()


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    async with responding() as each:
        yield each


@pytest.fixture(params=["soft", "hard"])
async def secured(request: pytest.FixtureRequest, make_secured: Any) -> Any:
    found = await make_secured(unknown_charge_points="reject", tls_client_ocsp=request.param)
    found.policy = request.param
    await found.register("CP1")
    return found


async def test_a_good_certificate_is_let_in_and_its_answer_is_kept(secured, responder):
    pair = secured.fleet.pair("CP1", responder=responder.url)
    responder.answer = secured.fleet.ocsp_answer(pair, GOOD)
    assert await secured.outcome("CP1", pair=pair) == 101
    assert await secured.outcome("CP1", pair=pair) == 101
    assert responder.asked == 1


async def test_a_revoked_certificate_is_refused(secured, responder):
    pair = secured.fleet.pair("CP1", responder=responder.url)
    responder.answer = secured.fleet.ocsp_answer(pair, REVOKED)
    assert await secured.outcome("CP1", pair=pair) == 403
    assert await secured.rejected("certificate_revoked") == 1


@pytest.mark.parametrize("fault", ["unknown", "of another", "stale", "forged", "nonsense", "long", "slow", "gone"])
async def test_what_proves_nothing_is_let_in_only_where_the_check_is_soft(
    secured, responder, tmp_path, fault, monkeypatch
):
    monkeypatch.setattr("wattspan.gateway.ocsp.OCSP_TIMEOUT_S", 0.3)
    fleet = secured.fleet
    pair = fleet.pair("CP1", responder="http://127.0.0.1:1/" if fault == "gone" else responder.url)
    responder.answer = {
        "unknown": lambda: fleet.ocsp_answer(pair, UNKNOWN),
        "of another": lambda: fleet.ocsp_answer(fleet.pair("CP2"), GOOD),
        "stale": lambda: fleet.ocsp_answer(pair, GOOD, age=timedelta(hours=2)),
        "forged": lambda: fleet.ocsp_answer(pair, GOOD, signed_by=TestAuthority(tmp_path, "forger")),
        "nonsense": lambda: b"<html>",
        "long": lambda: bytes(MAX_RESPONSE_BYTES + 1),
        "slow": lambda: None,
        "gone": lambda: None,
    }[fault]()
    assert await secured.outcome("CP1", pair=pair) == (101 if secured.policy == "soft" else 503)
    assert await secured.rejected("ocsp") == (None if secured.policy == "soft" else 1)


async def test_a_responder_that_failed_is_not_asked_for_each_of_a_fleet(secured, responder):
    pair = secured.fleet.pair("CP1", responder=responder.url)
    responder.answer = b"nonsense"
    for _ in range(3):
        await secured.outcome("CP1", pair=pair)
    assert responder.asked == 1


async def test_a_certificate_that_names_no_responder_is_let_in(secured):
    assert await secured.outcome("CP1", pair=secured.fleet.pair("CP1")) == 101


async def test_without_the_setting_nobody_is_asked(make_secured, responder):
    secured = await make_secured(unknown_charge_points="reject")
    await secured.register("CP1")
    pair = secured.fleet.pair("CP1", responder=responder.url)
    responder.answer = secured.fleet.ocsp_answer(pair, REVOKED)
    assert await secured.outcome("CP1", pair=pair) == 101
    assert responder.asked == 0
