"""What a connection proves about security profiles."""

from typing import Any

import pytest

from wattspan.csms.security.profiles import proven
from wattspan.store.records import Registration


def cp(**fields: Any) -> Registration:
    return Registration(cp_id="CP1", registered_ts=1.0, secret=None, **fields)


@pytest.mark.parametrize(
    ("known", "profile", "changed"),
    [
        (None, 0, {}),
        (None, 1, {}),
        (None, 3, {"security_profile": 3, "profile_lowered": False}),
        (cp(), 1, {}),
        (cp(), 2, {"security_profile": 2, "profile_lowered": False}),
        (cp(security_profile=2), 2, {}),
        (cp(security_profile=2), 3, {"security_profile": 3, "profile_lowered": False}),
        (cp(pending_profile=1), 0, {}),
        (cp(pending_profile=1), 1, {"pending_profile": None, "security_profile": 1, "profile_lowered": False}),
        (cp(pending_profile=3, security_profile=1), 1, {}),
        (cp(pending_profile=3), 2, {"security_profile": 2, "profile_lowered": False}),
        (cp(security_profile=1, profile_lowered=True), 3, {}),
        (cp(security_profile=1, profile_lowered=True), 1, {"profile_lowered": False}),
        (cp(security_profile=0, profile_lowered=True), 2, {}),
        (
            cp(security_profile=1, profile_lowered=True, pending_profile=2),
            2,
            {"pending_profile": None, "security_profile": 2, "profile_lowered": False},
        ),
    ],
)
def test_the_columns_that_a_connection_changes(known, profile, changed):
    assert proven(known, profile) == changed
