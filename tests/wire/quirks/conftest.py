"""A central system whose time the test moves."""

import pytest

from support.clock import Clock

BEGAN_TS = 1_772_438_400.0
"""2026-03-02T08:00:00Z."""


@pytest.fixture
def clock() -> Clock:
    """Its seconds count from 2026-03-02T08:00:00Z."""
    return Clock(BEGAN_TS)


@pytest.fixture
async def timed(make_csms, clock):
    """A central system that lives by `clock`."""
    return await make_csms(clock_ns=clock, ping_interval_s=0)
