"""Which messages of a transaction were met, by the numbers its charger gives them. It owns gaps and repeats."""

from itertools import pairwise

MAX_RUNS = 100
"""Stretches without a gap that are kept apart; a charger that numbers at random must not fill the memory."""


class SeqNos:
    """The numbers met so far, as stretches. In order, which is nearly always, adding one is an increment."""

    __slots__ = ("_first", "_older", "highest")

    def __init__(self) -> None:
        self._older: list[tuple[int, int]] = []  # below the newest stretch, ascending
        self._first = 0
        self.highest = -1
        """-1: none was met."""

    @classmethod
    def parse(cls, text: str) -> "SeqNos":
        """Read what `str` wrote."""
        met = cls()
        runs = [(int(first), int(last)) for first, _, last in (run.partition("-") for run in text.split())]
        if runs:
            *met._older, (met._first, met.highest) = runs
        return met

    def __str__(self) -> str:
        runs = [] if self.highest < 0 else [*self._older, (self._first, self.highest)]
        return " ".join(f"{first}-{last}" for first, last in runs)

    def __repr__(self) -> str:
        return f"SeqNos({self})"

    @property
    def missing(self) -> int:
        """How many numbers were skipped between the first met and the highest, and have not come.

        Those below the first are not counted: some chargers go on with the numbers of the transaction before.
        """
        if not self._older:
            return 0
        runs = [*self._older, (self._first, self.highest)]
        return sum(following[0] - run[1] - 1 for run, following in pairwise(runs))

    def add(self, seq_no: int) -> bool:
        """Meet a number, 0 or higher. False: it was met before."""
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
