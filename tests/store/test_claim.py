"""Two servers must not share a database file; administration beside a server must go on."""

from pathlib import Path

import pytest

from wattspan.errors import StoreUnusable
from wattspan.store.store import Store


async def test_a_second_server_on_one_file_is_told_so_and_the_next_after_it_is_let_in(tmp_path: Path) -> None:
    url = str(tmp_path / "fleet.db")
    first = await Store.open(url)
    first.claim()
    second = await Store.open(url)
    with pytest.raises(StoreUnusable, match=r"fleet\.db is in use by another Wattspan server"):
        second.claim()
    await second.add_charge_point("CP1", None)
    await second.close()
    await first.close()
    third = await Store.open(url)
    third.claim()
    await third.close()
