"""Options of the commands that run the central system: one for each setting, named and explained by it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from wattspan.settings import Settings, load_settings

F = TypeVar("F", bound=Callable[..., Any])

BY_FILE_ALONE = frozenset({"metrics_token", "metrics_password", "admin_password"})
"""Secrets: an option would show them to every user of the machine, so they come by environment or file."""

CHARGY_ALONE = frozenset(name for name in Settings.model_fields if name.startswith("kml_"))
"""What only `wattspan chargy` reads, so that nobody takes it for the central system's."""


def settings_options(*names: str) -> Callable[[F], F]:
    """Options for these settings (all that the central system has, when none is named), and `--config`."""
    wanted = names or Settings.model_fields.keys() - CHARGY_ALONE
    chosen = [name for name in Settings.model_fields if name not in BY_FILE_ALONE and name in wanted]

    def decorate(command: F) -> F:
        for name in reversed(chosen):
            command = _option(name)(command)
        config = click.option(
            "--config", type=click.Path(path_type=Path), help="TOML file with settings.  [WATTSPAN_CONFIG]"
        )
        return config(command)

    return decorate


def read_settings(given: dict[str, Any]) -> Settings:
    """The settings in force for the options of `settings_options`.

    Raises:
        SettingsError: with every fault.
    """
    config = given.pop("config", None)
    return load_settings(given, config, os.environ)


def _option(name: str) -> Callable[[F], F]:
    field = Settings.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    if field.annotation is bool:
        flag = f"{flag}/--no-{name.replace('_', '-')}"
    text = (field.description or "").rstrip(".")
    default = "" if field.default is None or callable(field.default_factory) else f"; {_shown(field.default)}"
    return click.option(flag, name, default=None, help=f"{text}{default}.  [WATTSPAN_{name.upper()}]")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
