"""The console script, also `python -m wattspan`. Without the `server` extra it prints what to install."""

import sys

from wattspan._extras import missing_extra


def main() -> None:
    """Run the command line. Without the `server` extra, print what to install and exit with status 1."""
    try:
        from wattspan.cli import main as command_line  # noqa: PLC0415  click may not be installed

        command_line()
    except ModuleNotFoundError as exc:
        message = missing_extra(exc.name, "the command line")
        if message is None:
            raise
        sys.exit(f"wattspan: {message}")


if __name__ == "__main__":
    main()
