"""`wattspan config check`: every fault of the settings at once, without starting anything."""

from typing import Any

import click

from wattspan.cli.options import read_settings, settings_options
from wattspan.csms.plugins.host import find_plugins


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command()
@settings_options()
def check(**given: Any) -> None:
    """Say every fault of options, environment and file at once (exit code 2), or show what is in force."""
    settings = read_settings(given)
    find_plugins(settings.plugins)
    for name, value in settings.__repr_args__():
        click.echo(f"{name} = {value!r}")
