"""A car that charges with alternating current: how much of the offered current it takes.

Pure physics in simulated seconds; it must not know connectors, transactions or OCPP.
"""

from dataclasses import dataclass

VOLTAGE_V = 230.0
MIN_CURRENT_A = 6.0
"""Below this current a car does not charge (IEC 61851-1)."""
_RAMP_A_PER_S = 0.5
_TAPER_FROM_SOC = 0.8
_TAPER_TO = 0.15
"""Share of its maximum current that a car takes when nearly full."""


@dataclass(slots=True, kw_only=True)
class Vehicle:
    """A car. `soc` is the state of charge from 0 to 1; `current_a` and `max_current_a` are per phase."""

    battery_wh: float
    phases: int
    max_current_a: float
    soc: float
    current_a: float = 0.0

    @property
    def full(self) -> bool:
        """Whether the battery is full."""
        return self.soc >= 1.0

    @property
    def power_w(self) -> float:
        """Current power over all phases, in W."""
        return self.current_a * VOLTAGE_V * self.phases

    def wanted_a(self, offered_a: float) -> float:
        """Return the current per phase it ramps to: the lowest of the offer, its maximum and the taper near full."""
        if self.full or offered_a < MIN_CURRENT_A:
            return 0.0
        filling = max(0.0, self.soc - _TAPER_FROM_SOC) / (1 - _TAPER_FROM_SOC)
        return min(offered_a, self.max_current_a * (1 - filling * (1 - _TAPER_TO)))

    def charge(self, seconds: float, offered_a: float) -> float:
        """Charge for `seconds` and return the Wh taken. Steps are a minute at most, so that the taper keeps up."""
        taken_wh = 0.0
        while seconds > 0:
            step_s = min(seconds, 60.0)
            seconds -= step_s
            taken_wh += self._step(step_s, offered_a)
        return taken_wh

    def _step(self, seconds: float, offered_a: float) -> float:
        wanted_a = self.wanted_a(offered_a)
        initial_a = min(self.current_a, wanted_a)  # a car reduces current at once and raises it gradually
        ramp_s = min(seconds, (wanted_a - initial_a) / _RAMP_A_PER_S)
        self.current_a = initial_a + ramp_s * _RAMP_A_PER_S
        ampere_s = (initial_a + self.current_a) / 2 * ramp_s + self.current_a * (seconds - ramp_s)
        taken_wh = min(ampere_s * VOLTAGE_V * self.phases / 3600, (1 - self.soc) * self.battery_wh)
        self.soc = min(1.0, self.soc + taken_wh / self.battery_wh)
        if self.soc > 1.0 - 1e-9:
            self.soc, self.current_a = 1.0, 0.0
        return taken_wh
