"""Two servers must not share a database; administration beside a server must go on."""

import pytest

from wattspan.errors import StoreUnusable
from wattspan.store import advisory_lock
from wattspan.store.store import Store


async def test_a_second_server_on_one_database_is_told_so_and_the_next_after_it_is_let_in(database, monkeypatch):
    monkeypatch.setattr(advisory_lock, "TAKE_S", 0.05)
    first = await Store.open(database)
    await first.claim()
    second = await Store.open(database)
    with pytest.raises(StoreUnusable, match=r"fleet\S+ is in use by another Wattspan server"):
        await second.claim()
    await second.add_charge_point("CP1", None)
    await second.close()
    await first.close()
    third = await Store.open(database)
    await third.claim()
    await third.close()
