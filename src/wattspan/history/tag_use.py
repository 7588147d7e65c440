"""Notes when and where id tags were last used, from the starts of sessions, and stores it beside the journal."""

import logging

from wattspan.domain import events as ev
from wattspan.domain.erased_token import ErasedToken
from wattspan.errors import StoreError
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.store import Store
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

MAX_WAITING = 50_000
BATCH_SIZE = 500


class TagUse:
    """The newest uses that are not stored yet. An `EventSink`, for the event loop's thread."""

    events: tuple[type[ev.Event], ...] = (ev.TransactionStarted, ev.TransactionDetailed)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, tuple[float, str]] = {}

    def put(self, event: ev.Event) -> None:
        """Note the id token of a session that starts."""
        id_token: str = getattr(event, "id_token", "")
        if id_token and len(self._waiting) < MAX_WAITING:
            self._waiting[id_token.casefold()] = (event.received_ts, event.cp_id)

    async def write(self) -> None:
        """Store the uses; what can't be stored now waits."""
        try:
            while self._waiting:
                batch = dict(list(self._waiting.items())[:BATCH_SIZE])
                await self._store.do(id_tag_queries.put_uses, batch)
                for key, use in batch.items():
                    if self._waiting.get(key) == use:
                        del self._waiting[key]
        except StoreError as exc:
            limited(log, logging.WARNING, "tag use", "the use of id tags can't be stored, and waits: %s", exc)

    def erase(self, token: ErasedToken) -> None:
        """Drop what is not stored of an id token."""
        self._waiting.pop(token.id_token.casefold(), None)
