"""The log formats that `wattspan replay` reads, a module for each kind.

To add one: write a class with `name`, `sample` and `parse` (see `base.Format`), and add it to `FORMATS`.
"""

from wattspan.replay.formats.base import Format
from wattspan.replay.formats.envelopes import Envelopes
from wattspan.replay.formats.json_lines import JsonLines
from wattspan.replay.formats.plain_text import PlainText
from wattspan.replay.formats.python_ocpp import PythonOcpp
from wattspan.replay.formats.steve import SteVe

FORMATS: tuple[Format, ...] = (JsonLines(), SteVe(), PythonOcpp(), Envelopes(), PlainText())
"""Special formats come first: a guess takes the first of those that read the most lines."""

NAMES = tuple(each.name for each in FORMATS)


def by_name(name: str) -> Format:
    """Return the format of that name. Raises KeyError."""
    return {each.name: each for each in FORMATS}[name]
