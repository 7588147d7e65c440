"""Numbers from blocks that the nodes of a cluster are given: unique in the fleet, but in no order. Pure: no I/O."""

from collections import deque
from collections.abc import Callable

from wattspan.errors import StoreUnavailable


class IdBlock:
    """Numbers that this node may assign. When `low` are left, `on_low` is called, whose task it is to add more.

    The spare ones are assigned while no others are left: in a burst, and while the database is away.
    """

    __slots__ = ("_ranges", "_spare", "left", "low", "on_low")

    def __init__(self, low: int = 0, on_low: Callable[[], None] = lambda: None) -> None:
        self.low = low
        self.on_low = on_low
        self.left = 0
        """How many numbers are left, without the spare ones."""
        self._ranges: deque[list[int]] = deque()
        self._spare: deque[list[int]] = deque()

    def add(self, first: int, size: int, *, spare: bool = False) -> None:
        """Add `size` numbers from `first` on."""
        (self._spare if spare else self._ranges).append([first, first + size])
        self.left += 0 if spare else size

    @property
    def has_spare(self) -> bool:
        """Return whether spare numbers are left."""
        return bool(self._spare)

    def take(self) -> int:
        """Return the next number. Raises StoreUnavailable if none is left."""
        ranges = self._ranges or self._spare
        if not ranges:
            raise StoreUnavailable("no numbers for new transactions are left, and the database gives none now")
        if ranges is self._ranges:
            self.left -= 1
        current = ranges[0]
        number = current[0]
        current[0] += 1
        if current[0] == current[1]:
            ranges.popleft()
        if self.left <= self.low:
            self.on_low()
        return number


class IdBlocks:
    """The numbers of a node: transaction numbers of ours, and transactionIds of OCPP 1.6."""

    __slots__ = ("numbers", "transaction_ids")

    def __init__(self, numbers: IdBlock, transaction_ids: IdBlock) -> None:
        self.numbers = numbers
        self.transaction_ids = transaction_ids
