"""The dialect of OCPP 2.0.1. It owns nothing but its name and commands; messages are in `v2`."""

from wattspan.ocppj.frames import FRAMING_201
from wattspan.simulator.dialects.v2 import V2
from wattspan.simulator.dialects.v2_commands import COMMANDS

V201 = V2(name="2.0.1", subprotocol="ocpp2.0.1", framing=FRAMING_201, commands=COMMANDS)
