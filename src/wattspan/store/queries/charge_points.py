"""Registered charge points: credentials, annotations, and identities an operator rejected."""

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from wattspan.errors import SerialConflict
from wattspan.store.queries import Check
from wattspan.store.queries import sites as site_queries
from wattspan.store.queries.locks import lock, of_identity
from wattspan.store.records import NETWORK, NO_SECRETS, PendingSecret, Registration, secrets_to_json
from wattspan.store.schema import tables as t
from wattspan.store.upsert import insert, upsert

_CP = t.charge_points.c
_COLUMNS = [
    _CP[name]
    for name in (
        *("cp_id", "registered_ts", "secret", "protocol", "vendor", "model", "last_msg_ts"),
        *("name", "location", "note"),
        *("other_secret", "other_until_ts", "security_profile", "unknown_id_tags"),
        *("pending_secrets", "pending_profile", "profile_lowered", "registered_serial"),
        *("owner", "owner_epoch"),
    )
]
_NO_OTHER_SECRET = {"other_secret": None, "other_until_ts": None, "pending_secrets": NO_SECRETS}

Pending = tuple[PendingSecret, ...]

# Compiled once: every handshake runs these, and building a query takes four times as long as running it.
_REGISTERED = sa.select(*_COLUMNS).where(_CP.cp_id == sa.bindparam("cp_id"), _CP.removed_ts.is_(None))
_TO_BE_CHANGED = _REGISTERED.with_for_update(key_share=True)
_SAME_IGNORING_CASE = (
    sa.select(*_COLUMNS)
    .where(sa.func.lower(_CP.cp_id) == sa.bindparam("lower"), _CP.registered_ts.is_not(None), _CP.removed_ts.is_(None))
    .limit(2)
)
_REJECTED = sa.select(t.rejected_charge_points.c.cp_id).where(t.rejected_charge_points.c.cp_id == sa.bindparam("cp_id"))


def registration(connection: sa.Connection, cp_id: str) -> Registration | None:
    """Return a charge point that is known and was not removed, or None."""
    found = connection.execute(_REGISTERED, {"cp_id": cp_id}).mappings().first()
    return None if found is None else Registration(**found)


def credential(connection: sa.Connection, cp_id: str) -> Registration | None:
    """Return the registration under this identity, else the only one that differs in letter case, else None."""
    exact = registration(connection, cp_id)
    if exact is not None and exact.registered_ts is not None:
        return exact
    found = connection.execute(_SAME_IGNORING_CASE, {"lower": cp_id.lower()}).mappings().all()
    return Registration(**found[0]) if len(found) == 1 else exact


def registrations(connection: sa.Connection) -> list[Registration]:
    """Return all charge points that were not removed, by id."""
    query = sa.select(*_COLUMNS).where(_CP.removed_ts.is_(None)).order_by(_CP.cp_id)
    return [Registration(**found) for found in connection.execute(query).mappings()]


def registered_since(connection: sa.Connection, since_ts: float) -> list[Registration]:
    """Return charge points that an operator added at `since_ts` or later."""
    query = sa.select(*_COLUMNS).where(_CP.removed_ts.is_(None), _CP.registered_ts >= since_ts)
    return [Registration(**found) for found in connection.execute(query).mappings()]


def register(
    connection: sa.Connection, cp_id: str, secret: str | None, now_ts: float, security_profile: int | None = None
) -> bool:
    """Register a charge point, or replace its secret. Return True if it was not registered before."""
    before = _to_register(connection, cp_id)
    if (before is None or before.registered_ts is None) and identity_conflicts(connection, cp_id):
        raise SerialConflict(cp_id)
    required = {} if security_profile is None else _required_profile(before, security_profile)
    statement = insert(connection.dialect, t.charge_points).values(
        cp_id=cp_id, known_since_ts=now_ts, registered_ts=now_ts, secret=secret, **required
    )
    changed = {"registered_ts": now_ts, "secret": secret, "removed_ts": None, **_NO_OTHER_SECRET, **required}
    connection.execute(statement.on_conflict_do_update(index_elements=["cp_id"], set_=changed))
    rejected = t.rejected_charge_points
    connection.execute(sa.delete(rejected).where(rejected.c.cp_id == cp_id))
    return before is None or before.registered_ts is None


def add_charge_point(
    connection: sa.Connection, cp_id: str, secret: str | None, annotations: Mapping[str, str | int], now_ts: float
) -> Registration | None:
    """Register a charge point with its annotations. Return None if it is registered already."""
    before = _to_register(connection, cp_id, str(annotations.get("registered_serial", "")))
    if before is not None and before.registered_ts is not None:
        return None
    register(connection, cp_id, secret, now_ts)
    return _annotated(connection, cp_id, annotations)


