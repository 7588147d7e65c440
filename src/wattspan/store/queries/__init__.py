"""Queries on the tables, one module a noun. Each is a function that takes a connection; `Store` chooses the thread."""

from collections.abc import Callable
from typing import Any

Check = Callable[[Any], None]
"""Precondition of a change: called with the stored record, or None if there is none; raises to cancel the change."""
