"""What documents show: their code blocks, and the commands of `wattspan` in them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("otel-collector/*.md")])
_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_PROGRAM = re.compile(r"(?:^\s*|[|;] |-- |exec wattspan )(?:[\w./]*/)?wattspan (?P<words>[a-z-].*)")
_SHELL = {"", "sh", "console"}


def blocks(page: str, *languages: str) -> list[str]:
    """Return the text of the code blocks in these languages; "" is a block without one."""
    return [match["text"] for match in _BLOCK.finditer(page) if match["language"] in languages]


def shown_commands(page: str) -> Iterator[str]:
    """Return what follows `wattspan` in shell blocks and in code within lines: `cp add CP1`, `serve --host 0.0.0.0`."""
    for block in blocks(page, *_SHELL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _in_line(line)
    for code in re.findall(r"`([^`\n]*wattspan [^`\n]+)`", _BLOCK.sub("", page)):
        yield from _in_line(code)


def _in_line(line: str) -> Iterator[str]:
    if match := _PROGRAM.search(line):
        yield re.split(r"\s#\s|\s*[|;]\s", match["words"])[0].strip()


def parse(root: click.Command, words: str) -> None:
    """Check a command line against the commands that exist, without running or opening anything.

    Raises:
        AssertionError: there is no such command, option or choice, or too many arguments.
    """
    command, context, rest = root, click.Context(root, info_name="wattspan"), shlex.split(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"wattspan {words}: there is no command {rest[0]!r}"
        command, context, rest = found, click.Context(found, info_name=rest[0], parent=context), rest[1:]
        if isinstance(command, click.Group) and rest and rest[0].startswith("-"):
            rest = _without_group_options(command, context, rest)
    _check(command, context, rest, words)


def _without_group_options(group: click.Group, context: click.Context, words: Sequence[str]) -> list[str]:
    _, rest, _ = group.make_parser(context).parse_args(args=list(words))
    return list(rest)


def _check(command: click.Command, context: click.Context, words: Sequence[str], whole: str) -> None:
    try:
        values, rest, _ = command.make_parser(context).parse_args(args=list(words))
    except click.UsageError as exc:
        raise AssertionError(f"wattspan {whole}: {exc.format_message()}") from exc
    assert not rest, f"wattspan {whole}: too many arguments"
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            assert value in parameter.type.choices, f"wattspan {whole}: {value}"
