"""docs/cli.md, generated from the help texts: `python -m wattspan.cli.reference [FILE]`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from wattspan.cli.main import main

PAGE = Path("docs/cli.md")
WIDTH = 80

INTRODUCTION = """\
# Command line

Generated from the help texts by `make reference`; a test keeps the two equal.

- **Output.** Lists are tables on a terminal, fitted to its width; columns that do not fit are left out and named below
  the table. In a pipe they are tab-separated lines with all columns, and with `--json` one JSON object a line. Results
  go to standard output, everything else to standard error.
- **Errors** are lines that begin with `Error:` and name the field that is wrong. The exit code is 2 if options,
  arguments or settings are wrong, 1 if the command failed, and 3 if a charge point answered a command without accepting
  it.
- **Server or database.** `cp`, `tag` and `user` use a server's API if `--url` names one or you are logged in to one,
  and otherwise the database itself. Commands that read never create a database.
- **Settings.** Options of `serve` are settings: each is also an environment variable and a line of the TOML file that
  `--config` names. `wattspan config check` prints the settings in force in the form of that file.

## Shell completion

Completion of commands, options and their values needs one line in the shell's start-up file:

```sh
eval "$(_WATTSPAN_COMPLETE=bash_source wattspan)"    # bash 4.4 or newer, in ~/.bashrc
eval "$(_WATTSPAN_COMPLETE=zsh_source wattspan)"     # zsh, in ~/.zshrc
_WATTSPAN_COMPLETE=fish_source wattspan | source     # fish, in ~/.config/fish/config.fish
```

To start shells faster, write the output of that command to a file once and source the file.
"""


def text() -> str:
    """Return the whole page."""
    context = click.Context(main, info_name="wattspan", terminal_width=WIDTH, **main.context_settings)
    return "\n".join([INTRODUCTION, *_sections(context, 2)])


def commands(context: click.Context) -> Iterator[click.Context]:
    """Yield the context of every command below that of `context`, and its own first."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None:
                settings = {"terminal_width": context.terminal_width, **command.context_settings}
                yield from commands(click.Context(command, parent=context, info_name=name, **settings))


def _sections(context: click.Context, level: int) -> Iterator[str]:
    for each in commands(context):
        depth = each.command_path.count(" ")
        yield f"{'#' * (level + (depth > 1))} {each.command_path}\n"
        yield f"```text\n{each.get_help()}\n```\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else PAGE).write_text(text(), encoding="utf-8")
