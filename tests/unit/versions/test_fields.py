from typing import Any

import pytest

from wattspan.versions import fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ("7", 7),
        (7.0, 7),
        (7.5, None),
        (True, None),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, None),
        (10**40, None),
        ("1e40", None),
        ([], None),
    ],
)
def test_a_whole_number_is_one_that_a_database_takes(value: Any, expected: int | None) -> None:
    """Found by `make fuzz`: a reservationId of 41 digits sent the whole transaction to the table `unwritable`."""
    assert fields.whole(value) == expected
