"""Faults of a request as text that names the field and what is allowed: "password: at least 12 characters".

The API and the models of the database backend word them as pydantic does; these are shorter.
"""

import re
from collections.abc import Iterable

_WORDINGS = (
    (r"^Value should have at (least|most) (\d+) items? .*$", r"at \1 \2 characters"),  # of a secret
    (r"^\w+ should have at (least|most) (\d+ \w+).*$", r"at \1 \2"),
    (r"^String should match pattern .*$", "contains characters that are not allowed"),
    (r"^(\w+: |)Input should be ", r"\1must be "),
    (r"^Field required$", "is required"),
    (r"^Value error, ", ""),
)


def field_name(path: str, whole: str) -> str:
    """Return the field that a JSON pointer names, as "chargingProfile.stackLevel"; `whole` if it names everything."""
    if not path:
        return whole
    return path.removeprefix("/").replace("/", ".").replace("~1", "/").replace("~0", "~")


def join_faults(faults: Iterable[tuple[str, str]]) -> str:
    """Return one line for (field, message) pairs."""
    return "; ".join(f"{field}: {_shorten(message)}" for field, message in faults)


def _shorten(message: str) -> str:
    for pattern, replacement in _WORDINGS:
        message = re.sub(pattern, replacement, message)
    return message
