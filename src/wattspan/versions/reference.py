"""docs/ocpp.md, made from the tables: `python -m wattspan.versions.reference [FILE]`."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from wattspan.versions import VERSIONS
from wattspan.versions.base import Version, nothing
from wattspan.versions.v2x.reports import Carried

PAGE = Path("docs/ocpp.md")

INTRODUCTION = """\
# Messages of OCPP

Made from the tables in `src/wattspan/versions/` by `python -m wattspan.versions.reference`; a test keeps the two equal,
and another compares them with the schemas of every message that OCPP has.

*Answered*: an answer as the specification asks for. *Observed*: what it tells changes state, metrics, traces or the
store. *Carried*: it changes nothing here and reaches plugins as it came (`NoticeReceived`), unstored. *Sent*: a command
that can be sent. A dash: the version has no such message that way. Every message is counted, timed and traced.

Where a message needs what a central system may have but this one does not (a certificate authority, an OCSP responder,
an energy planner, a tax office), the answer is the status that OCPP has for it: Rejected or Failed, never a made-up
Accepted. An action that the version does not name is refused with NotImplemented, one that only we may send with
NotSupported; what a charger sends in the shape of 1.6 after it negotiated a later version is taken for what it is.
"""


def text() -> str:
    """The whole page."""
    versions = list(VERSIONS.values())
    return "\n".join(
        [
            INTRODUCTION,
            "## From the charge point\n",
            *_table(versions, {action for version in versions for action in version.requests}, _taken),
            "",
            "## To the charge point\n",
            *_table(versions, {action for version in versions for action in version.commands}, _sent),
            "",
        ]
    )


def _table(versions: list[Version], actions: Iterable[str], state: Callable[[Version, str], str]) -> list[str]:
    heads = ["message", *(version.name for version in versions)]
    rows = [[f"`{action}`", *(state(version, action) for version in versions)] for action in sorted(actions)]
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _taken(version: Version, action: str) -> str:
    request = version.requests.get(action)
    if request is None:
        return "-"
    words = ["never answered" if action in version.unconfirmed else "answered"]
    if request.observe is not nothing:
        words.append("carried" if isinstance(request.observe, Carried) else "observed")
    return ", ".join(words)


def _sent(version: Version, action: str) -> str:
    command = version.commands.get(action)
    if command is None:
        return "-"
    return "sent" if command.observe is nothing else "sent, observed"


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else PAGE).write_text(text(), encoding="utf-8")
