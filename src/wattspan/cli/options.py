"""Command-line options made from settings: one option a setting, with its type, limits, default and description."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from wattspan.cli.help import DescribedOption
from wattspan.settings import CONFIG_VARIABLE, PREFIX, Settings, load_settings
from wattspan.settings.constraints import Constraint, constraint_of
from wattspan.settings.sections import SECTIONS

F = TypeVar("F", bound=Callable[..., Any])

WITHOUT_OPTION = frozenset({"metrics_token", "metrics_password", "admin_password"})
"""Secrets: every user of the machine could read them in an option, so they come from the environment or the file."""

CHARGY_ONLY = frozenset(name for name in Settings.model_fields if name.startswith("kml_"))
"""Settings that only `wattspan chargy` reads."""
PROXY_ONLY = frozenset(SECTIONS["Proxy"])
"""Settings that only `wattspan proxy` reads."""

_METAVARS = {"integer": "INTEGER", "number": "NUMBER", "path": "PATH", "array": "NAME,…"}


class SettingType(click.ParamType[str]):
    """Shows what a setting accepts but converts nothing: click reports one fault, `load_settings` all of them."""

    def __init__(self, constraint: Constraint) -> None:
        self._constraint = constraint
        text = "URL" if "://" in (constraint.example or "") else "TEXT"
        self.name = _METAVARS.get(constraint.kind, text)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        choices = self._constraint.choices
        return f"[{'|'.join(choices)}]" if choices else self.name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if self._constraint.kind == "path":
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(each) for each in self._constraint.choices if each.startswith(incomplete)]


def settings_options(
    *names: str,
    help: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    sections: Mapping[str, Sequence[str]] = SECTIONS,
) -> Callable[[F], F]:
    """Add options for these settings (without names, for all of the central system's), and `--config`.

    `help`, `defaults` and `sections` replace texts in a command that gives a setting a meaning or a default of its own.
    """
    names = names or tuple(
        name for section in SECTIONS.values() for name in section if name not in CHARGY_ONLY | PROXY_ONLY
    )
    chosen = [name for name in names if name not in WITHOUT_OPTION]
    titles = {name: title for title, section in sections.items() for name in section}

    def decorate(command: F) -> F:
        for name in reversed(chosen):
            text, default = (help or {}).get(name), (defaults or {}).get(name)
            command = _option(name, titles.get(name, ""), text, default)(command)
        config = click.option(
            "--config",
            cls=DescribedOption,
            type=click.Path(path_type=Path),
            shown_envvar=CONFIG_VARIABLE,
            section=titles.get("config", ""),
            help="TOML file with settings.",
        )
        return config(command)

    return decorate


def read_settings(options: Mapping[str, Any]) -> Settings:
    """Return the settings for the options of `settings_options`, the environment and the file.

    Raises:
        SettingsError: with every fault.
    """
    overrides = {name: value for name, value in options.items() if name != "config"}
    return load_settings(overrides, options.get("config"), os.environ)


def _option(name: str, section: str, text: str | None, default: str | None) -> Callable[[F], F]:
    field = Settings.model_fields[name]
    constraint = constraint_of(name)
    flag = f"--{name.replace('_', '-')}"
    is_flag = field.annotation is bool
    return click.option(
        f"{flag}/--no-{name.replace('_', '-')}" if is_flag else flag,
        name,
        cls=DescribedOption,
        type=None if is_flag else SettingType(constraint),
        default=None,
        help=text or " ".join((field.description or "").split()),
        section=section,
        shown_envvar=PREFIX + name.upper(),
        shown_default=default if default is not None else _shown_default(name),
        shown_range=_shown_range(constraint),
    )


def _shown_default(name: str) -> str:
    default = Settings.model_fields[name].default
    if default is None or Settings.model_fields[name].default_factory is not None:
        return ""
    if isinstance(default, bool):
        return name.replace("_", "-") if default else f"no-{name.replace('_', '-')}"
    if isinstance(default, tuple):
        return ",".join(default)
    return str(int(default) if isinstance(default, float) and default.is_integer() else default)


def _shown_range(constraint: Constraint) -> str:
    """Return the range as click shows it: `0<=x<=65535`, `x>=1`, or "" if there is none."""
    operator, low = (">", constraint.above) if constraint.above is not None else (">=", constraint.minimum)
    if low is None:
        return ""
    if constraint.maximum is None:
        return f"x{operator}{low:g}"
    return f"{low:g}{operator.replace('>', '<')}x<={constraint.maximum:g}"
