"""Passwords and security profiles that commands set: pending before they are sent, settled by the answer.

OCPP 1.6 security whitepaper A01, A05; 2.0.1 Part 2 A01, A05. A charge point may reconnect with a new secret before its
answer arrives, so the secret is accepted from before the command is sent. The handshake ends what is not used. It must
not know which command it was.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wattspan.csms.security.credentials import check_secret, hash_secret, readings_of
from wattspan.errors import StoreError
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.records import NETWORK, NOW, RESTART, PendingSecret, Registration
from wattspan.store.store import Store
from wattspan.versions.base import Payload
from wattspan.versions.security import Changes, Outcome, SecurityChange

log = logging.getLogger(__name__)

MAX_OFFERS = 4
"""Pending secrets of one charge point; the oldest ends. Each costs a wrong attempt to connect a slow check."""
MASK = "***"
MIN_MASKED = 4
"""Characters of the shortest secret that is masked in answers: a shorter one is part of ordinary words."""

Pending = tuple[PendingSecret, ...]

_WHEN = {Outcome.APPLIED: NOW, Outcome.UNKNOWN: NOW, Outcome.RESTART: RESTART, Outcome.NETWORK: NETWORK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A value that was stored as pending. `former` is the pending profile before it."""

    offer: str
    change: SecurityChange
    former: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityChanges:
    """Stores what commands set. Every method may raise StoreError."""

    store: Store
    clock: Callable[[], float]

    async def offer(self, cp_id: str, changes: Changes) -> Sequence[Offer]:
        """Store the values of a command that is about to be sent, and return them."""
        own = [each for each in changes if each.identity is None or each.identity.casefold() == cp_id.casefold()]
        offers = [Offer(offer=secrets.token_hex(8), change=change) for change in own]
        return [await self._offered(cp_id, each) for each in offers]

    async def settle(self, cp_id: str, offers: Iterable[Offer], answer: Payload) -> None:
        """Apply an answer: discard what was rejected, and keep the rest until it is used."""
        for each in offers:
            await self._settle(cp_id, each, each.change.outcome(answer))

    async def withdraw(self, cp_id: str, offers: Iterable[Offer]) -> None:
        """Discard the values of a command that was answered with an error."""
        for each in offers:
            await self._settle(cp_id, each, Outcome.REFUSED)

    async def _offered(self, cp_id: str, offer: Offer) -> Offer:
        secret, profile = offer.change.secret, offer.change.profile
        known = await self.store.read(charge_point_queries.registration, cp_id)
        if secret is not None:
            added = await asyncio.to_thread(_new_entries, offer.offer, secret, known)
            if added:
                await self._change_secrets(cp_id, lambda pending: _with(pending, added))
        elif profile is not None and profile > ((known.security_profile if known is not None else None) or 0):
            former = await self.store.do(charge_point_queries.set_pending_profile, cp_id, profile, self.clock())
            return replace(offer, former=former)
        return offer

    async def _settle(self, cp_id: str, offer: Offer, outcome: Outcome) -> None:
        if offer.change.secret is not None:
            await self._change_secrets(cp_id, lambda pending: _settled(pending, offer.offer, outcome))
        elif outcome is Outcome.REFUSED:
            query = charge_point_queries.set_pending_profile
            await self.store.do(query, cp_id, offer.former, self.clock(), offer.change.profile)

    async def _change_secrets(self, cp_id: str, change: Callable[[Pending], Pending]) -> None:
        await self.store.do(charge_point_queries.change_pending_secrets, cp_id, change, self.clock())


class GuardedCommand:
    """One command that changes passwords or profiles: `offer` before it is sent, then `answered` or `refused`.

    Without either, as after a time-out, the values stay pending.
    """

    def __init__(self, security: SecurityChanges, cp_id: str, changes: Changes) -> None:
        self._security = security
        self._cp_id = cp_id
        self._changes = changes
        self._offers: Sequence[Offer] = ()

    async def offer(self) -> None:
        """Store the values as pending. Raises StoreError; then the command must not be sent."""
        self._offers = await self._security.offer(self._cp_id, self._changes)

    async def answered(self, answer: Payload) -> None:
        """Apply the answer. If the store fails, the values stay pending."""
        try:
            await self._security.settle(self._cp_id, self._offers, answer)
        except StoreError as exc:
            log.warning("%s: credentials or profile stay pending: %s", self._cp_id, exc)

    async def refused(self) -> None:
        """Discard the values, because the answer was an error. If the store fails, they stay pending."""
        try:
            await self._security.withdraw(self._cp_id, self._offers)
        except StoreError as exc:
            log.warning("%s: credentials or profile stay pending: %s", self._cp_id, exc)

    def masked(self, value: Any) -> Any:
        """Return the same structure without the secrets: some charge points repeat them in their answers."""
        if isinstance(value, str):
            for change in self._changes:
                if change.secret is not None and len(change.secret) >= MIN_MASKED:
                    value = value.replace(change.secret, MASK)
            return value
        if isinstance(value, dict):
            return {name: self.masked(inner) for name, inner in value.items()}
        return [self.masked(inner) for inner in value] if isinstance(value, list) else value


def _new_entries(offer: str, secret: str, known: Registration | None) -> Pending:
    """Return the entries of a secret; none if it is valid already. Slow: not on the event loop."""
    if known is not None and _is_valid(secret, known):
        return ()
    return tuple(
        PendingSecret(offer=offer, secret=hash_secret(reading, machine_made=False)) for reading in readings_of(secret)
    )


def _is_valid(secret: str, known: Registration) -> bool:
    """Return whether a secret is the present one, or one that a rotation is about to set."""
    if known.secret is not None and check_secret(secret, known.secret):
        return True
    return known.other_secret is not None and known.other_until_ts is None and check_secret(secret, known.other_secret)


def _with(pending: Pending, added: Pending) -> Pending:
    kept = list(dict.fromkeys(each.offer for each in pending))[-(MAX_OFFERS - 1) :]
    return (*(each for each in pending if each.offer in kept), *added)


def _settled(pending: Pending, offer: str, outcome: Outcome) -> Pending:
    if outcome is Outcome.REFUSED:
        return tuple(each for each in pending if each.offer != offer)
    settled = [replace(each, when=_WHEN[outcome]) if each.offer == offer else each for each in pending]
    if outcome is Outcome.APPLIED:  # the charge point has replaced what it would have used after a restart
        settled = [replace(each, when=NOW) if each.when == RESTART else each for each in settled]
    return tuple(settled)
