"""Guessing over real sockets: it is slowed down, and nobody who is right has to suffer for it."""

import asyncio
from base64 import b64encode

import pytest

from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.gateway import guarded_checks
from wattspan.gateway.throttle import FREE, FREE_OF_SOURCE


async def failing(secured, times: int, cp_id: str = "CP1", written: str | None = None) -> list[int]:
    """The answers to so many wrong secrets, by a client that writes the identity as it likes."""
    answers = []
    for _ in range(times):
        target, basic = f"/ws/{written or cp_id}", b64encode(f"{written or cp_id}:wrong".encode()).decode()
        async with secured.csms.raw_charger(target, Authorization=f"Basic {basic}") as charger:
            answers.append(charger.status)
    return answers


@pytest.mark.parametrize("machine_made", [True, False])
async def test_who_keeps_guessing_is_asked_to_wait_and_the_right_secret_gets_in_from_the_same_address(
    secured, machine_made, monkeypatch
):
    """A charger behind NAT shares its address with whoever guesses in its name."""
    monkeypatch.setattr(guarded_checks, "PAUSE_S", 0.05)
    secret = "sixteen letters!"
    await secured.csms.store.add_charge_point("CP1", hash_secret(secret, machine_made))
    assert await failing(secured, FREE) == [401] * FREE
    assert await failing(secured, 3) == [429] * 3
    assert await secured.outcome("CP1", tls=False, secret=secret) == 101
    assert await secured.rejected("throttled") == 3


async def test_a_certificate_gets_in_from_an_address_that_guesses_in_its_name(secured):
    await secured.register("CP1", new_secret())
    await failing(secured, FREE + 1)
    assert await secured.outcome("CP1", pair=secured.fleet.pair("CP1")) == 101


async def test_another_way_to_write_the_identity_is_no_way_around(secured):
    await secured.register("CP1", new_secret())
    for written in ("CP1", "cp1"):
        await failing(secured, FREE // 2, written=written)
    assert await failing(secured, 1, written="cP1") == [429]


async def test_a_charger_that_was_right_before_comes_in_while_another_at_its_address_guesses_in_its_name(secured):
    secret = new_secret()
    await secured.register("CP1", secret)
    assert await secured.outcome("CP1", tls=False, secret=secret) == 101
    await failing(secured, FREE + 3)
    assert await secured.outcome("CP1", tls=False, secret=secret) == 101


async def test_a_site_behind_one_address_comes_in_while_one_of_it_guesses_at_many_names(secured):
    secret = new_secret()
    await secured.register("CP1", secret)
    assert {(await failing(secured, 1, f"NO{n}"))[0] for n in range(FREE_OF_SOURCE)} == {404}
    assert await failing(secured, 1, "NO-MORE") == [429]
    assert await secured.outcome("CP1", tls=False, secret=secret) == 101


async def test_an_address_that_guesses_has_few_secrets_of_people_checked_and_the_right_one_among_them(
    secured, monkeypatch
):
    await secured.csms.store.add_charge_point("CP1", hash_secret("sixteen letters!", machine_made=False))
    for number in range(FREE_OF_SOURCE):
        await failing(secured, 1, f"NO{number}")
    checker, checked = secured.csms.central._checker, 0
    check = checker.check

    async def counted(secret: bytes, stored: str) -> bool:
        nonlocal checked
        checked += 1
        return await check(secret, stored)

    monkeypatch.setattr(checker, "check", counted)
    monkeypatch.setattr(guarded_checks, "PAUSE_S", 0.2)
    guesses = asyncio.gather(*(failing(secured, 1) for _ in range(20)))
    await asyncio.wait_for(guesses, 20)
    assert checked <= guarded_checks.MAX_WAITING_OF_IDENTITY + 1
    assert await secured.outcome("CP1", tls=False, secret="sixteen letters!") == 101


@pytest.mark.parametrize("machine_made", [True, False])
async def test_a_persons_secret_and_a_machines_open_alike(secured, machine_made):
    await secured.csms.store.add_charge_point("CP1", hash_secret("sixteen letters!", machine_made))
    for _ in range(2):
        assert await secured.outcome("CP1", tls=False, secret="sixteen letters!") == 101
    assert await secured.outcome("CP1", tls=False, secret="sixteen letters?") == 401
