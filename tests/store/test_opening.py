import sqlite3
import subprocess

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from wattspan.errors import StoreUnavailable, StoreUnusable
from wattspan.store.engine import make_engine, parse
from wattspan.store.schema.migrate import HEAD, SCRIPTS
from wattspan.store.schema.tables import metadata
from wattspan.store.store import Store


async def refused(url, kind=StoreUnusable):
    with pytest.raises(kind) as caught:
        await Store.open(str(url), busy_timeout_s=0.0)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
async def made(path):
    store = await Store.open(str(path))
    await store.close()
    return path


async def test_a_missing_folder_is_named(tmp_path):
    assert "its folder does not exist" in await refused(tmp_path / "nowhere" / "fleet.db")


async def test_a_folder_is_no_database(tmp_path):
    assert "is a folder" in await refused(tmp_path)


async def test_garbage_is_no_database(path):
    path.write_bytes(b"no database at all" * 1000)
    assert "not a database, or is corrupt; restore it from a backup" in await refused(path)


async def test_a_truncated_database_is_corrupt(made):
    made.write_bytes(made.read_bytes()[: 3 * 4096])
    assert "corrupt; restore it from a backup" in await refused(made)


async def test_a_locked_database_says_so(made):
    other = sqlite3.connect(made, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "is locked by another process" in await refused(made, StoreUnavailable)
    other.close()


@pytest.mark.privileged
async def test_a_file_that_cannot_be_written_says_so(made, tmp_path):
    """chattr and not chmod: root may write what it may not."""
    if subprocess.run(["chattr", "+i", made], check=False, capture_output=True).returncode:  # noqa: ASYNC221
        pytest.skip("this file system has no immutable files, or this user may not make them")
    try:
        text = await refused(made)
    finally:
        subprocess.run(["chattr", "-i", made], check=True)  # noqa: ASYNC221
    assert "write permission" in text


async def test_a_newer_release_made_it(made):
    with sqlite3.connect(made) as connection:
        connection.execute("UPDATE alembic_version SET version_num='9999'")
    connection.close()
    assert "made by a newer Wattspan" in await refused(made)


async def test_somebody_elses_database_is_left_alone(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE charge_points (id)")
    connection.close()
    assert "not Wattspan's" in await refused(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("charge_points",)]
    connection.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://user:topsecret@host:port/name", "can't be read"),
        ("mysql://host/name", "names mysql"),
        ("sqlite://", "in memory"),
        ("://", "can't be read"),
    ],
)
async def test_a_wrong_url_is_told_without_its_password(url, says):
    text = await refused(url)
    assert says in text
    assert "topsecret" not in text


@pytest.mark.filterwarnings("ignore:.*expression-based index")
async def test_the_migrations_make_the_tables_that_the_code_knows(made):
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(made)))
    known = sa.create_engine("sqlite://")
    by_expression = "ix_charge_points_lower"  # neither SQLAlchemy nor Alembic reads such an index back
    made_by = sa.text("SELECT sql FROM sqlite_master WHERE name = :name").bindparams(name=by_expression)
    metadata.create_all(known)
    with engine.connect() as connection, known.connect() as other:
        context = MigrationContext.configure(connection, opts={"include_object": _is_of_sqlite})
        assert compare_metadata(context, metadata) == []
        assert connection.scalar(made_by) == other.scalar(made_by)
    engine.dispose()
    known.dispose()


def _is_of_sqlite(_object, name, _kind, _reflected, _compared):
    return name not in {"ix_charge_points_bytes", "ix_transactions_open_cp_id"}


async def test_opening_again_changes_nothing(made):
    before = made.read_bytes()
    store = await Store.open(str(made))
    await store.close()
    assert made.read_bytes() == before


@pytest.mark.parametrize("writes", [True, False])
def test_every_connection_is_durable(made, writes):
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "checkpoint_fullfsync": 1,
        "busy_timeout": 5000,
        "page_size": 4096,
        "wal_autocheckpoint": 4000,
        "query_only": 0 if writes else 1,
    }
    engine = make_engine(parse(str(made)), writes=writes, busy_timeout_s=5.0)
    with engine.connect() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in expected}
    engine.dispose()
    assert found == expected


def test_the_newest_revision_is_known_without_alembic():
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
