"""Who is on file: charge points with their credentials, and users. Used by the API, the command line and `app` alike.

It owns the use cases over the store. It must not know HTTP: a precondition of a change is a `Check`, a function that is
given what is on file (None: nothing) within the writing transaction, and raises to leave everything as it is.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wattspan.csms.connections import Connections
from wattspan.csms.core import Core
from wattspan.csms.pending import PendingChargePoint
from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.csms.security.passwords import Passwords
from wattspan.domain.events import ChargePointDecommissioned
from wattspan.errors import AlreadyRegistered, LastAdmin, NotRegistered
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.queries import users as user_queries
from wattspan.store.records import Registration, User
from wattspan.store.store import Store
from wattspan.telemetry import catalogue

Check = Callable[[Any], None]

log = logging.getLogger(__name__)

CHARGE_POINT, PENDING, USER = "charge point", "pending charge point", "user"
"""What NotRegistered and AlreadyRegistered name."""


class OtherNodes(Protocol):
    """The other nodes of a cluster: `app.node_links` implements it."""

    def registry_changed(self, cp_id: str, change: str) -> None:
        """Report that a charge point was `registered`, `removed` or `rejected`."""

    async def pending(self) -> Sequence[PendingChargePoint]:
        """Return the charge points that wait for approval on the other nodes."""


def unchecked(_on_file: Any) -> None:
    """Accept whatever is on file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningFleet:
    """A running server's fleet and connections, which follow what is on file."""

    core: Core
    store: Store
    connections: Connections

    def add(self, cp_id: str) -> None:
        """Add a registered charge point to the fleet; if it is pending, it reconnects as a registered one.

        In a cluster, one of the nodes adopts it.
        """
        if self.core.fleet.owns(cp_id):
            self.core.fleet.charge_point(cp_id, self.core.clock())
        self.connections.dismiss(cp_id, True)

    async def remove_decommissioned(self) -> None:
        """Remove decommissioned charge points from the fleet, and close their connections. Raises StoreError.

        In a cluster, each node removes those that it owns.
        """
        for cp_id in await self.store.removed_charge_points():
            if not self.core.fleet.owns(cp_id):
                continue
            self.connections.disconnect(cp_id, "decommissioned")
            self.core.record([ChargePointDecommissioned(cp_id=cp_id, received_ts=self.core.clock())])
            self.core.recorder.decommissioned(cp_id)
            self.core.recorder.evidence.record(
                catalogue.DECOMMISSION_SPAN,
                "%s was decommissioned",
                cp_id,
                fields={catalogue.CP_ID: cp_id},
                logger=log,
                inside=True,
            )

    async def dismiss_decided(self) -> None:
        """Close the connections of pending charge points that were registered or rejected, by any process.

        `add_registered` does not find what was registered on a machine with another time. Raises StoreError.
        """
        for each in self.connections.pending():
            known = await self.store.credential(each.cp_id)
            if known is not None and known.registered_ts is not None:
                self.connections.dismiss(each.cp_id, True)
            elif await self.store.is_rejected(each.cp_id):
                self.connections.dismiss(each.cp_id, False)

    async def add_registered(self, since_ts: float) -> None:
        """Add the charge points that were registered at `since_ts` or later, by any process. Raises StoreError."""
        for added in await self.store.read(charge_point_queries.registered_since, since_ts):
            self.add(added.cp_id)


