"""New secrets for charge points, told to them over their own connection, while the old ones go on working for a while.

OCPP 1.6 security whitepaper §4.1 (AuthorizationKey), 2.0.1 Part 2 A01 (BasicAuthPassword). From the moment a secret is
sent until it is known which of the two the charge point has, both work: no answer that is lost may lock it out.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wattspan.csms.commands import CommandResult, Live
from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.errors import CommandTimeout, ConnectionLost, NotConnected, WattspanError
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.store import Store
from wattspan.versions.base import Payload

Send = Callable[[str, str, Payload], Awaitable[CommandResult]]
LATER = "RebootRequired"
"""The status of a charge point that goes on with its old secret until it restarts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """How it went. `applied`: the charge point has the new secret; the old one works until `old_until_ts`.

    Neither `applied` nor rejected by `status`: both work, until the charge point comes with the new one.
    """

    status: str
    applied: bool
    old_until_ts: float | None
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Rotates secrets."""

    store: Store
    send: Send
    live: Callable[[str], Live | None]
    grace_s: float
    clock: Callable[[], float]

    async def rotate(self, cp_id: str) -> Rotated:
        """Give a connected charge point a new secret, which nobody else is told.

        Cancellation: safe; both secrets work then, as after a lost answer.

        Raises:
            NotConnected: it has no connection, so nothing was changed.
            CommandTimeout, ConnectionLost: nobody knows whether it took the secret; both work.
            CommandRefused, CommandInvalid: it did not, and the old one alone works.
        """
        live = self.live(cp_id)
        action = "ChangeConfiguration"
        if live is None:
            raise NotConnected(cp_id, action)
        secret = new_secret()
        stored = hash_secret(secret, machine_made=True)
        await self.store.do(charge_point_queries.offer_secret, cp_id, stored, self.clock())
        action, payload = _told(secret, older=live.version.name == "1.6")
        try:
            result = await self.send(cp_id, action, payload)
        except (CommandTimeout, ConnectionLost):
            raise
        except WattspanError:
            await self.store.do(charge_point_queries.withdraw_secret, cp_id, stored)
            raise
        until_ts = self.clock() + self.grace_s
        applied = result.accepted and result.status != LATER
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


def _told(secret: str, *, older: bool) -> tuple[str, Payload]:
    """The command: 1.6 wants the key's bytes in hex, 2.x the password itself."""
    if older:
        return "ChangeConfiguration", {"key": "AuthorizationKey", "value": secret.encode().hex()}
    variable = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": secret,
    }
    return "SetVariables", {"setVariableData": [variable]}
