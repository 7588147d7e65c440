"""A car at an AC outlet: how much it takes of what it is offered. Pure physics, in simulated seconds."""

from dataclasses import dataclass

VOLTAGE_V = 230.0
LEAST_A = 6.0
"""Below it a car does not charge (IEC 61851-1)."""
_RAMP_A_PER_S = 0.5
_TAPER_FROM = 0.8
_TAPER_TO = 0.15
"""Share of its most that a car takes when all but full."""


@dataclass(slots=True, kw_only=True)
class Vehicle:
    """`soc` is the state of charge from 0 to 1, `current_a` what each of its `phases` takes now."""

    battery_wh: float
    phases: int
    most_a: float
    soc: float
    current_a: float = 0.0

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self.soc >= 1.0

    @property
    def power_w(self) -> float:
        """What it takes now, all phases."""
        return self.current_a * VOLTAGE_V * self.phases

    def wanted_a(self, offered_a: float) -> float:
        """The current it heads for: the offer, its own most, and the taper of a battery nearly full."""
        if self.full or offered_a < LEAST_A:
            return 0.0
        filling = max(0.0, self.soc - _TAPER_FROM) / (1 - _TAPER_FROM)
        return min(offered_a, self.most_a * (1 - filling * (1 - _TAPER_TO)))

    def charge(self, seconds: float, offered_a: float) -> float:
        """Lets `seconds` pass and returns the Wh taken. Steps of a minute at most, or the taper would lag behind."""
        taken_wh = 0.0
        while seconds > 0:
            step_s = min(seconds, 60.0)
            seconds -= step_s
            taken_wh += self._step(step_s, offered_a)
        return taken_wh

    def _step(self, seconds: float, offered_a: float) -> float:
        wanted_a = self.wanted_a(offered_a)
        began_a = min(self.current_a, wanted_a)  # a car lets go at once, and comes up gently
        ramp_s = min(seconds, (wanted_a - began_a) / _RAMP_A_PER_S)
        self.current_a = began_a + ramp_s * _RAMP_A_PER_S
        ampere_s = (began_a + self.current_a) / 2 * ramp_s + self.current_a * (seconds - ramp_s)
        taken_wh = min(ampere_s * VOLTAGE_V * self.phases / 3600, (1 - self.soc) * self.battery_wh)
        self.soc = min(1.0, self.soc + taken_wh / self.battery_wh)
        if self.soc > 1.0 - 1e-9:
            self.soc, self.current_a = 1.0, 0.0
        return taken_wh
