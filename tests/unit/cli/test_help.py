"""Every command by its help text: docs/cli.md has it, and every option is explained."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from wattspan.cli import main, reference
from wattspan.cli.main import COMMANDS
from wattspan.cli.options import CHARGY_ONLY, PROXY_ONLY, WITHOUT_OPTION
from wattspan.settings import Settings
from wattspan.settings.sections import SECTIONS

ROOT = Path(__file__).parents[3]
CONTEXTS = {
    context.command_path: context
    for context in reference.commands(
        click.Context(main, info_name="wattspan", terminal_width=reference.WIDTH, **main.context_settings)
    )
}
SERVER = ("sqlalchemy", "fastapi", "opentelemetry.sdk", "cryptography")
COMMANDS_ONLY = ("rich", "httpx", "pydantic")


def test_the_page_has_the_help_of_every_command(tmp_path: Path):
    # In a process of its own: click keeps the names of --help from the first context of a command.
    renewed = tmp_path / "cli.md"
    subprocess.run([sys.executable, "-m", "wattspan.cli.reference", str(renewed)], check=True)
    assert (ROOT / reference.PAGE).read_text("utf-8") == renewed.read_text("utf-8"), "run: make reference"


@pytest.mark.parametrize("path", CONTEXTS)
def test_a_command_prints_its_help_in_whole_sentences_and_explains_every_option(path: str):
    context = CONTEXTS[path]
    first = (context.command.help or "").split("\n\n")[0]
    assert first[0].isupper()
    assert first.endswith(".")
    for option in context.command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{path} {option.opts[0]}"
    assert max(map(len, context.get_help().splitlines())) <= reference.WIDTH


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_wattspan_itself_says_what_the_command_says(name: str):
    assert (CONTEXTS[f"wattspan {name}"].command.help or "").split(". ")[0].split("\n")[0].rstrip(".") + "." == (
        COMMANDS[name].help
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["cp", "--help"], ["serve", "--help"]])
def test_help_comes_without_the_servers_libraries(arguments: list[str]):
    heavy = SERVER + (COMMANDS_ONLY if arguments[0].startswith("-") else ())
    script = (
        "import sys\nfrom wattspan.cli import main\n"
        f"try:\n    main({arguments!r})\nfinally:\n    print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def sections(help_text: str) -> dict[str, str]:
    """The text of a help's sections by their headings."""
    parts = re.split(r"^(\S.*):$", help_text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("path", ["wattspan serve", "wattspan config check"])
def test_every_setting_without_a_secret_is_an_option_in_the_section_it_belongs_to(path: str):
    found = sections(CONTEXTS[path].get_help())
    for title, names in SECTIONS.items():
        for name in names:
            has_option = name not in WITHOUT_OPTION | CHARGY_ONLY | PROXY_ONLY
            flag = re.compile(rf"^  --{name.replace('_', '-')}\b", re.MULTILINE)
            assert bool(flag.search(found.get(title, ""))) is has_option, name
            if has_option:
                assert f"WATTSPAN_{name.upper()}" in found[title]


def test_every_setting_is_in_one_section():
    names = [name for section in SECTIONS.values() for name in section]
    assert sorted(names) == sorted(Settings.model_fields)


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("port", "[env var: WATTSPAN_PORT; default: 9000; 0<=x<=65535]"),
        ("ping_timeout_s", "[env var: WATTSPAN_PING_TIMEOUT_S; default: 20; x>0]"),
        ("certificate_days", "[env var: WATTSPAN_CERTIFICATE_DAYS; default: 365; 0<x<=3650]"),
        ("heartbeat_interval_s", "[env var: WATTSPAN_HEARTBEAT_INTERVAL_S; default: 120; x>=1]"),
        ("strict", "[env var: WATTSPAN_STRICT; default: no-strict]"),
        ("plugins", "[env var: WATTSPAN_PLUGINS; default: orphans]"),
        ("tls_cert", "[env var: WATTSPAN_TLS_CERT]"),
    ],
)
def test_an_option_shows_its_variable_its_default_and_its_range(option: str, shown: str):
    context = CONTEXTS["wattspan serve"]
    (found,) = [each for each in context.command.params if each.name == option]
    record = found.get_help_record(context)
    assert record is not None
    assert record[1].endswith(shown)


def test_chargy_has_its_own_words():
    text = CONTEXTS["wattspan chargy"].get_help()
    assert "charge point" not in text
    assert "OCPP" not in text
    assert "--kml-url URL" in text


def completions(arguments: list[str], incomplete: str) -> list[str]:
    found = BashComplete(main, {}, "wattspan", "_WATTSPAN_COMPLETE").get_completions(arguments, incomplete)
    return [each.value for each in found]


def test_a_shell_completes_commands_options_and_values():
    assert completions([], "s") == ["serve", "simulate", "stack"]
    assert completions(["cp"], "") == ["add", "command", "edit", "list", "remove", "show"]
    assert completions(["serve"], "--tls-client") == ["--tls-client-ca", "--tls-client-crl", "--tls-client-ocsp"]
    assert completions(["serve", "--log-level"], "") == ["debug", "info", "warning", "error", "critical"]


def test_the_help_of_the_proxy_begins_with_what_it_must_be_given():
    headings = re.findall(r"^(\w.*):$", CONTEXTS["wattspan proxy"].get_help(), re.MULTILINE)
    assert headings[:4] == ["Options", "Central system", "Charge points", "Mirrors"]
