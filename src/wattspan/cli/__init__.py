"""The command line. It turns words into settings and results into lines; what is done is done elsewhere."""

from wattspan.cli.main import main

__all__ = ["main"]
