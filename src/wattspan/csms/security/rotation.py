"""Rotates the Basic passwords of charge points: sends a new one over the charge point's own connection.

OCPP 1.6 security whitepaper §4.1 (AuthorizationKey), 2.0.1 Part 2 A01 (BasicAuthPassword). From the moment a secret is
sent until it is known which of the two the charge point has, both work, so that a lost answer locks nobody out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wattspan.csms.operations.parameters import SetPassword
from wattspan.csms.operations.sender import Operations
from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.errors import CommandTimeout, ConnectionLost, WattspanError
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.store import Store

REBOOT_REQUIRED = "RebootRequired"
"""The status of a charge point that uses its old secret until it restarts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """The outcome of a rotation. `applied`: it has the new secret, and the old one works until `old_until_ts`.

    If it is neither applied nor rejected by `status`, both work until the charge point connects with the new one.
    """

    status: str
    applied: bool
    old_until_ts: float | None
    trace_id: str


class RemoteRotation(Protocol):
    """Rotates secrets of charge points that are connected to other nodes of a cluster: see `csms.routing`."""

    def is_elsewhere(self, cp_id: str) -> bool:
        """Return whether another node may have the connection."""

    async def rotate(self, cp_id: str) -> Rotated:
        """Have the node with the connection rotate the secret. Raises as `Rotation.rotate`, and NodeUnreachable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Rotates secrets. `grace_s`: how long the old secret works after the new one was applied."""

    store: Store
    operations: Operations
    grace_s: float
    clock: Callable[[], float]
    remote: RemoteRotation | None = None

    async def rotate(self, cp_id: str) -> Rotated:
        """Give a connected charge point a new secret, which is never shown, and return the outcome.

        Cancellation: safe; both secrets work then, as after a lost answer.

        Raises:
            NotConnected: it has no connection, so nothing was changed.
            CommandTimeout, ConnectionLost: it is unknown whether it took the secret; both work.
            CommandRefused, CommandInvalid: it did not take it; only the old one works.
        """
        if self.remote is not None and self.remote.is_elsewhere(cp_id):
            return await self.remote.rotate(cp_id)
        connection = self.operations.connection(cp_id, SetPassword)
        secret = new_secret()
        stored = hash_secret(secret, machine_made=True)
        await self.store.do(charge_point_queries.offer_secret, cp_id, stored, self.clock())
        try:
            result = await self.operations.perform_on(connection, SetPassword(secret=secret))
        except (CommandTimeout, ConnectionLost):
            raise
        except WattspanError:
            await self.store.do(charge_point_queries.withdraw_secret, cp_id, stored)
            raise
        until_ts = self.clock() + self.grace_s
        applied = result.accepted and result.status != REBOOT_REQUIRED
        if applied:
            await self.store.confirm_secret(cp_id, stored, until_ts)
        elif not result.accepted:
            await self.store.do(charge_point_queries.withdraw_secret, cp_id, stored)
        return Rotated(
            status=result.status,
            applied=applied,
            old_until_ts=until_ts if applied else None,
            trace_id=result.trace_id,
        )