def change_charge_point(
    connection: sa.Connection, cp_id: str, annotations: Mapping[str, str | int], check: Check
) -> Registration | None:
    """Change a charge point's annotations and return it."""
    if serial := str(annotations.get("registered_serial", "")):
        lock(connection, of_identity(serial))
    before = _locked(connection, cp_id)
    check(before)
    return _annotated(connection, cp_id, annotations, before)


def set_secret(
    connection: sa.Connection, cp_id: str, secret: str | None, check: Check, now_ts: float
) -> Registration | None:
    """Replace a charge point's secret (None: none is required) and register it if it was not."""
    check(_to_register(connection, cp_id))
    register(connection, cp_id, secret, now_ts)
    return registration(connection, cp_id)


def remove_charge_point(connection: sa.Connection, cp_id: str, check: Check, now_ts: float) -> None:
    """Mark a charge point as removed, if `check` permits."""
    check(_locked(connection, cp_id))
    mark_removed(connection, cp_id, now_ts)


def mark_removed(connection: sa.Connection, cp_id: str, now_ts: float) -> bool:
    """Mark a charge point as removed; a running server finds it by `removed`. Return False if there was none."""
    connection.execute(sa.delete(t.signing_requests).where(t.signing_requests.c.cp_id == cp_id))
    known = sa.and_(_CP.cp_id == cp_id, _CP.removed_ts.is_(None))
    values = {
        "removed_ts": now_ts,
        "registered_ts": None,
        "secret": None,
        "security_profile": None,
        "pending_profile": None,
        "profile_lowered": False,
        "registered_serial": "",
        "unknown_id_tags": "",
        **_NO_OTHER_SECRET,
    }
    return connection.execute(sa.update(t.charge_points).where(known).values(values)).rowcount > 0


def removed(connection: sa.Connection) -> list[str]:
    """Return charge points that were marked as removed and have not left the fleet yet."""
    query = sa.select(_CP.cp_id).where(_CP.removed_ts.is_not(None))
    return list(connection.execute(query).scalars())


def is_rejected(connection: sa.Connection, cp_id: str) -> bool:
    """Return whether an operator rejected this unknown charge point."""
    return connection.execute(_REJECTED, {"cp_id": cp_id}).first() is not None


def reject(connection: sa.Connection, cp_id: str, now_ts: float) -> None:
    """Reject an unknown charge point until it is registered."""
    statement = upsert(connection.dialect, t.rejected_charge_points, ["cp_id", "rejected_ts"])
    connection.execute(statement, {"cp_id": cp_id, "rejected_ts": now_ts})


def offer_secret(connection: sa.Connection, cp_id: str, stored: str, now_ts: float) -> None:
    """Accept a second secret beside the present one until it is known which of them the charge point uses.

    A charge point that was known but not registered counts as registered from now on.
    """
    known = _to_register(connection, cp_id)
    if known is None or known.registered_ts is None:
        register(connection, cp_id, None, now_ts)
    _change(connection, cp_id, other_secret=stored, other_until_ts=None)


def confirm_secret(connection: sa.Connection, cp_id: str, stored: str, until_ts: float) -> bool:
    """Make the second secret the first; the former stays valid until `until_ts`. Return False if it has changed."""
    known = _locked(connection, cp_id)
    if known is None or known.other_secret != stored:
        return False
    former = {"other_secret": known.secret, "other_until_ts": until_ts, "pending_secrets": NO_SECRETS}
    _change(connection, cp_id, secret=stored, **former)
    return True


def withdraw_secret(connection: sa.Connection, cp_id: str, stored: str) -> None:
    """Delete the second secret, which the charge point refused."""
    known = _locked(connection, cp_id)
    if known is not None and known.other_secret == stored:
        _change(connection, cp_id, other_secret=None, other_until_ts=None)


def change_pending_secrets(
    connection: sa.Connection, cp_id: str, change: Callable[[Pending], Pending], now_ts: float
) -> None:
    """Replace a charge point's pending secrets by what `change` returns for them."""
    known = _known(connection, cp_id, now_ts)
    if known is not None and (changed := change(known.pending)) != known.pending:
        _change(connection, cp_id, pending_secrets=secrets_to_json(changed))