class Registry:
    """Changes what is on file; a change is durable when its method returns. Every method may raise StoreError.

    `running` is the server's fleet; without it only the database changes, and a running server follows within seconds.
    `passwords` hashes the passwords of users; methods that set one need it. `max_users` None: no limit.
    """

    def __init__(
        self,
        store: Store,
        *,
        passwords: Passwords | None = None,
        running: RunningFleet | None = None,
        clock: Callable[[], float] = time.time,
        max_users: int | None = None,
    ) -> None:
        self._store = store
        self._max_users = max_users
        self._passwords = passwords
        self._running = running
        self._clock = clock
        self.others: OtherNodes | None = None
        """The other nodes of a cluster; None: there are none."""

    # charge points

    async def register(
        self, cp_id: str, *, generate_secret: bool = True, fields: Mapping[str, str | int] | None = None
    ) -> tuple[Registration, str | None]:
        """Register a charge point; `fields` are columns that the operator sets, such as `name` and `location`.

        Returns what is on file and the generated secret, which is stored as a hash only. Raises AlreadyRegistered.
        """
        secret = new_secret() if generate_secret else None
        stored = None if secret is None else hash_secret(secret, machine_made=True)
        filed = await self._store.do(charge_point_queries.add_charge_point, cp_id, stored, fields or {}, self._clock())
        if filed is None:
            raise AlreadyRegistered(CHARGE_POINT, cp_id)
        self._registered(cp_id)
        if secret is not None:
            self._changed("secret", "%s was registered with a secret", cp_id)
        return filed, secret

    async def register_or_replace(
        self,
        cp_id: str,
        *,
        secret: str | None = None,
        generate_secret: bool = False,
        security_profile: int | None = None,
    ) -> tuple[bool, str | None]:
        """Register a charge point, or replace the secret of a registered one; None: no secret.

        `security_profile` None leaves the one that is required of it as it is.

        Returns whether it is new, and the generated secret, which is stored as a hash only.
        """
        generated = new_secret() if generate_secret else None
        stored = await _hashed(generated or secret, machine_made=generate_secret)
        is_new = await self._store.add_charge_point(cp_id, stored, security_profile=security_profile)
        self._registered(cp_id)
        self._changed("secret", "the secret of %s was replaced", cp_id)
        return is_new, generated

    async def update(
        self, cp_id: str, fields: Mapping[str, str | int], check: Check = unchecked
    ) -> Registration | None:
        """Change columns that the operator sets; return what is on file then, or None if nothing is."""
        return await self._store.do(charge_point_queries.change_charge_point, cp_id, fields, check)

    async def change(self, cp_id: str, fields: Mapping[str, str | int]) -> None:
        """Change columns that the operator sets. Raises NotRegistered."""
        await self.update(cp_id, fields, _must_exist(CHARGE_POINT, cp_id, unchecked))

    async def set_secret(
        self, cp_id: str, secret: str | None = None, check: Check = unchecked
    ) -> tuple[Registration | None, str]:
        """Replace a charge point's secret; None generates one. An open connection stays open.

        Returns what is on file, and the secret.
        """
        chosen = secret or new_secret()
        stored = await _hashed(chosen, machine_made=secret is None)
        filed = await self._store.do(charge_point_queries.set_secret, cp_id, stored, check, self._clock())
        self._changed("secret", "the secret of %s was replaced", cp_id)
        return filed, chosen

    async def remove_secret(self, cp_id: str, check: Check = unchecked) -> Registration | None:
        """Let a charge point connect without a secret; return what is on file."""
        filed = await self._store.do(charge_point_queries.set_secret, cp_id, None, check, self._clock())
        self._changed("secret", "the secret of %s was removed", cp_id)
        return filed

    async def decommission(self, cp_id: str, check: Check = unchecked) -> None:
        """Remove a charge point: its connection closes, and it leaves the metrics. Its transactions are kept.

        Raises NotRegistered.
        """
        await self._store.do(
            charge_point_queries.remove_charge_point, cp_id, _must_exist(CHARGE_POINT, cp_id, check), self._clock()
        )
        if self._running is not None:
            await self._running.remove_decommissioned()
        self._notify(cp_id, "removed")

    def _registered(self, cp_id: str) -> None:
        if self._running is not None:
            self._running.add(cp_id)
        self._notify(cp_id, "registered")

    def _notify(self, cp_id: str, change: str) -> None:
        if self.others is not None:
            self.others.registry_changed(cp_id, change)

    # pending charge points

    async def pending(self) -> Sequence[PendingChargePoint]:
        """Return the charge points that wait for approval, on any node, the longest waiting first."""
        here = [] if self._running is None else self._running.connections.pending()
        if self.others is None:
            return here
        return sorted([*here, *await self.others.pending()], key=lambda each: each.since_ts)

    async def approve(self, cp_id: str) -> Registration:
        """Register a pending charge point without a secret, and return what is on file.

        Raises NotRegistered when it is not pending, AlreadyRegistered.
        """
        await self._require_pending(cp_id)
        filed, _ = await self.register(cp_id, generate_secret=False)
        return filed

    async def reject(self, cp_id: str) -> None:
        """Turn a pending charge point away until it is registered. Raises NotRegistered when it is not pending."""
        await self._require_pending(cp_id)
        await self._store.do(charge_point_queries.reject, cp_id, self._clock())
        if self._running is not None:
            self._running.connections.dismiss(cp_id, False)
        self._notify(cp_id, "rejected")

    async def _require_pending(self, cp_id: str) -> None:
        if all(each.cp_id != cp_id for each in await self.pending()):
            raise NotRegistered(PENDING, cp_id)

    # users

    async def add_user(self, name: str, role: str, password: str) -> User:
        """Add a user, and return what is on file. Raises AlreadyRegistered, LimitReached and Overloaded."""
        stored = await self._hash_password(password)
        user = User(name=name, role=role, password=stored, created_ts=self._clock())
        if not await self._store.do(user_queries.add_user, user, self._max_users):
            raise AlreadyRegistered(USER, name)
        self._changed("user", "the user %s was added", user=name)
        return user

    async def change_user(
        self,
        name: str,
        *,
        role: str | None = None,
        disabled: bool | None = None,
        password: str | None = None,
        check: Check = unchecked,
    ) -> User:
        """Change what is not None, end the user's logins, and return what is on file.

        Raises NotRegistered, LastAdmin when no enabled admin would be left, and Overloaded.
        """
        changes: dict[str, Any] = {"role": role, "disabled": disabled}
        changes["password"] = None if password is None else await self._hash_password(password)
        given = {field: value for field, value in changes.items() if value is not None}
        user = await self._store.do(user_queries.change_user, name, given, _must_exist(USER, name, check))
        if user is None:
            raise LastAdmin(name)
        for field in given:
            self._changed("user" if field == "disabled" else field, f"{field} of the user %s was changed", user=name)
        return user

    async def remove_user(self, name: str, check: Check = unchecked) -> None:
        """Remove a user with all logins and tokens. Raises NotRegistered, LastAdmin."""
        if not await self._store.do(user_queries.remove_user, name, _must_exist(USER, name, check)):
            raise LastAdmin(name)
        self._changed("user", "the user %s was removed", user=name)

    def _changed(self, kind: str, text: str, cp_id: str = "", *, user: str = "") -> None:
        """Record that a credential was changed. Only a running server has telemetry."""
        if self._running is not None:
            self._running.core.recorder.evidence.record(
                catalogue.CREDENTIALS_SPAN,
                text,
                cp_id or user,
                fields={catalogue.CP_ID: cp_id, catalogue.USER_NAME: user, catalogue.CREDENTIAL_KIND: kind},
                logger=log,
                inside=True,
            )

    async def _hash_password(self, password: str) -> str:
        if self._passwords is None:
            raise TypeError("this Registry was made without `passwords`")
        return await self._passwords.hash(password)


async def _hashed(secret: str | None, *, machine_made: bool) -> str | None:
    """Return the hash of a secret, or None for none; a person's is hashed in a thread."""
    if secret is None or machine_made:
        return None if secret is None else hash_secret(secret, machine_made=True)
    return await asyncio.to_thread(hash_secret, secret, False)


def _must_exist(what: str, name: str, check: Check) -> Check:
    def checked(on_file: Any) -> None:
        check(on_file)
        if on_file is None:
            raise NotRegistered(what, name)

    return checked
