"""docs/settings.md, made from `Settings`: `python -m wattspan.cli.settings_reference [FILE]`.

Types and ranges come from the JSON schema that pydantic derives from the fields.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from wattspan.cli.main import main
from wattspan.settings import ALIASES, PREFIX, Settings

PAGE = Path("docs/settings.md")

INTRODUCTION = """\
# Settings

Generated from `wattspan.Settings` by `make reference`; a test keeps the two equal.

The value of a setting comes from the first of these that has one: the option of `wattspan serve`, the environment
variable, the TOML file that `--config` or `WATTSPAN_CONFIG` names, the default. The TOML key is the setting's name. An
empty variable counts as not set. `wattspan config check` reports every fault at once, or prints what is in force.

```toml
# wattspan.toml
host = "0.0.0.0"
database = "/var/lib/wattspan/fleet.db"
plugins = ["orphans", "audit"]
```

Secrets have no option, because every user of a machine can see the options of a running command. They come from the
environment or the file. Times end in `_s` (seconds), `_hours` or `_days`, sizes in `_bytes`.

"""

OTEL = """
## OpenTelemetry

The `OTEL_*` variables have the meaning that the OpenTelemetry specification gives them. There is one difference:
without an OTLP endpoint nothing is exported. [Telemetry backends](backends.md) has examples.

## Other variables

| variable | read by |
| --- | --- |
| `WATTSPAN_CONFIG` | every command that has `--config`: the path of the TOML file |
| `WATTSPAN_TOKEN` | commands that use the API: the token, instead of the one that `wattspan login` saved |
| `WATTSPAN_API_URL` | commands that use the API: its address, where `--url` is not given |
| `WATTSPAN_SIMULATE_PASSWORD` | `wattspan simulate`: the password of the virtual charge points |
| `WATTSPAN_STACK_DIRECTORY` | `wattspan stack`: the folder that has `compose.yaml` |
"""

_COMMANDS = ("serve", "chargy")
_TYPES = {
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "array": "list of texts",
}
_FORMATS = {"path": "path", "password": "text"}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
}
_NOT_EMPTY = ("minLength", 1)


def text() -> str:
    """Return the whole page."""
    properties = Settings.model_json_schema()["properties"]
    heads = ("setting (TOML key)", "option", "environment variable", "default", "type and range", "meaning")
    rows = (_row(name, schema) for name, schema in properties.items())
    return INTRODUCTION + "\n".join(_table(heads, rows)) + "\n" + OTEL


def _row(name: str, schema: Mapping[str, Any]) -> tuple[str, ...]:
    field = Settings.model_fields[name]
    variables = [PREFIX + name.upper(), *(alias for alias, of in ALIASES.items() if of == name)]
    return (
        f"`{name}`",
        _option(name),
        ", ".join(f"`{each}`" for each in variables),
        "" if callable(field.default_factory) or field.default is None else f"`{_shown(field.default)}`",
        ", ".join(_range(schema)),
        " ".join((field.description or "").split()),
    )


def _option(name: str) -> str:
    """Return the options of `wattspan serve` or `wattspan chargy` that set it; secrets have none."""
    for command in _COMMANDS:
        found = main.get_command(click.Context(main), command)
        for parameter in found.params if found is not None else ():
            if parameter.name == name:
                return ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))
    return "none"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the type of a setting and then its bounds, in words."""
    one = next((each for each in schema.get("anyOf", ()) if each.get("type") != "null"), schema)
    if "enum" in one:
        yield "one of " + ", ".join(f"`{each}`" for each in one["enum"])
        return
    if one.get("pattern", "").startswith("^https?"):
        yield "URL, http or https"
    else:
        yield _FORMATS.get(one.get("format", ""), _TYPES[one["type"]])
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None and high is not None:
        yield f"{_shown(low)} to {_shown(high)}"
        one = {key: value for key, value in one.items() if key not in ("minimum", "maximum")}
    for key, words in _BOUNDS.items():
        if key in one and (key, one[key]) != _NOT_EMPTY:
            yield words.format(_shown(one[key]))


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    cells = [heads, ("---",) * len(heads), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells]


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else PAGE).write_text(text(), encoding="utf-8")
