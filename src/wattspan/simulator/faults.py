"""What goes wrong, how often, and the dice for it. Decides only; the others do."""

from dataclasses import dataclass
from random import Random

_ERROR_CODES = (
    "ConnectorLockFailure", "EVCommunicationError", "GroundFailure", "HighTemperature", "OverCurrentFailure",
    "OverVoltage", "PowerMeterFailure", "PowerSwitchFailure", "ReaderFailure", "UnderVoltage", "WeakSignal",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRates:
    """Probabilities from 0 to 1; 0, the default, is a perfect world."""

    drop: float = 0.0
    """A session: the TCP connection is aborted in the middle of it."""
    offline: float = 0.0
    """A session: it runs without a connection and is told of later."""
    error: float = 0.0
    """A session: it ends by a fault of the connector, StatusNotification with an error code."""
    repeat: float = 0.0
    """A transaction message: sent once more after its answer, same content, new id."""
    late_answer: float = 0.0
    """A command: its answer takes `late_answer_s`."""
    late_answer_s: float = 5.0
    """Real seconds."""
    clock_off: float = 0.0
    """A charge point: its clock is wrong, by minutes up to a day."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is no probability."""
        for name in ("drop", "offline", "error", "repeat", "late_answer", "clock_off"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and 1")

    @classmethod
    def all(cls, rate: float) -> "FaultRates":
        """Everything goes wrong equally often."""
        return cls(drop=rate, offline=rate, error=rate, repeat=rate, late_answer=rate, clock_off=rate)

    def clock_offset_s(self, rng: Random) -> float:
        """How far a charge point's clock is off, in seconds; 0 for most."""
        wrong, offset_s = rng.random() < self.clock_off, rng.choice((-86_400, -3_600, -300, 300, 3_600, 86_400))
        return float(offset_s) if wrong else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFaults:
    """What will go wrong in one session; moments in simulated seconds from its start, None: never."""

    drop_after_s: float | None
    error_after_s: float | None
    error_code: str
    offline: bool

    @classmethod
    def draw(cls, rng: Random, rates: FaultRates, stay_s: float) -> "SessionFaults":
        """Draws for a session that lasts `stay_s`."""
        drop, error, offline = (rng.random() < rate for rate in (rates.drop, rates.error, rates.offline))
        moments = rng.uniform(0.05, 0.9) * stay_s, rng.uniform(0.05, 0.9) * stay_s
        return cls(
            drop_after_s=moments[0] if drop else None,
            error_after_s=moments[1] if error else None,
            error_code=rng.choice(_ERROR_CODES),
            offline=offline,
        )
