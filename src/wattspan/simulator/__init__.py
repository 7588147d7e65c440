"""Virtual charge points for any central system. Knows OCPP-J and how cars charge; knows nothing of our own server.

Time: cars, drivers and cables live in simulated time, `time_factor` times as fast as the real one, so energy grows that
much faster. What is sent carries real timestamps, and what the protocol waits for (heartbeats, back-off, time-outs,
periods of charging profiles) runs in real time: for the central system it is simply now, and the meters are quick.

OCPP 1.6 is known to `messages`, `commands`, `profiles` and `configuration` alone; another version is their like.
"""

from wattspan.simulator.clock import Clock
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.habits import Habits
from wattspan.simulator.ledger import Figures, Ledger
from wattspan.simulator.simulation import Progress, Simulation

__all__ = ["Clock", "FaultRates", "Figures", "Habits", "Ledger", "Progress", "Simulation"]
