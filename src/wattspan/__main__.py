"""`python -m wattspan` is `wattspan`."""

from wattspan.cli import main

main()
