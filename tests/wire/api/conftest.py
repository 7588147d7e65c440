"""Operators beside the central system."""

from collections.abc import AsyncIterator

import pytest

from support.central import Csms
from support.operators import Operator, admin


@pytest.fixture
async def operator(csms: Csms) -> AsyncIterator[Operator]:
    """The admin, logged in."""
    async with admin(csms) as found:
        yield found
