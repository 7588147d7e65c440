"""Two servers must not share a database; administration beside a server must go on."""

import pytest

from wattspan.errors import StoreUnusable
from wattspan.store import advisory_lock
from wattspan.store.store import Store


async def test_a_second_server_on_one_database_is_told_so_and_the_next_after_it_is_let_in(database, monkeypatch):
    first = await Store.open(database)
    await first.claim()
    second = await Store.open(database)
    with monkeypatch.context() as impatient:  # a session that was closed may hold its lock for a moment
        impatient.setattr(advisory_lock, "TAKE_S", 0.05)
        with pytest.raises(StoreUnusable, match=r"fleet\S+ is in use by another Wattspan server"):
            await second.claim()
    await second.add_charge_point("CP1", None)
    await second.close()
    await first.close()
    third = await Store.open(database)
    await third.claim()
    await third.close()


@pytest.mark.parametrize("link_folder", [False, True], ids=["file", "folder"])
async def test_a_symbolic_link_to_the_database_is_no_second_database(tmp_path, link_folder):
    folder = tmp_path / "data"
    folder.mkdir()
    first = await Store.open(str(folder / "fleet.db"))
    await first.claim()
    link = tmp_path / "link"
    link.symlink_to(folder if link_folder else folder / "fleet.db")
    second = await Store.open(str(link / "fleet.db" if link_folder else link))
    with pytest.raises(StoreUnusable, match="in use by another Wattspan server"):
        await second.claim()
    await second.close()
    await first.close()


async def test_a_database_file_of_two_names_is_refused(path, tmp_path):
    await (await Store.open(str(path))).close()
    (tmp_path / "other.db").hardlink_to(path)
    store = await Store.open(str(path))
    with pytest.raises(StoreUnusable, match="one file under 2 names"):
        await store.claim()
    await store.close()
