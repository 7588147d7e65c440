"""Whether every label on the page is one that the catalogue's bounds allow."""

import re
from collections import defaultdict
from collections.abc import Iterable

from support.schema_files import FILES, actions
from wattspan.domain.model import MAX_CONNECTORS
from wattspan.domain.status import MAX_VENDOR_ERRORS, STATES

ACTIONS = {"other", *(action for version in FILES for action in actions(version))}
MAX_ERRORS = 60
"""OCPP's error codes and CALLERROR codes and problem variables, beside a vendor's own."""
WORDS: dict[str, set[str]] = {
    "message_type": ACTIONS,
    "action": ACTIONS,
    "direction": {"in", "out"},
    "limit": {"connectors", "transactions"},
    "state": set(STATES),
    "protocol": set(FILES),
    "status": {
        "Accepted", "Blocked", "ConcurrentTx", "Expired", "Invalid", "NoCredit", "NotAllowedTypeEVSE",
        "NotAtThisLocation", "NotAtThisTime", "Unknown", "other",
    },
}  # fmt: skip
COUNTS = {"connector_id": MAX_CONNECTORS + 1, "error_type": MAX_VENDOR_ERRORS + MAX_ERRORS}
"""How many different values a charge point may have."""
LONGEST = 64
"""Characters of a label whose words are a charger's."""


def faults(page: Iterable[str]) -> list[str]:
    """What is wrong, a line each; empty: nothing."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    found: set[str] = set()
    for line in page:
        if line.startswith("#"):
            continue
        name = line.partition("{")[0]
        labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line))
        for label, value in labels.items():
            seen[label, labels.get("cp_id", "")].add(value)
            if label in WORDS and value not in WORDS[label]:
                found.add(f"{name}: {label}={value!r}")
            if len(value) > LONGEST:
                found.add(f"{name}: {label} of {len(value)} characters")
    for (label, cp_id), values in seen.items():
        if len(values) > COUNTS.get(label, len(values)):
            found.add(f"{cp_id}: {len(values)} values of {label}")
    return sorted(found)
