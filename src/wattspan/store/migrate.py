"""From one release's tables to the next, by Alembic. The scripts come with the package, without alembic.ini."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from wattspan.errors import StoreUnusable

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: sa.Connection, name: str) -> None:
    """Bring the tables up to date, within the connection's transaction: all of it, or nothing.

    Raises StoreUnusable for a database of a newer release, and for one that is somebody else's.
    """
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    present = set(MigrationContext.configure(connection).get_current_heads())
    if present == set(scripts.get_heads()):
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if present - known:
        raise StoreUnusable(
            f"database {name} was made by a newer Wattspan; use that release, or restore a backup from before it"
        )
    if not present and sa.inspect(connection).get_table_names():
        raise StoreUnusable(f"database {name} holds tables that are not Wattspan's; name another one")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
