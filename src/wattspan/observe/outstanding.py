"""`Outstanding`: the CALLs of one direction that wait for their answer, in the order in which they were sent."""

from collections.abc import Iterator

from wattspan.observe.exchanges import Exchange
from wattspan.ocppj.frames import MessageId


class Outstanding:
    """CALLs by message id. Nearly always there is one at most, so they are in a list."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[tuple[str, Exchange]] = []
        """(message id as text, exchange), for callers that only look at it: there is a look for each frame."""

    def add(self, message_id: MessageId, exchange: Exchange) -> None:
        """Add a CALL. One with the same id, as in a retry, stays: each gets an answer of its own."""
        self.entries.append((message_id if type(message_id) is str else str(message_id), exchange))

    def pop(self, message_id: MessageId) -> Exchange | None:
        """Remove and return the oldest CALL of that id, or None. Ids match as text: some peers send numbers."""
        wanted = message_id if type(message_id) is str else str(message_id)
        entries = self.entries
        if len(entries) == 1 and entries[0][0] == wanted:
            return entries.pop()[1]
        for index, (known, exchange) in enumerate(entries):
            if known == wanted:
                del entries[index]
                return exchange
        return None

    def discard(self, exchange: Exchange) -> None:
        """Remove a CALL, if it still waits."""
        self.entries = [entry for entry in self.entries if entry[1] is not exchange]

    def pop_oldest(self) -> Exchange:
        """Remove and return the oldest CALL; there must be one."""
        return self.entries.pop(0)[1]

    def pop_expired(self, before_ns: int) -> Iterator[Exchange]:
        """Remove and yield the CALLs that were sent before `before_ns`."""
        while self.entries and self.entries[0][1].at_ns < before_ns:
            yield self.pop_oldest()

    def pop_all(self) -> Iterator[Exchange]:
        """Remove and yield all CALLs."""
        while self.entries:
            yield self.pop_oldest()
