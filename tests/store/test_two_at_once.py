"""Two nodes change the same records at once on PostgreSQL: as if one came after the other, and without a deadlock.

Each change runs on a connection of its own. The first is committed only once the second waits for it, or has ended.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from support import databases
from support.fleet_events import NOW, connected, started
from support.waiting import eventually
from wattspan.domain.apply import apply
from wattspan.domain.erased_token import ErasedToken
from wattspan.domain.fleet import Fleet
from wattspan.errors import SerialConflict
from wattspan.store import takeover
from wattspan.store.engine import make_engine, parse
from wattspan.store.journal.apply import write_batch
from wattspan.store.journal.batch import Batch, take
from wattspan.store.journal.fence import fence
from wattspan.store.journal.statements import statements_for
from wattspan.store.queries import charge_points, erasure, id_tags, sites, users
from wattspan.store.records import IdTag, User
from wattspan.store.samples import Shapes
from wattspan.store.schema import tables as t
from wattspan.store.store import Store

WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.fixture
async def database(postgres):
    url = postgres.empty()
    await (await Store.open(url)).close()
    return url


@pytest.fixture
def engines(database):
    """Of two nodes."""
    made = [make_engine(parse(database), writes=True, busy_timeout_s=20.0) for _ in range(2)]
    yield made
    for engine in made:
        engine.dispose()


def in_one(engine: sa.Engine, work: Callable):
    with engine.begin() as connection:
        return work(connection)


async def at_once(engines, database, first: Callable, second: Callable):
    """The results of both changes, or what they raised."""
    with ExitStack() as stack:
        connection = stack.enter_context(engines[0].begin())
        done = first(connection)
        other = asyncio.create_task(asyncio.to_thread(in_one, engines[1], second))
        await eventually(lambda: other.done() or databases.query(database, WAITS) != [(0,)])
    found = await asyncio.gather(other, return_exceptions=True)
    return [done, *found]


def unchecked(_found):
    pass


class Refused(Exception):
    pass


def must_be(expected):
    """A precondition as If-Match makes one."""

    def check(found):
        if found != expected:
            raise Refused

    return check


# users


@pytest.fixture
def two_admins(engines):
    for name in ("ann", "bob"):
        admin = User(name=name, role=users.ADMIN, password="", created_ts=NOW)
        in_one(engines[0], partial(users.add_user, new=admin))


def demoted(name):
    return partial(users.change_user, name=name, changes={"role": "viewer"}, check=unchecked)


@pytest.mark.parametrize("second", [demoted("bob"), partial(users.remove_user, name="bob", check=unchecked)])
async def test_two_admins_who_are_demoted_or_removed_at_once_leave_one(engines, database, two_admins, second):
    first, refused = await at_once(engines, database, demoted("ann"), second)
    assert first.role == "viewer"
    assert refused in (None, False)
    assert databases.query(database, "SELECT name FROM users WHERE role = 'admin'") == [("bob",)]


async def test_a_user_whom_both_change_is_changed_once(engines, database, two_admins):
    ann = in_one(engines[0], partial(users.user, name="ann"))

    def changed(role):
        return partial(users.change_user, name="ann", changes={"role": role}, check=must_be(ann))

    _, second = await at_once(engines, database, changed("viewer"), changed("operator"))
    assert isinstance(second, Refused)


async def test_a_login_does_not_outlive_the_password_that_it_was_verified_with(engines, database, two_admins):
    ann = in_one(engines[0], partial(users.user, name="ann"))
    change = partial(users.change_user, name="ann", changes={"password": "new"}, check=unchecked)
    login = partial(users.add_login, digest="d", verified=ann, now_ts=NOW, expires_ts=NOW + 60.0, replaces="")
    _, has_logged_in = await at_once(engines, database, change, login)
    assert has_logged_in is False
    assert databases.query(database, "SELECT digest FROM login_sessions") == []


async def test_the_limit_of_users_holds_for_two_who_add_one(engines, database):
    def added(name):
        new = User(name=name, role="viewer", password="", created_ts=NOW)
        return partial(users.add_user, new=new, max_users=1)

    first, second = await at_once(engines, database, added("ann"), added("bob"))
    assert first is True
    assert "users" in str(second)
    assert databases.query(database, "SELECT name FROM users") == [("ann",)]


# charge points


def added(cp_id, secret="", **annotations):
    return partial(charge_points.add_charge_point, cp_id=cp_id, secret=secret, annotations=annotations, now_ts=NOW)


def with_serial(cp_id, serial):
    annotations = {"registered_serial": serial}
    return partial(charge_points.change_charge_point, cp_id=cp_id, annotations=annotations, check=unchecked)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (with_serial("CP1", "SN7"), added("sn7")),
        (added("SN7"), with_serial("CP1", "SN7")),
        (with_serial("CP1", "SN7"), with_serial("CP2", "SN7")),
        (added("CP3", registered_serial="SN7"), added("SN7", registered_serial="CP3")),
    ],
)
async def test_an_identity_and_a_serial_number_stay_unique(engines, database, first, second):
    for cp_id in ("CP1", "CP2"):
        in_one(engines[0], added(cp_id))
    assert isinstance((await at_once(engines, database, first, second))[1], SerialConflict)


async def test_a_charge_point_that_both_add_is_the_first_ones(engines, database):
    first, second = await at_once(engines, database, added("CP1", "one"), added("CP1", "two"))
    assert (first.secret, second) == ("one", None)
    assert databases.query(database, "SELECT secret FROM charge_points") == [("one",)]


async def test_a_secret_that_was_replaced_meanwhile_is_not_confirmed(engines, database):
    in_one(engines[0], added("CP1", "old"))
    in_one(engines[0], partial(charge_points.offer_secret, cp_id="CP1", stored="new", now_ts=NOW))
    replaced = partial(charge_points.set_secret, cp_id="CP1", secret="set", check=unchecked, now_ts=NOW)
    confirmed = partial(charge_points.confirm_secret, cp_id="CP1", stored="new", until_ts=NOW)
    assert (await at_once(engines, database, replaced, confirmed))[1] is False
    assert databases.query(database, "SELECT secret, other_secret FROM charge_points") == [("set", None)]


async def test_a_charge_point_that_both_change_is_changed_once(engines, database):
    filed = in_one(engines[0], added("CP1"))

    def named(name):
        change = charge_points.change_charge_point
        return partial(change, cp_id="CP1", annotations={"name": name}, check=must_be(filed))

    assert isinstance((await at_once(engines, database, named("north"), named("south")))[1], Refused)


async def test_charge_points_that_both_take_in_opposite_order_are_taken_without_a_deadlock(engines, database):
    """Somebody adds one of them, which holds up both nodes in the middle of their own insertions."""
    names = ["CP1", "CP2", "CP3"]

    def taken(node, order):
        statements = statements_for(engines[0].dialect)
        return lambda connection: takeover.take(connection, statements, node, dict.fromkeys(order), NOW).epochs

    with psycopg.connect(database) as other:
        other.execute("INSERT INTO charge_points (cp_id, known_since_ts) VALUES ('CP2', 1)")
        tasks = [
            asyncio.create_task(asyncio.to_thread(in_one, engine, taken(node, order)))
            for engine, node, order in zip(engines, ("north", "south"), (names, names[::-1]), strict=True)
        ]
        await eventually(lambda: databases.query(database, WAITS) == [(2,)])
        other.rollback()
    found = await asyncio.gather(*tasks)
    assert sorted(found, key=len) == [{}, dict.fromkeys(names, 1)]


# id tags and sites


async def test_id_tags_that_nodes_change_in_any_order_do_not_block_each_other(engines, database):
    tags = [IdTag(id_token=f"T{number}") for number in range(3)]
    in_one(engines[0], partial(id_tags.put_id_tags, tags=tags))

    def used(order):
        return partial(id_tags.put_uses, uses={f"t{number}": (NOW, "CP1") for number in order})

    for second in (
        used((2, 1, 0)),
        partial(id_tags.put_id_tags, tags=tags[::-1]),
        partial(id_tags.set_status, tokens=["T2", "T1", "T0"], group=None, status="Blocked"),
    ):
        with psycopg.connect(database) as other:
            other.execute("SELECT * FROM id_tags WHERE id_key = 't1' FOR UPDATE")
            tasks = [
                asyncio.create_task(asyncio.to_thread(in_one, engine, work))
                for engine, work in zip(engines, (used((0, 1, 2)), second), strict=True)
            ]
            await eventually(lambda: databases.query(database, WAITS) == [(2,)])
            other.rollback()
        await asyncio.gather(*tasks)


async def test_an_id_tag_that_both_replace_is_replaced_once(engines, database):
    tag = IdTag(id_token="T1")
    in_one(engines[0], partial(id_tags.put_id_tag, tag=tag))

    def noted(text):
        return partial(id_tags.put_id_tag, tag=IdTag(id_token="T1", note=text), check=must_be(tag))

    assert isinstance((await at_once(engines, database, noted("one"), noted("two")))[1], Refused)
    removed = partial(id_tags.remove_id_tag, id_token="T1", check=must_be(IdTag(id_token="T1", note="one")))
    found = in_one(engines[0], partial(id_tags.id_tag, id_token="T1"))
    again = partial(id_tags.put_id_tag, tag=IdTag(id_token="T1", note="three"), check=must_be(found))
    assert isinstance((await at_once(engines, database, again, removed))[1], Refused)


async def test_a_site_that_both_add_is_the_first_ones(engines, database):
    def added(name):
        return partial(sites.put_site, new=sites.Site(site_id="depot", name=name), check=must_be(None))

    assert isinstance((await at_once(engines, database, added("one"), added("two")))[1], Refused)


async def test_site_and_labels_that_two_set_at_once_are_both_set(engines, database):
    in_one(engines[0], added("CP1"))
    in_one(engines[0], partial(sites.put_site, new=sites.Site(site_id="depot"), check=unchecked))
    placed = partial(sites.put_place, cp_id="CP1", site_id="depot", labels=None)
    labelled = partial(sites.put_place, cp_id="CP1", site_id=None, labels={"bay": "1"})
    await at_once(engines, database, placed, labelled)
    assert databases.query(database, "SELECT site_id, labels FROM charge_point_places") == [("depot", '{"bay":"1"}')]


# erasure

ERASED = ErasedToken("TOKEN", "erased-1")


@pytest.fixture
def sessions(engines):
    """Open sessions with an id tag, which began in another order than that of their charge points."""
    fleet = Fleet()
    for cp_id in ("CP3", "CP2", "CP1"):
        for event in (connected(cp_id), started(cp_id)):
            apply(fleet, event)
    batch = replace(take(fleet), epochs={"CP2": 0, "CP3": 0})
    in_one(engines[0], written(batch))
    in_one(engines[0], lambda connection: connection.execute(sa.update(t.charge_points).values(owner="north")))
    return batch


def cursor_of(connection):
    return connection.connection.cursor()


def written(batch):
    statements = statements_for(postgresql.dialect())
    return lambda connection: write_batch(cursor_of(connection), batch, statements, Shapes(), NOW)


def erased(step):
    def work(connection):
        (within,) = erasure.slices(connection, t.transactions)
        return erasure.apply(connection, erasure.find(connection, t.transactions, ERASED, within)[::step])

    return work


@pytest.mark.parametrize("step", [1, -1])
async def test_an_erasure_and_a_batch_do_not_block_each_other(engines, database, sessions, step):
    """The erasure begins when the batch has written one of the sessions."""

    def session_of(cp_id):
        return written(Batch(transactions=[row for row in sessions.transactions if row[1] == cp_id]))

    def both(connection):
        fence(cursor_of(connection), sessions, "north")
        session_of("CP2")(connection)
        others.append(asyncio.run_coroutine_threadsafe(asyncio.to_thread(in_one, engines[1], erased(step)), loop))
        while not others[0].done() and databases.query(database, WAITS) == [(0,)]:
            pass
        for cp_id in ("CP1", "CP3"):
            session_of(cp_id)(connection)

    others, loop = [], asyncio.get_running_loop()
    await asyncio.to_thread(in_one, engines[0], both)
    assert sessions.lost == {}
    assert await asyncio.wrap_future(others[0]) == 3


async def test_two_erasures_do_not_block_each_other(engines, database, sessions):
    with psycopg.connect(database) as other:
        other.execute("SELECT * FROM transactions WHERE cp_id = 'CP2' FOR UPDATE")
        tasks = [
            asyncio.create_task(asyncio.to_thread(in_one, engine, erased(step)))
            for engine, step in zip(engines, (1, -1), strict=True)
        ]
        await eventually(lambda: databases.query(database, WAITS) == [(2,)])
        other.rollback()
    assert sorted(await asyncio.gather(*tasks)) == [0, 3]
