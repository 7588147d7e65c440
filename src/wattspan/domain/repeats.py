"""Repeated meter values: a charger that saw no answer sends the message again under another id (OCPP 1.6 §4.7).

It owns what makes two messages equal. A charger waits for each answer, so only the last message can be repeated.
"""

from collections.abc import Sequence
from hashlib import blake2b

from wattspan.domain.events import Payload, Reading


class LastMeterValues:
    """The readings of the last message about a connector, kept to recognise its repeat.

    Once they are stored, or after a restart, only their digest is known, so an idle charge point holds no message in
    memory. "": there is no last message. The charger's time of the first reading, where it is known, decides nearly all
    cases without a digest.
    """

    __slots__ = ("_digest", "_first_ts", "_readings")

    def __init__(self, digest: str = "") -> None:
        self._readings: tuple[Reading, ...] = ()
        self._digest = digest
        self._first_ts: float | None = None

    def __repr__(self) -> str:
        return f"LastMeterValues({self.digest!r})"

    @property
    def digest(self) -> str:
        """The digest, computed on demand. It then replaces the readings, which are released."""
        if self._readings:
            self._digest = digest_of([(reading.charger_ts, reading.samples) for reading in self._readings])
            self._first_ts = self._readings[0].charger_ts
            self._readings = ()
        return self._digest

    def equals(self, readings: tuple[Reading, ...], digest: str = "") -> bool:
        """Return whether `readings` repeat the last message; readings without a charger's time never do.

        `digest` is that of `readings`, if it is known.
        """
        if self._readings:
            # Nearly always decided by the first number, the charger's time.
            return readings == self._readings and _has_times(readings)
        if not self._digest or (self._first_ts is not None and readings and readings[0].charger_ts != self._first_ts):
            return False
        return (digest or LastMeterValues.of(readings).digest) == self._digest and _has_times(readings)

    def replace(self, readings: tuple[Reading, ...], digest: str = "") -> None:
        """Make `readings` the last message. With their `digest` they are not kept."""
        if digest:
            self._readings, self._digest = (), digest
            self._first_ts = readings[0].charger_ts if readings else None
        else:
            self._readings, self._digest = readings, ""

    def clear(self) -> None:
        """Forget the last message, because a transaction began and its readings repeat none of the earlier ones."""
        self._readings, self._digest = (), ""

    @classmethod
    def of(cls, readings: tuple[Reading, ...]) -> "LastMeterValues":
        """Return a record whose last message has `readings`."""
        last = cls()
        last.replace(readings)
        return last


def digest_of(message: Sequence[tuple[float | None, Sequence[Payload]]]) -> str:
    """Return a digest of each reading's (charger's time, samples). The order of a sample's fields does not matter."""
    digest = blake2b(b"[", digest_size=16)
    before = ""
    for charger_ts, samples in message:  # one by one: the text of a large message would hold the interpreter's lock
        content = (charger_ts, [_in_order(sample) for sample in samples])
        digest.update(f"{before}{content!r}".encode(errors="replace"))
        before = ", "
    digest.update(b"]")
    return digest.hexdigest()


def _in_order(sample: object) -> object:
    """Return a sample's fields sorted by name, and anything that is no object as it is."""
    return sorted(sample.items()) if isinstance(sample, dict) else sample


def _has_times(readings: tuple[Reading, ...]) -> bool:
    return all(reading.charger_ts is not None for reading in readings)
