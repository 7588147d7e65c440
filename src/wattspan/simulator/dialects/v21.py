"""OCPP 2.1: what it changes over 2.0.1 for this charge point."""

from typing import TYPE_CHECKING

from wattspan.simulator.dialects import v2_commands
from wattspan.simulator.dialects.base import says
from wattspan.simulator.dialects.v2 import V2
from wattspan.simulator.link import Answer, Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

_ERROR = 4
"""2.1 Part 2, MonitorType severity: an error, not yet critical."""


def _get_tariffs(_cp: "ChargePoint", _call: Payload) -> Answer:
    """It has none of its own, and none is set."""
    return says("NoTariff")


V21 = V2(
    name="2.1",
    subprotocol="ocpp2.1",
    commands={**v2_commands.COMMANDS, "GetTariffs": _get_tariffs},
    severity=_ERROR,
)
