"""Lines of the `ocpp` package, as its users and Home Assistant write them, and evcc's lines, which are alike."""

import re
from datetime import tzinfo

from wattspan.replay.formats.base import HEAD_CHARACTERS, checked, time_in
from wattspan.replay.records import Frame, Record

_PACKAGE = re.compile(r":\s+(?P<word>receive|received|send|sent)(?: message)?:?\s+(?=\[)")
_LEVEL = re.compile(r"[A-Z]+:[\w.]+:")
"""The beginning that `logging.basicConfig` writes: "INFO:ocpp:"."""
_LOGGER = "[ocpp] "
"""What Home Assistant writes before the name of a charger, which may have spaces."""
_EVCC = re.compile(r"\b(?P<word>received|recv|sent|send) (?:(?:JSON )?message (?:from|to) )?(?P<cp_id>\S+):\s+(?=\[)")


class PythonOcpp:
    """`CP1: receive message [2, …]` and `CP1: send [3, …]`, whatever comes before them on the line.

    Some chargers send messages of several lines, which the log repeats.
    """

    name = "python-ocpp"
    description = "the ocpp package, Home Assistant's OCPP integration, evcc"
    is_json = False

    def parse(self, line: str, zone: tzinfo) -> Record | None:
        found = _PACKAGE.search(line, 0, HEAD_CHARACTERS)
        if found is not None:
            cp_id = _name(line[: found.start()])
        elif (found := _EVCC.search(line, 0, HEAD_CHARACTERS)) is not None:
            cp_id = found["cp_id"]
        else:
            return None
        received = found["word"].startswith("rec")
        return Frame(time_in(line[: found.start()], zone), cp_id, received, checked(line[found.end() :]))


def _name(before: str) -> str:
    """Return the charge point from what comes before the colon."""
    _, logger, name = before.rpartition(_LOGGER)
    if logger:
        return name.strip()
    name = before.rsplit(maxsplit=1)[-1] if before.strip() else ""
    begin = _LEVEL.match(name)
    return name[begin.end() :] if begin else name
