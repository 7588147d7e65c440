"""Generates docs/ocpp.md from the versions' tables: `python -m wattspan.versions.reference [FILE]`."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from wattspan.versions import VERSIONS
from wattspan.versions.base import Version, no_events
from wattspan.versions.v2x.reports import Notice

PAGE = Path("docs/ocpp.md")

INTRODUCTION = """\
# Messages of OCPP

Generated from the tables in `src/wattspan/versions/` by `python -m wattspan.versions.reference`; a test keeps the page
current, and another compares the tables with the schemas of every OCPP message.

*Answered*: answered as the specification requires. *Observed*: it changes state, metrics, traces or the store.
*Carried*: it changes nothing and is passed to plugins unchanged (`NoticeReceived`), not stored. *Sent*: a command that
can be sent. A dash: the version has no such message in that direction. Every message is counted, timed and traced.

Where a message needs a service that this central system does not have (a certificate authority for contracts, an OCSP
responder, an energy planner, a tax office), the answer is the status that OCPP defines for it: Rejected or Failed,
never a false Accepted. An action that the version does not define is refused with NotImplemented, one that only the
central system may send with NotSupported. A message in the format of 1.6 on a connection that negotiated a later
version is processed as 1.6.
"""


def text() -> str:
    """Return the whole page."""
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
    if request.observe is not no_events:
        words.append("carried" if isinstance(request.observe, Notice) else "observed")
    return ", ".join(words)


def _sent(version: Version, action: str) -> str:
    command = version.commands.get(action)
    if command is None:
        return "-"
    return "sent" if command.observe is no_events else "sent, observed"


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else PAGE).write_text(text(), encoding="utf-8")
