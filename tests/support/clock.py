"""The time of a central system under test."""

from datetime import UTC, datetime

NS = 1_000_000_000


class Clock:
    """Unix nanoseconds, moved by hand: no time passes of itself. It counts from `began_ts`, Unix seconds."""

    def __init__(self, began_ts: float) -> None:
        self.began_ts = began_ts
        self._began_ns = round(began_ts * NS)
        self.now_ns = self._began_ns

    def __call__(self) -> int:
        return self.now_ns

    def be_at(self, seconds: float) -> None:
        self.now_ns = self._began_ns + round(seconds * NS)

    def at(self, seconds: float) -> str:
        """That moment as a charger tells it."""
        return datetime.fromtimestamp(self.began_ts + seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
