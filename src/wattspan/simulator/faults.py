"""Fault injection: which faults exist, how often they occur, and the random draw.

It owns the decisions; `session`, `charge_point` and `rpc` carry them out. It must not know OCPP or the connection.
"""

from dataclasses import dataclass
from random import Random

_ERROR_CODES = (
    "ConnectorLockFailure", "EVCommunicationError", "GroundFailure", "HighTemperature", "OverCurrentFailure",
    "OverVoltage", "PowerMeterFailure", "PowerSwitchFailure", "ReaderFailure", "UnderVoltage", "WeakSignal",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRates:
    """Probability of each fault, from 0 (the default: it never occurs) to 1."""

    drop: float = 0.0
    """Per session: the TCP connection is aborted during it."""
    offline: float = 0.0
    """Per session: it runs without a connection and its messages are sent later."""
    error: float = 0.0
    """Per session: a fault of the connector ends it, with a StatusNotification that has an error code."""
    repeat: float = 0.0
    """Per transaction message: it is sent again after its answer, with the same content and a new message id."""
    late_answer: float = 0.0
    """Per command: its answer is delayed by `late_answer_s`."""
    late_answer_s: float = 5.0
    """Real seconds."""
    clock_off: float = 0.0
    """Per charge point: its clock is wrong, by 5 minutes to a day."""

    def __post_init__(self) -> None:
        """Raise ValueError for a rate that is not a probability."""
        for name in ("drop", "offline", "error", "repeat", "late_answer", "clock_off"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and 1")

    @classmethod
    def all(cls, rate: float) -> "FaultRates":
        """Return rates at which every fault is equally likely."""
        return cls(drop=rate, offline=rate, error=rate, repeat=rate, late_answer=rate, clock_off=rate)

    def clock_offset_s(self, rng: Random) -> float:
        """Return how many seconds a charge point's clock is ahead of real time; 0: it is correct."""
        wrong, offset_s = rng.random() < self.clock_off, rng.choice((-86_400, -3_600, -300, 300, 3_600, 86_400))
        return float(offset_s) if wrong else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFaults:
    """The faults of one session; times in simulated seconds from its start, None: never."""

    drop_after_s: float | None
    error_after_s: float | None
    error_code: str
    offline: bool

    @classmethod
    def draw(cls, rng: Random, rates: FaultRates, stay_s: float) -> "SessionFaults":
        """Return the faults of a session that lasts `stay_s` simulated seconds."""
        drop, error, offline = (rng.random() < rate for rate in (rates.drop, rates.error, rates.offline))
        times_s = rng.uniform(0.05, 0.9) * stay_s, rng.uniform(0.05, 0.9) * stay_s
        return cls(
            drop_after_s=times_s[0] if drop else None,
            error_after_s=times_s[1] if error else None,
            error_code=rng.choice(_ERROR_CODES),
            offline=offline,
        )
