"""Migration of the tables by Alembic. The scripts are part of the package; there is no alembic.ini."""

import logging
from pathlib import Path

import sqlalchemy as sa

from wattspan.errors import StoreUnusable

SCRIPTS = Path(__file__).parent / "migrations"
HEAD = "0020"
"""The newest revision. A database at this revision is opened without importing Alembic, which takes 0.4 s."""

_VERSIONS = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32)))


def migrate(connection: sa.Connection, name: str) -> None:
    """Migrate the tables to HEAD within the connection's transaction.

    Raises StoreUnusable for a database of a newer release, and for one with another program's tables.
    """
    there = sa.inspect(connection).get_table_names()
    present = set(connection.scalars(sa.select(_VERSIONS.c.version_num))) if _VERSIONS.name in there else set()
    if present == {HEAD}:
        return
    if not present and there:
        raise StoreUnusable(f"database {name} holds tables that are not Wattspan's; name another one")
    _upgrade(connection, name, present)


def _upgrade(connection: sa.Connection, name: str, present: set[str]) -> None:
    # Alembic logs at INFO from its import on; those messages are of no use to operators.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command  # noqa: PLC0415 - see HEAD
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present - known:
        raise StoreUnusable(
            f"database {name} was made by a newer Wattspan; use that release, or restore a backup from before it"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
