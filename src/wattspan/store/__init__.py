"""The database: what must not be lost. It knows the domain and nothing above it."""

from wattspan.store.journal.journal import Journal
from wattspan.store.store import IdTag, Registration, Reservation, Store, StoredReading

__all__ = ["IdTag", "Journal", "Registration", "Reservation", "Store", "StoredReading"]
