"""`wattspan config check`: every fault of the settings at once, without starting anything."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from wattspan.cli.help import SectionedCommand
from wattspan.cli.options import settings_options
from wattspan.csms.plugins.host import find_plugins
from wattspan.errors import SettingsError
from wattspan.settings import PREFIX, Settings
from wattspan.settings.loading import check_settings
from wattspan.settings.model import is_secret, mask_url_password
from wattspan.settings.sections import SECTIONS


@click.group()
def config() -> None:
    """Check the settings."""


@config.command(cls=SectionedCommand)
@settings_options()
def check(config: Path | None, **options: Any) -> None:
    """Check the settings without starting anything.

    Options, environment variables and the file are read as by `wattspan serve`.

    If there are faults, all of them are reported and the exit code is 2. Otherwise the settings in force are printed
    as a TOML file for --config. Secrets and settings without a value are comments in it.
    """
    settings, faults = check_settings(options, config, os.environ)
    try:
        find_plugins(settings.plugins)
    except SettingsError as exc:
        faults += exc.faults
    if faults:
        raise SettingsError(faults)
    click.echo("\n".join(to_toml(settings)))


def to_toml(settings: Settings) -> Iterator[str]:
    """Yield the lines of a TOML file with these settings; secrets are comments, without their value."""
    for position, (title, names) in enumerate(SECTIONS.items()):
        if position:
            yield ""
        yield f"# {title}"
        yield from (_line(name, getattr(settings, name)) for name in names)


def _line(name: str, value: object) -> str:
    if value is None:
        return f"# {name} is not set"
    if is_secret(name):
        return f"# {name} is set but not shown; {PREFIX}{name.upper()} can set it"
    if name in {"database", "redis"} and value is not None and mask_url_password(str(value)) != value:
        masked = _toml(mask_url_password(str(value)))
        return f"# {name} = {masked}  # has a password; {PREFIX}{name.upper()} can set it"
    return f"{name} = {_toml(value)}"


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
    # A JSON string is a TOML string, but for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
