"""`wattspan backup`: a copy of the database while a server runs on it."""

from pathlib import Path
from typing import Any

import click

from wattspan.cli.options import read_settings, settings_options
from wattspan.store.backup import backup


@click.command(name="backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@settings_options("database")
def backup_database(file: Path, **options: Any) -> None:
    """Copy the SQLite database to FILE, which must not exist yet.

    A server may run on the database meanwhile and is not slowed down. The copy is a consistent, checked snapshot that
    has everything acknowledged before it began.

    To restore it, stop the server, put the copy in the database's place and delete the -wal and -shm files beside it.
    """
    size_bytes = backup(read_settings(options).database, file)
    click.echo(f"{file}: {size_bytes / 1e6:.1f} MB", err=True)
