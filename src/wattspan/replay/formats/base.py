"""What a format is, and the parts that several formats share: times, directions and frames in a line of text."""

import html
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any, Protocol

from wattspan.replay.records import PassedOver, Record

UNKNOWN_TS = math.nan
"""The time of a line that has none."""
HEAD_CHARACTERS = 1024
"""What a line says before its message is shorter than this; nothing is searched for beyond it."""


class Unreadable(Exception):
    """The line belongs to the format, but its content cannot be read. The text says why.

    `passed`: its time and charge point, if they are known.
    """

    passed: PassedOver | None = None


class Format(Protocol):
    """A log format. `name` is its value for `--format`; `description` says in a few words whose logs it reads.

    `is_json`: a line is a JSON object. Otherwise it is a text with the time, the charge point and the direction, and
    then the message.
    """

    name: str
    description: str
    is_json: bool

    def parse(self, line: str, zone: tzinfo) -> Record | None:
        """Return the record of a line, or None if the line has none.

        `zone` applies to times without an offset. Raises Unreadable; raises IncompleteFrame if the message
        continues on the next line.
        """


class IncompleteFrame(Unreadable):
    """The message begins on this line and ends on a later one."""


TIME = re.compile(
    r"(?P<date>\d{4}[-/]\d\d[-/]\d\d)[T\s](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
    r"\s?(?P<offset>Z|[+-]\d\d:?\d\d)?"
)


def time_in(text: str, zone: tzinfo) -> float:
    """Return the first time in a text as Unix seconds; UNKNOWN_TS if there is none."""
    found = TIME.search(text)
    if found is None:
        return UNKNOWN_TS
    date, time, fraction, offset = found.groups()
    second_ts = _second(date, time, offset or "", zone)
    return second_ts + float(f"0.{fraction}") if fraction else second_ts


@lru_cache(maxsize=4096)
def _second(date: str, time: str, offset: str, zone: tzinfo) -> float:
    """Return a whole second as Unix seconds. Lines of one second are neighbours, so the last ones are kept."""
    try:
        at = datetime.fromisoformat(f"{date.replace('/', '-')}T{time}{offset}")
    except ValueError:
        return UNKNOWN_TS
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).timestamp()


MILLISECONDS_FROM = 1e11
_EPOCHS = ((1e17, 1e9), (1e14, 1e6), (MILLISECONDS_FROM, 1e3))
"""A Unix time from here on is in ns, µs or ms."""


def time_of(value: Any, zone: tzinfo) -> float:
    """Return a time from JSON as Unix seconds: a number in s, ms, µs or ns, or a text. UNKNOWN_TS for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return time_in(value, zone)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return UNKNOWN_TS
    for least, per_second in _EPOCHS:
        if value >= least:
            return value / per_second
    return float(value)


_FROM_CHARGE_POINT = """in received receive recv rx cs cp chargepoint chargingstation station fromchargepoint incoming
    inbound < <- << ← cp->csms up"""
_TO_CHARGE_POINT = """out sent send sending tx csms centralsystem server fromcsms tochargepoint outgoing outbound > ->
    >> → csms->cp down"""
DIRECTIONS: Mapping[str, bool] = dict.fromkeys(_FROM_CHARGE_POINT.split(), True) | dict.fromkeys(
    _TO_CHARGE_POINT.split(), False
)
"""Words for a direction, in lower case without spaces, as a central system writes them: whether the charge point sent
the message. In the log of a charge point they mean the opposite; see `reader`."""


def direction(word: Any) -> bool | None:
    """Return whether the charge point sent the message; None for a word that is no direction."""
    if isinstance(word, bool):
        return word
    return DIRECTIONS.get(re.sub(r"[\s_-]+(?!>)", "", str(word)).casefold())


_ESCAPED = re.compile(r'\[\s*[2-6]\s*,\s*(""(?=[^",\s])|\\"|&quot;)')
"""A message whose quotes are those of CSV, of a text in JSON or of XML."""
_QUOTES: Mapping[str, Callable[[str], str]] = {
    '""': lambda text: text.replace('""', '"'),
    '\\"': lambda text: re.sub(r'\\(["\\/])', r"\1", text),
    "&quot;": lambda text: html.unescape(text.partition("</")[0]),
}


def checked(text: str) -> str:
    """Return the text of a frame, without what follows its end. Raises IncompleteFrame if brackets are open at its end.

    Only the brackets are checked: whoever reads the frame parses it. Quotes are made plain if the log escapes them.
    """
    text = text.strip()
    if (escaped := _ESCAPED.match(text)) is not None:
        text = _QUOTES[escaped[1]](text)
    if text.endswith("]"):
        return text
    end = text.rfind("]")
    if end < 0 or text[end + 1 :].strip("\t ,;'\"\x00") or not text.startswith("["):
        raise IncompleteFrame("the message has no end")
    return text[: end + 1]
