"""The dialect of OCPP 2.1. It owns the differences from 2.0.1; messages are in `v2`."""

from typing import TYPE_CHECKING

from wattspan.ocppj.frames import FRAMING_21
from wattspan.simulator.dialects import v2_commands
from wattspan.simulator.dialects.base import status_answer
from wattspan.simulator.dialects.v2 import V2
from wattspan.simulator.rpc import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

_ERROR = 4
"""Severity Error of a monitor (2.1 Part 2)."""


def _get_tariffs(_cp: "ChargePoint", _call: Payload) -> Answer:
    """Return NoTariff: no tariffs can be installed."""
    return status_answer("NoTariff")


V21 = V2(
    name="2.1",
    subprotocol="ocpp2.1",
    framing=FRAMING_21,
    commands={**v2_commands.COMMANDS, "GetTariffs": _get_tariffs},
    severity=_ERROR,
)
