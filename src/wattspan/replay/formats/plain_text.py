"""Plain text: a time, a charge point, a direction and a message, with anything that separates them."""

import re
from datetime import tzinfo

from wattspan.replay.formats.base import HEAD_CHARACTERS, checked, direction, time_in
from wattspan.replay.records import Frame, Record

_FRAME = re.compile(r"\[\s*[2-6]\s*,")
_WORD = re.compile(r"[<>]+|[^\s,;|:=()\[\]\"'<>]+")
_NO_ID = re.compile(r"[\d:.,+TZ/-]+|DEBUG|INFO|WARN(?:ING)?|ERROR|TRACE|ocpp|message", re.IGNORECASE)


class PlainText:
    """`2026-05-01T10:00:00Z CP1 > [2, …]`. "<" and "in" are messages of the charge point."""

    name = "text"
    description = "lines with a time, a charge point, a direction (in, out, received, sent, <, >, …) and a message"
    is_json = False

    def parse(self, line: str, zone: tzinfo) -> Record | None:
        found = _FRAME.search(line, 0, HEAD_CHARACTERS)
        if found is None:
            return None
        before = line[: found.start()]
        from_charge_point, cp_id = None, ""
        for word in _WORD.findall(before):
            if from_charge_point is None and (known := direction(word)) is not None:
                from_charge_point = known
            elif not cp_id and not _NO_ID.fullmatch(word):
                cp_id = word
        if from_charge_point is None:
            return None
        return Frame(time_in(before, zone), cp_id, from_charge_point, checked(line[found.start() :]))