def adopt_secret(connection: sa.Connection, cp_id: str, stored: str, now_ts: float) -> None:
    """Make a pending secret, which the charge point has used, its own, and register it if it was not.

    All others end, except those of other network profiles.
    """
    known = _to_register(connection, cp_id)
    if known is None:
        return
    used = [each for each in known.pending if each.secret == stored]
    if used:
        register(connection, cp_id, stored, known.registered_ts or now_ts)
        kept = tuple(each for each in known.pending if each.when == NETWORK and each.offer != used[0].offer)
        _change(connection, cp_id, pending_secrets=secrets_to_json(kept))


def set_pending_profile(
    connection: sa.Connection, cp_id: str, profile: int | None, now_ts: float, only_from: int | None = None
) -> int | None:
    """Set the security profile that a command gave a charge point, and return the former one.

    `only_from`: change nothing if the present one is another.
    """
    known = _known(connection, cp_id, now_ts)
    if known is None or (only_from is not None and known.pending_profile != only_from):
        return None
    _change(connection, cp_id, pending_profile=profile)
    return known.pending_profile


def set_profile(
    connection: sa.Connection, cp_id: str, former: int | None, values: Mapping[str, int | bool | None], now_ts: float
) -> None:
    """Store what a connection proved about security profiles, unless the required one is not `former` any more."""
    known = _known(connection, cp_id, now_ts)
    if known is not None and known.security_profile == former:
        _change(connection, cp_id, **values)


def serial_conflicts(connection: sa.Connection, cp_id: str, serial: str) -> bool:
    """Return whether a serial number is another charge point's identity, or registered for another one."""
    others = sa.and_(_CP.cp_id != cp_id, _CP.removed_ts.is_(None))
    same = sa.or_(_CP.registered_serial == serial, sa.func.lower(_CP.cp_id) == serial.lower())
    return connection.execute(sa.select(_CP.cp_id).where(others, same).limit(1)).first() is not None


def identity_conflicts(connection: sa.Connection, cp_id: str) -> bool:
    """Return whether an identity is the registered serial number of another charge point."""
    others = sa.and_(_CP.cp_id != cp_id, _CP.removed_ts.is_(None))
    same = sa.and_(_CP.registered_serial != "", sa.func.lower(_CP.registered_serial) == cp_id.lower())
    return connection.execute(sa.select(_CP.cp_id).where(others, same).limit(1)).first() is not None


def _locked(connection: sa.Connection, cp_id: str) -> Registration | None:
    """Return a charge point that is known and was not removed, or None; nobody else changes it in the meantime."""
    found = connection.execute(_TO_BE_CHANGED, {"cp_id": cp_id}).mappings().first()
    return None if found is None else Registration(**found)


def _known(connection: sa.Connection, cp_id: str, now_ts: float) -> Registration | None:
    """Return a charge point, which is added if it connected so recently that its row is not written yet.

    Nobody else changes it in the meantime.
    """
    found = _locked(connection, cp_id)
    if found is not None:
        return found
    added = insert(connection.dialect, t.charge_points).values(cp_id=cp_id, known_since_ts=now_ts)
    connection.execute(added.on_conflict_do_nothing())
    return _locked(connection, cp_id)


def _to_register(connection: sa.Connection, *identities: str) -> Registration | None:
    """Return the first of these charge points, or None, before it is registered.

    Nobody else changes it in the meantime, or registers one of the `identities`, also as the serial number of another.
    """
    lock(connection, *(of_identity(each) for each in identities if each))
    return _locked(connection, identities[0])


def _required_profile(before: Registration | None, profile: int) -> dict[str, int | bool]:
    """Return the columns of a required profile that an operator sets."""
    present = 0 if before is None else before.security_profile or 0
    lowered = before is not None and (profile < present or (before.profile_lowered and profile == present))
    return {"security_profile": profile, "profile_lowered": lowered}


def _annotated(
    connection: sa.Connection, cp_id: str, annotations: Mapping[str, str | int], before: Registration | None = None
) -> Registration | None:
    values: dict[str, object] = dict(annotations)
    serial = str(annotations.get("registered_serial", ""))
    if serial and serial_conflicts(connection, cp_id, serial):
        raise SerialConflict(serial)
    if "security_profile" in annotations:
        values |= _required_profile(before, int(annotations["security_profile"]))
    if values:
        _change(connection, cp_id, **values)
    if {"name", "location"} & annotations.keys():
        site_queries.touch(connection)
    return registration(connection, cp_id)


def _change(connection: sa.Connection, cp_id: str, **values: object) -> None:
    connection.execute(sa.update(t.charge_points).where(_CP.cp_id == cp_id).values(**values))
