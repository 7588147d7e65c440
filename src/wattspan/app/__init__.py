"""The composition root: which parts the central system is built of, and in which order they start and stop."""

from wattspan.app.central_system import CentralSystem

__all__ = ["CentralSystem"]
