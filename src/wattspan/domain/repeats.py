"""Meter values that come again: a charger that saw no answer sends the message anew, under another id (OCPP 1.6 §4.7).

It owns what makes two messages the same. A charger waits for each answer, so only the last message can be repeated.
"""

from collections.abc import Sequence
from hashlib import blake2b

from wattspan.domain.events import Payload, Reading


class LastMeterValues:
    """The readings of the last message about a connector, kept to recognise their repeat.

    Once they are stored, or after a restart, only their digest is known: a charge point that is quiet holds no message
    in memory. "" is: none. The charger's time of the first, where it is known, settles nearly all without a digest.
    """

    __slots__ = ("_digest", "_readings", "_told_ts")

    def __init__(self, digest: str = "") -> None:
        self._readings: tuple[Reading, ...] = ()
        self._digest = digest
        self._told_ts: float | None = None

    def __repr__(self) -> str:
        return f"LastMeterValues({self.digest!r})"

    @property
    def digest(self) -> str:
        """Made when asked for, not with each message; it then stands for the readings, which are let go."""
        if self._readings:
            self._digest = digest_of([(reading.charger_ts, reading.samples) for reading in self._readings])
            self._told_ts = self._readings[0].charger_ts
            self._readings = ()
        return self._digest

    def are(self, readings: tuple[Reading, ...]) -> bool:
        """Whether `readings` say nothing new. Without a charger's time two equal ones are two measurements."""
        if self._readings:
            # Nearly always settled by the first number, the charger's time.
            return readings == self._readings and _has_times(readings)
        if not self._digest or (self._told_ts is not None and readings and readings[0].charger_ts != self._told_ts):
            return False
        return LastMeterValues.of(readings).digest == self._digest and _has_times(readings)

    def become(self, readings: tuple[Reading, ...]) -> None:
        """Another message came."""
        self._readings, self._digest = readings, ""

    def forget(self) -> None:
        """A transaction began: what it measures is its own, whatever was measured before."""
        self._readings, self._digest = (), ""

    @classmethod
    def of(cls, readings: tuple[Reading, ...]) -> "LastMeterValues":
        last = cls()
        last.become(readings)
        return last


def digest_of(message: Sequence[tuple[float | None, Sequence[Payload]]]) -> str:
    """A digest of (charger's time, samples) of each reading. It does not depend on the order of a sample's fields."""
    content = [(told_ts, [_in_order(sample) for sample in samples]) for told_ts, samples in message]
    return blake2b(repr(content).encode(errors="replace"), digest_size=16).hexdigest()


def _in_order(sample: object) -> object:
    """A sample's fields by name; what a charger sent in its place is left as it is."""
    return sorted(sample.items()) if isinstance(sample, dict) else sample


def _has_times(readings: tuple[Reading, ...]) -> bool:
    return all(reading.charger_ts is not None for reading in readings)
