"""SteVe's log: a line of its `WebSocketLogger` for each message, connection and close."""

import re
from datetime import tzinfo

from wattspan.replay.formats.base import checked, time_in
from wattspan.replay.records import Closed, Connected, Frame, Record

_LINE = re.compile(r"\[chargeBoxId=(?P<cp_id>[^,\]]+),\s+sessionId=[^\]]*\]\s+(?P<text>.*)", re.DOTALL)
_CODE = re.compile(r"code=(\d+)(?:, reason=(.*?)\]?)?\s*$")


class SteVe:
    """The log of SteVe's central system, file or console, with any pattern that has a date and a time of day."""

    name = "steve"
    description = "SteVe's log"
    is_json = False

    def parse(self, line: str, zone: tzinfo) -> Record | None:
        found = _LINE.search(line)
        if found is None:
            return None
        ts, cp_id, text = time_in(line[: found.start()], zone), found["cp_id"], found["text"]
        word, _, rest = text.partition(":")
        if word in ("Received", "Sending"):
            return Frame(ts, cp_id, word == "Received", checked(rest))
        if text.startswith("Connection is established"):
            return Connected(ts, cp_id)
        if text.startswith("Connection is closed"):
            code = _CODE.search(text)
            reason = code[2] or "" if code else ""
            return Closed(ts, cp_id, int(code[1]) if code else None, "" if reason == "null" else reason)
        return None
