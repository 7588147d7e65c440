"""The registry's use cases, with a running server and without one."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.central import Csms
from wattspan.csms.registry import Registry
from wattspan.csms.security.credentials import check_secret
from wattspan.csms.security.passwords import Passwords
from wattspan.errors import AlreadyRegistered, LastAdmin, NotRegistered
from wattspan.store.queries import users as user_queries
from wattspan.store.store import Store

PASSWORD = "correct horse battery"


@pytest.fixture
async def store(tmp_path: Path, empty_database: Path) -> AsyncIterator[Store]:
    database = tmp_path / "registry.db"
    shutil.copy(empty_database, database)
    store = await Store.open(str(database))
    yield store
    await store.close()


@pytest.fixture
async def registry(store: Store) -> AsyncIterator[Registry]:
    passwords = Passwords()
    yield Registry(store, passwords=passwords)
    passwords.close()


async def test_a_charge_point_is_registered_once(registry: Registry, store: Store) -> None:
    filed, secret = await registry.register("CP1", fields={"name": "north"})
    assert secret is not None
    assert filed.secret is not None
    assert check_secret(secret, filed.secret)
    assert filed.name == "north"
    with pytest.raises(AlreadyRegistered, match="CP1"):
        await registry.register("CP1")
    assert [each.cp_id for each in await store.charge_points()] == ["CP1"]


async def test_a_registered_charge_point_gets_another_secret(registry: Registry, store: Store) -> None:
    assert await registry.register_or_replace("CP1", generate_secret=False) == (True, None)
    is_new, secret = await registry.register_or_replace("CP1", generate_secret=True, security_profile=2)
    assert not is_new
    assert secret is not None
    filed, chosen = await registry.set_secret("CP1", "chosen by a person")
    assert filed is not None
    assert (chosen, filed.security_profile) == ("chosen by a person", 2)
    assert check_secret(chosen, filed.secret or "")
    without = await registry.remove_secret("CP1")
    assert without is not None
    assert without.secret is None


async def test_what_is_not_on_file_can_not_be_decommissioned_or_approved(registry: Registry) -> None:
    with pytest.raises(NotRegistered, match="there is no charge point CP1"):
        await registry.decommission("CP1")
    with pytest.raises(NotRegistered, match="pending"):
        await registry.approve("CP1")
    with pytest.raises(NotRegistered, match="there is no user robin"):
        await registry.change_user("robin", role="admin")


async def test_a_check_that_raises_leaves_everything_as_it_is(registry: Registry, store: Store) -> None:
    await registry.register("CP1")

    def refuse(_on_file: object) -> None:
        raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one"):
        await registry.decommission("CP1", refuse)
    assert len(await store.charge_points()) == 1


async def test_the_last_admin_remains(registry: Registry, store: Store) -> None:
    await registry.add_user("robin", "admin", PASSWORD)
    with pytest.raises(AlreadyRegistered):
        await registry.add_user("Robin", "viewer", PASSWORD)
    for change in (
        registry.change_user("robin", role="viewer"),
        registry.change_user("robin", disabled=True),
        registry.remove_user("robin"),
    ):
        with pytest.raises(LastAdmin):
            await change
    await registry.add_user("sam", "admin", PASSWORD)
    await registry.remove_user("robin")
    assert [user.name for user in await store.read(user_queries.users, "", 10)] == ["sam"]


async def test_users_need_a_registry_that_hashes_passwords(store: Store) -> None:
    with pytest.raises(TypeError, match="passwords"):
        await Registry(store).add_user("robin", "admin", PASSWORD)


async def test_a_running_server_follows_at_once(csms: Csms) -> None:
    registry = csms.central.registry
    await registry.register("CP1", generate_secret=False)
    assert "CP1" in csms.central.fleet.charge_points
    async with csms.charger("CP1") as charger:
        await csms.central.wait_until_connected("CP1", timeout_s=10)
        async with asyncio.timeout(10):
            assert await csms.central.remove_charge_point("CP1")
            await charger.closed()
    assert not await csms.central.remove_charge_point("CP1")
    assert "CP1" not in csms.central.fleet.charge_points
