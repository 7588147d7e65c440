"""The command line: it turns arguments into settings and calls, and results into text. It has no logic of its own."""

from wattspan.cli.main import main

__all__ = ["main"]
