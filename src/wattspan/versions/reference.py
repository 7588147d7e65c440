"""Generates docs/ocpp.md from the versions' tables: `python -m wattspan.versions.reference [FILE]`."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from wattspan.versions import VERSIONS
from wattspan.versions.base import Version, no_events
from wattspan.versions.v2x.reports import Notice

PAGE = Path("docs/ocpp.md")

INTRODUCTION = """\
# OCPP messages

Generated from the tables in `src/wattspan/versions/` by `make reference`; a test keeps the two equal, and another
test compares the tables with the schemas of all OCPP messages.

| word | meaning |
| --- | --- |
| answered | Wattspan answers as the specification requires. |
| observed | The content changes state, metrics, traces or the store. |
| carried | The content changes nothing here. Plugins receive it (`NoticeReceived`); it is not stored. |
| sent | A command that Wattspan can send. |
| - | The version has no such message in this direction. |

Every message is counted, timed and traced.

A message may need something that a central system can have and Wattspan does not: a certificate authority for V2G, an
OCSP responder, an energy planner, a tax office. Its answer is then the status that OCPP has for it, Rejected or
Failed, never an invented Accepted.

An action that the version does not name is answered with NotImplemented. One that only the central system may send is
answered with NotSupported. A charger that negotiated a later version and sends OCPP 1.6 messages is answered as 1.6:
[decision 5](adr/0005-versions-mixed-on-one-connection.md).
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
