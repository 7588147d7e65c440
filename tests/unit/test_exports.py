"""The public face: what the package exports is there, documented, typed, and nothing else shows."""

import importlib
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

import wattspan
from wattspan import errors, events, settings_keywords
from wattspan.csms import typed_calls
from wattspan.domain import events as domain_events
from wattspan.settings import Settings

INTERNAL_ERRORS = {
    *("CallFault", "CsrRefused", "FeedError", "FrameError", "HandshakeRefused"),
    *("NodeSilent", "RedisUnavailable"),
}
"""Errors that pass between our own modules and are handled there."""

MODULES = ["wattspan", "wattspan.events", "wattspan.testing"]


def python(code: str) -> str:
    """The output of a fresh interpreter, in which a warning is an error."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", wattspan.__all__)
def test_every_export_can_be_imported_and_is_documented(name):
    export = getattr(wattspan, name)
    if isinstance(export, type | types.FunctionType | types.ModuleType):
        assert inspect.getdoc(export)
        assert export.__doc__, f"{name} inherits its docstring"


@pytest.mark.parametrize("module", MODULES)
def test_the_exports_are_sorted_and_each_exists(module):
    found = importlib.import_module(module)
    assert list(found.__all__) == sorted(found.__all__)
    assert len(set(found.__all__)) == len(found.__all__)
    assert all(hasattr(found, name) for name in found.__all__)


def test_dir_shows_the_exports_and_nothing_else():
    assert dir(wattspan) == wattspan.__all__
    assert python("import wattspan, wattspan.app; print(dir(wattspan) == wattspan.__all__)") == "True"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'CentralSytem'"):
        _ = wattspan.CentralSytem


def test_every_public_method_of_an_exported_class_is_documented():
    classes = [export for name in wattspan.__all__ if isinstance(export := getattr(wattspan, name), type)]
    missing = [
        f"{each.__name__}.{name}"
        for each in classes
        for name, member in vars(each).items()
        if not name.startswith("_") and isinstance(member, types.FunctionType | property) and not inspect.getdoc(member)
    ]
    assert not missing


def test_every_error_that_a_user_can_meet_is_exported():
    own = {name for name, each in vars(errors).items() if isinstance(each, type) and each.__module__ == errors.__name__}
    assert {name for name in wattspan.__all__ if name in own} == own - INTERNAL_ERRORS
    assert all(issubclass(getattr(errors, name), errors.WattspanError) for name in own)


def test_the_tree_of_errors_in_the_docstring_is_the_tree_there_is():
    own = {name for name, each in vars(errors).items() if isinstance(each, type) and each.__module__ == errors.__name__}
    lines = [line for line in (errors.__doc__ or "").splitlines() if "── " in line]
    assert {line.split("── ")[1].split()[0] for line in lines} == own - {"WattspanError"}


def test_the_events_are_those_of_the_domain():
    modules = [module for name, module in sys.modules.items() if name.startswith(f"{domain_events.__name__}.")]
    classes = [each for module in modules for each in vars(module).values() if isinstance(each, type)]
    own = {each.__name__ for each in classes if each.__module__.startswith(domain_events.__name__)}
    assert set(events.__all__) == own
    assert all(getattr(events, name) is getattr(domain_events, name) for name in own)


def test_the_stubs_are_what_the_tables_and_the_settings_say_now():
    assert typed_calls.STUB.read_text() == typed_calls.text(), "run python -m wattspan.csms.typed_calls"
    assert settings_keywords.STUB.read_text() == settings_keywords.text(), "run python -m wattspan.settings_keywords"


def test_every_setting_is_a_keyword():
    assert set(settings_keywords.SettingsKeywords.__annotations__) == set(Settings.model_fields) - {"plugins"}


def test_the_package_is_marked_as_typed():
    assert (Path(wattspan.__file__).parent / "py.typed").exists()


def test_the_core_imports_no_library_of_the_server():
    code = (
        "import sys, wattspan; wattspan.events; wattspan.WattspanError; wattspan.setup_tracing\n"
        "from wattspan._extras import SERVER_MODULES\n"
        "print(sorted({each.partition('.')[0] for each in sys.modules} & SERVER_MODULES))"
    )
    assert python(code) == "[]"


@pytest.mark.parametrize("module", ["versions", "ocppj.rpc", "telemetry.setup", "telemetry.metering", "events"])
def test_the_rooms_of_the_core_import_no_library_of_the_server(module):
    code = (
        f"import sys, wattspan.{module}\n"
        "from wattspan._extras import SERVER_MODULES\n"
        "print(sorted({each.partition('.')[0] for each in sys.modules} & SERVER_MODULES))"
    )
    assert python(code) == "[]"


WITHOUT = "import sys; sys.modules['{}'] = None\n"
"""Makes an import of this module raise ModuleNotFoundError."""


def test_an_export_of_the_server_says_what_to_install_without_it():
    code = WITHOUT.format("fastapi") + (
        "import wattspan\ntry:\n    wattspan.CentralSystem\nexcept ImportError as exc:\n    print(exc)"
    )
    assert python(code) == 'wattspan.CentralSystem needs fastapi; install it with: pip install "wattspan[server]"'


@pytest.mark.parametrize("module", ["click", "uvicorn"])
def test_the_command_line_says_what_to_install_without_the_server(module):
    code = WITHOUT.format(module) + "from wattspan.__main__ import main; sys.argv[1:] = ['demo']; main()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr == f'wattspan: the command line needs {module}; install it with: pip install "wattspan[server]"\n'
    )
    assert not done.stdout
