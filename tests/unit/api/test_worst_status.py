"""A charge point as a whole is as bad as the worst of its connectors, and says how many are in which status."""

import pytest

from wattspan.api.filters import status_counts, worst_status
from wattspan.domain.model import ChargePoint


def charge_point(last: str | None, **connectors: str | None) -> ChargePoint:
    """A charge point whose last reported status is `last`; keywords: `c1="Faulted"`."""
    cp = ChargePoint(cp_id="CP1", known_since_ts=1.0, status=last)
    for name, status in connectors.items():
        cp.connector(name.removeprefix("c")).status = status
    return cp


@pytest.mark.parametrize(
    ("last", "connectors", "expected"),
    [
        (None, {}, None),
        ("Available", {"c0": "Available"}, "Available"),
        ("Available", {"c1": "Faulted", "c2": "Available"}, "Faulted"),
        ("Available", {"c0": "Available", "c1": "Charging", "c2": "Available"}, "Charging"),
        ("Charging", {"c0": "Unavailable", "c1": "Charging"}, "Unavailable"),
        ("Available", {"c1": "SuspendedEV", "c2": "Preparing"}, "SuspendedEV"),
        ("Available", {"c1": "Vendor1", "c2": "Charging"}, "Vendor1"),
        ("Available", {"c1": None, "c2": "Reserved"}, "Reserved"),
        ("Faulted", {"c1": "Available"}, "Available"),
    ],
)
def test_the_worst_status_stands_for_the_charge_point(
    last: str | None, connectors: dict[str, str | None], expected: str | None
) -> None:
    assert worst_status(charge_point(last, **connectors)) == expected


def test_connectors_are_counted_by_status_without_the_charge_point_itself() -> None:
    cp = charge_point("Available", c0="Available", c1="Available", c2="Faulted", c3="Available", c4=None)
    assert status_counts(cp) == {"Faulted": 1, "Available": 2}
