"""Virtual charge points for any central system. Knows OCPP-J and how cars charge; knows nothing of our own server.

Time: cars, drivers and cables live in simulated time, `time_factor` times as fast as the real one, so energy grows that
much faster. What is sent carries real timestamps, and what the protocol waits for (heartbeats, back-off, time-outs,
periods of charging profiles) runs in real time: for the central system it is simply now, and the meters are quick.

How a charge point is spoken of inside is OCPP 1.6's way (`facts`, `configuration`, `profiles`), because it tells most
apart; what goes over the wire is a dialect's (`dialects`), a file a version. Cars, outlets, faults, ledger and clock
know no version.
"""

from wattspan.simulator.clock import Clock
from wattspan.simulator.dialects import DIALECTS
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.habits import Habits
from wattspan.simulator.ledger import Figures, Ledger
from wattspan.simulator.simulation import MIX, Progress, Simulation

__all__ = ["DIALECTS", "MIX", "Clock", "FaultRates", "Figures", "Habits", "Ledger", "Progress", "Simulation"]
