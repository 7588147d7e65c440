"""What a node knows of connections to others."""

from typing import Any

import pytest

from wattspan.cluster.presence import PresenceTable
from wattspan.errors import RedisUnavailable


class BusWithoutRedis:
    node = "north"
    prefix = "fleet"

    def on_return(self, _call: Any) -> None:
        pass


async def test_without_the_list_of_nodes_nobody_is_taken_for_disconnected() -> None:
    """While Redis is away, the list of nodes is empty: that no node has a charge point would be wrong."""
    bus: Any = BusWithoutRedis()
    presence = PresenceTable(bus, lambda: ())
    assert list(presence.nodes) == []
    with pytest.raises(RedisUnavailable):
        await presence.find("CP1")
