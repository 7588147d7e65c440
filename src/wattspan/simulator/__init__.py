"""Virtual charge points for any central system.

It owns the simulation of charge points, cars and drivers. It shares OCPP-J (`ocppj`) and the time format with
Wattspan's own server, and must not know anything else of it.

Two times run side by side. Cars, drivers and cables live in simulated time, which runs `time_factor` times as fast as
real time, so energy grows that much faster. Messages carry real timestamps, and the waits of the protocol (heartbeats,
back-off, time-outs, periods of charging profiles) run in real time.

Inside, state is named in OCPP 1.6's terms (`model`, `configuration`, `profiles`), because 1.6 distinguishes the most
statuses and stop reasons. `dialects` translates to each OCPP version, one module a version. Vehicles, connectors,
faults, ledger and clock are independent of the version.
"""

from wattspan.simulator.arrivals import ArrivalPattern
from wattspan.simulator.clock import Clock
from wattspan.simulator.dialects import DIALECTS
from wattspan.simulator.faults import FaultRates
from wattspan.simulator.initial_state import InitialConnector, InitialStates, SessionUnderWay
from wattspan.simulator.ledger import Figures, Ledger
from wattspan.simulator.model import Hardware
from wattspan.simulator.reachability import CentralSystemUnreachable
from wattspan.simulator.simulation import MIX, Progress, Simulation

__all__ = [
    "DIALECTS",
    "MIX",
    "ArrivalPattern",
    "CentralSystemUnreachable",
    "Clock",
    "FaultRates",
    "Figures",
    "Hardware",
    "InitialConnector",
    "InitialStates",
    "Ledger",
    "Progress",
    "SessionUnderWay",
    "Simulation",
]
