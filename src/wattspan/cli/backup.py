"""`wattspan backup`: a copy of the database while a server charges."""

from pathlib import Path
from typing import Any

import click

from wattspan.cli.options import read_settings, settings_options
from wattspan.store.backup import backup


@click.command(name="backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@settings_options("database")
def make_backup(file: Path, **given: Any) -> None:
    """Copy the SQLite database to FILE, which must not exist; a server may run, and is not held up.

    The copy is of one moment, whole and checked: all that was acknowledged until then. It is a database as it is: to
    restore, stop the server and put it in the place of the database, without the -wal and -shm files beside that one.
    """
    size_bytes = backup(read_settings(given).database, file)
    click.echo(f"{file} has {size_bytes / 1e6:.1f} MB", err=True)
