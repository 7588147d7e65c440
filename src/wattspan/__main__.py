"""The console script, also `python -m wattspan`. Without the `server` extra it prints what to install."""

import gc
import sys

from wattspan._extras import missing_extra

GC_THRESHOLDS_AT_START = (20_000, 10, 10)
"""Garbage collection while a command starts, and for those that set no thresholds of their own.

Imports allocate much and leave little garbage. With Python's thresholds, collections take a quarter of the time that
the import of the server's libraries takes.
"""


def main() -> None:
    """Run the command line. Without the `server` extra, print what to install and exit with status 1."""
    gc.set_threshold(*GC_THRESHOLDS_AT_START)
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
