"""Enrols the next unknown id tag at a chosen charge point: an operator opens a time, somebody taps a card there.

It keeps one enrolment for each charge point in memory; a restart ends it. It must not know HTTP.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from wattspan.domain.erased_token import ErasedToken
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.records import AuditEntry, IdTag
from wattspan.store.store import Store

KEPT_S = 3600.0
"""How long the result of an enrolment is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """An enrolment at a charge point. `template`: the fields of the new id tag. `id_token` None: none was read."""

    cp_id: str
    template: IdTag
    until_ts: float
    by: str
    id_token: str | None = None


class Enrolments:
    """The enrolments that are open, or ended not long ago. For the event loop's thread."""

    def __init__(self, store: Store, clock: Callable[[], float], notify: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._notify = notify
        self._by_cp: dict[str, Enrolment] = {}

    def open(self, enrolment: Enrolment) -> None:
        """Wait for an unknown id tag, in place of an earlier enrolment at this charge point."""
        now_ts = self._clock()
        self._by_cp = {each.cp_id: each for each in self._by_cp.values() if now_ts - each.until_ts < KEPT_S}
        self._by_cp[enrolment.cp_id] = enrolment

    def get(self, cp_id: str) -> Enrolment | None:
        """Return the newest enrolment at a charge point, open or not, or None."""
        return self._by_cp.get(cp_id)

    def cancel(self, cp_id: str) -> bool:
        """End an enrolment. Return False if there was none."""
        return self._by_cp.pop(cp_id, None) is not None

    def erase(self, token: ErasedToken) -> None:
        """Drop the results that contain an id token."""
        self._by_cp = {cp_id: each for cp_id, each in self._by_cp.items() if not token.names(each.id_token)}

    async def take(self, cp_id: str, id_token: str, kind: str) -> IdTag | None:
        """Enrol an unknown id token if its charge point waits for one, and return the new id tag. Raises StoreError."""
        waiting = self._by_cp.get(cp_id)
        now_ts = self._clock()
        if waiting is None or waiting.id_token is not None or waiting.until_ts <= now_ts or not id_token:
            return None
        self._by_cp[cp_id] = replace(waiting, id_token=id_token)  # before the write, so that no second one is taken
        tag = replace(waiting.template, id_token=id_token, type=kind)
        entry = AuditEntry(
            at_ts=now_ts,
            who=waiting.by,
            auth_method="enrolment",
            action="enrol_id_tag",
            target=f"/api/v1/id-tags/{id_token}",
            status=201,
            trace_id="",
        )
        try:
            await self._store.do(id_tag_queries.enrol, tag, entry)
        except BaseException:
            self._by_cp[cp_id] = waiting
            raise
        self._notify(cp_id)
        return tag
