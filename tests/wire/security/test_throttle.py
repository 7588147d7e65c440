"""Guessing over real sockets: it is slowed down, and nobody who is right has to suffer for it."""

from base64 import b64encode

import pytest

from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.gateway.throttle import FREE, FREE_OF_SOURCE


async def failing(secured, times: int, cp_id: str = "CP1", written: str | None = None) -> list[int]:
    """The answers to so many wrong secrets, by a client that writes the identity as it likes."""
    answers = []
    for _ in range(times):
        target, basic = f"/ws/{written or cp_id}", b64encode(f"{written or cp_id}:wrong".encode()).decode()
        async with secured.csms.raw_charger(target, Authorization=f"Basic {basic}") as charger:
            answers.append(charger.status)
    return answers


async def test_one_who_keeps_guessing_is_told_to_wait_and_not_even_the_right_secret_opens_then(secured):
    secret = new_secret()
    await secured.register("CP1", secret)
    assert await failing(secured, FREE) == [401] * FREE
    assert await failing(secured, 1) == [429]
    assert await secured.outcome("CP1", tls=False, secret=secret) == 429
    assert await secured.rejected("throttled") == 2


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


async def test_secrets_of_people_cost_a_guesser_at_many_names_nothing_of_our_processor(secured, monkeypatch):
    stored = hash_secret("a word of mine", machine_made=False)
    await secured.csms.store.add_charge_point("CP1", stored)
    for number in range(FREE_OF_SOURCE):
        await failing(secured, 1, f"NO{number}")
    checker = secured.csms.central._checker

    async def never(*_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(checker, "check", never)
    assert await failing(secured, 1) == [429]


@pytest.mark.parametrize("machine_made", [True, False])
async def test_a_persons_secret_and_a_machines_open_alike(secured, machine_made):
    await secured.csms.store.add_charge_point("CP1", hash_secret("sixteen letters!", machine_made))
    for _ in range(2):
        assert await secured.outcome("CP1", tls=False, secret="sixteen letters!") == 101
    assert await secured.outcome("CP1", tls=False, secret="sixteen letters?") == 401
