"""Which messages of a transaction have arrived, by their sequence numbers (OCPP 2.x seqNo): gaps and repeats."""

from itertools import pairwise

MAX_RUNS = 100
"""Maximum number of runs without a gap: a charger that numbers at random must not fill the memory."""


class SeqNos:
    """The sequence numbers received so far, as runs. In order, which is nearly always, adding one is an increment."""

    __slots__ = ("_first", "_older", "highest")

    def __init__(self) -> None:
        self._older: list[tuple[int, int]] = []  # below the newest run, ascending
        self._first = 0
        self.highest = -1
        """-1: none was received."""

    @classmethod
    def parse(cls, text: str) -> "SeqNos":
        """Return the numbers that `str` wrote as `text`."""
        received = cls()
        runs = [(int(first), int(last)) for first, _, last in (run.partition("-") for run in text.split())]
        if runs:
            *received._older, (received._first, received.highest) = runs
        return received

    def __str__(self) -> str:
        runs = [] if self.highest < 0 else [*self._older, (self._first, self.highest)]
        return " ".join(f"{first}-{last}" for first, last in runs)

    def __repr__(self) -> str:
        return f"SeqNos({self})"

    @property
    def missing(self) -> int:
        """The number of missing sequence numbers between the first received and the highest.

        Those below the first are not counted: some chargers continue with the numbers of the transaction before.
        """
        if not self._older:
            return 0
        runs = [*self._older, (self._first, self.highest)]
        return sum(following[0] - run[1] - 1 for run, following in pairwise(runs))

    def add(self, seq_no: int) -> bool:
        """Add a number, 0 or higher. Return False if it was received before."""
        if seq_no == self.highest + 1 and seq_no:
            self.highest = seq_no
            return True
        if self.highest < 0:
            self._first = self.highest = seq_no
            return True
        if self._first <= seq_no <= self.highest:
            return False
        return self._add_anywhere(seq_no)

    def _add_anywhere(self, seq_no: int) -> bool:
        runs = [*self._older, (self._first, self.highest)]
        if any(first <= seq_no <= last for first, last in runs):
            return False
        joined: list[tuple[int, int]] = []
        for first, last in sorted([*runs, (seq_no, seq_no)]):
            if joined and first == joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], last)
            else:
                joined.append((first, last))
        *self._older, (self._first, self.highest) = joined[-MAX_RUNS:]
        return True
