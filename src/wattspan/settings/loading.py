"""Reads the settings from their sources and validates them as a whole.

In order of precedence: explicit overrides (the command line), the environment (`WATTSPAN_PORT`, …), a TOML file with
the same names in lower case, the defaults. The OpenTelemetry SDK reads its `OTEL_*` variables itself; `otel_variables`
checks those that we rely on.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from wattspan.errors import SettingsError
from wattspan.otel_variables import otel_faults
from wattspan.settings.consistency import conflicts
from wattspan.settings.constraints import explain
from wattspan.settings.model import Settings

PREFIX = "WATTSPAN_"
CONFIG_VARIABLE = "WATTSPAN_CONFIG"
"""Names the TOML file if `--config` does not."""
ALIASES = {
    "OTEL_EXPORTER_PROMETHEUS_HOST": "metrics_host",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "metrics_port",
    "METRICS_PORT": "metrics_port",
    "KML_URL": "kml_url",
}
"""Variables without our prefix. The one with the prefix takes precedence."""
OTHER_VARIABLES = frozenset(
    {CONFIG_VARIABLE, "WATTSPAN_TOKEN", "WATTSPAN_SIMULATE_PASSWORD", "WATTSPAN_STACK_DIRECTORY"}
)
"""Variables with our prefix that are not settings: single commands read them."""


class _Assignment(NamedTuple):
    """A value for one setting. `source` names it in messages: `WATTSPAN_PORT`, `wattspan.toml: port`, `port`."""

    source: str
    name: str
    value: object


def load_settings(overrides: Mapping[str, Any], config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read and validate all settings. None in `overrides` and empty variables count as not set.

    `config` None means the file that WATTSPAN_CONFIG names, if any.

    Raises:
        SettingsError: with every fault, one line each.
    """
    settings, faults = check_settings(overrides, config, environ)
    if faults:
        raise SettingsError(faults)
    return settings


def check_settings(
    overrides: Mapping[str, Any], config: Path | None, environ: Mapping[str, str]
) -> tuple[Settings, list[str]]:
    """Return the settings and every fault. A setting that is invalid has its default."""
    faults: list[str] = []
    config = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    assigned: dict[str, _Assignment] = {}
    for assignments in (_from_file(config, faults), _from_environ(environ), _from_overrides(overrides)):
        assigned.update({each.name: each for each in assignments})
    faults += [_unknown(assigned.pop(name)) for name in assigned.keys() - Settings.model_fields.keys()]
    settings, invalid = _validate(assigned)
    faults += invalid.values()
    faults += otel_faults(environ)
    faults += (
        f"{assigned[each.name].source if each.name in assigned else each.name}: {each.text}"
        for each in conflicts(settings)
        if not invalid.keys() & {each.name, *each.others}  # else a default would be reported
    )
    return settings, sorted(faults)


def _from_file(path: Path | None, faults: list[str]) -> Iterator[_Assignment]:
    if path is None:
        return
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        faults.append(f"{path}: cannot be read: {exc.strerror or exc}")
    except ValueError as exc:
        faults.append(f"{path}: is not valid TOML: {exc}")
    else:
        yield from (_Assignment(f"{path.name}: {name}", name, value) for name, value in content.items())


def _from_environ(environ: Mapping[str, str]) -> Iterator[_Assignment]:
    for variable, name in ALIASES.items():
        if environ.get(variable):
            yield _Assignment(variable, name, environ[variable])
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable not in OTHER_VARIABLES and value:
            yield _Assignment(variable, variable.removeprefix(PREFIX).lower(), value)


def _from_overrides(overrides: Mapping[str, Any]) -> Iterator[_Assignment]:
    return (_Assignment(name, name, value) for name, value in overrides.items() if value is not None)


def _unknown(assignment: _Assignment) -> str:
    similar = difflib.get_close_matches(assignment.name, Settings.model_fields, n=1)
    if not similar:
        return f"{assignment.source}: there is no such setting"
    suggestion = PREFIX + similar[0].upper() if assignment.source.startswith(PREFIX) else similar[0]
    return f"{assignment.source}: there is no such setting; did you mean {suggestion}?"


def _validate(assigned: Mapping[str, _Assignment]) -> tuple[Settings, dict[str, str]]:
    """Return the settings, with the defaults of those that are invalid, and the faults of these by their names."""
    values = {name: each.value for name, each in assigned.items()}
    try:
        return Settings.model_validate(values), {}
    except ValidationError as exc:
        errors = {str(error["loc"][0]): error["type"] for error in exc.errors(include_url=False, include_input=False)}
    # A default that depends on an invalid setting (`metrics_host` on `host`) is not a fault of its own.
    invalid = {name: error_type for name, error_type in errors.items() if name in assigned}
    settings = Settings.model_validate({name: value for name, value in values.items() if name not in invalid})
    return settings, {
        name: f"{assigned[name].source}: {explain(name, values[name], error_type)}"
        for name, error_type in invalid.items()
    }
