"""The whole fleet of a cluster as its rows have it: charge points with their connectors and open transactions.

Figures are as old as their rows; the owner of a charge point has newer ones in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from wattspan.domain.model import ChargePoint, Transaction
from wattspan.store.rows import to_charge_point, to_connector, to_transaction
from wattspan.store.schema import tables as t

_CP, _CONNECTOR, _TX = t.charge_points.c, t.connectors.c, t.transactions.c
_PLACE = t.charge_point_places.c
_NOT_IN_JSON = frozenset('"\\')
"""What a text in JSON has in another form."""
IS_OPEN = _TX.stopped_received_ts.is_(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChargePoint:
    """A charge point as its rows have it. `owner` is the node that owns it; None: none yet."""

    charge_point: ChargePoint
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFilter:
    """Conditions on charge points; None and () match all. `after` is an identity."""

    after: str = ""
    charging: bool | None = None
    status: str | None = None
    """The OCPP status of any connector."""
    search: str = ""
    """A part of a text about it, ignoring case. More may be found; letters that fold to others may not."""
    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
    protocol: str | None = None
    site_id: Sequence[str] = ()
    or_no_site: bool = False
    """Beside those of `site_id`, those without a site."""
    cp_id: Sequence[str] = ()


def charge_point(connection: sa.Connection, cp_id: str) -> StoredChargePoint | None:
    """Return a charge point that was not removed, or None."""
    found = _restored(connection, sa.select(t.charge_points).where(_CP.cp_id == cp_id, _CP.removed_ts.is_(None)))
    return found[0] if found else None


def place(connection: sa.Connection, cp_id: str) -> tuple[str | None, bool]:
    """Return the node that owns a charge point, or None, and whether it was connected when its row was written."""
    query = sa.select(_CP.owner, _CP.connected).where(_CP.cp_id == cp_id, _CP.removed_ts.is_(None))
    found = connection.execute(query).first()
    return (None, False) if found is None else (found.owner, bool(found.connected))


def list_charge_points(
    connection: sa.Connection, wanted: StoredFilter, node: str, limit: int
) -> list[StoredChargePoint]:
    """Return up to `limit` charge points that `node` does not own, by identity."""
    query = sa.select(t.charge_points).where(*conditions(wanted, node))
    # The C collation compares as Python does, with which the caller merges these and its own.
    by_id = _CP.cp_id if connection.dialect.name == "sqlite" else sa.collate(_CP.cp_id, "C")
    if wanted.after:
        query = query.where(by_id > wanted.after)
    return _restored(connection, query.order_by(by_id).limit(limit))


def open_transactions_of(connection: sa.Connection, id_token: str, node: str) -> int:
    """Return how many transactions of an id token, in any letter case, are open at other nodes' charge points."""
    query = (
        sa.select(sa.func.count())
        .select_from(t.transactions.join(t.charge_points, _CP.cp_id == _TX.cp_id))
        .where(IS_OPEN, sa.func.lower(_TX.id_token) == id_token.lower(), _CP.removed_ts.is_(None), _not_owned_by(node))
    )
    return int(connection.execute(query).scalar_one())


def _not_owned_by(node: str) -> sa.ColumnElement[bool]:
    return sa.or_(_CP.owner.is_(None), _CP.owner != node)


def conditions(wanted: StoredFilter, node: str) -> list[sa.ColumnElement[bool]]:
    """Return the conditions on charge points that `node` does not own and that match, `after` aside."""
    found: list[sa.ColumnElement[bool]] = [_CP.removed_ts.is_(None), _not_owned_by(node)]
    if wanted.charging is not None:
        charging = sa.exists().where(_TX.cp_id == _CP.cp_id, IS_OPEN)
        found.append(charging if wanted.charging else sa.not_(charging))
    if wanted.status is not None:
        found.append(sa.exists().where(_CONNECTOR.cp_id == _CP.cp_id, _CONNECTOR.status == wanted.status))
    reported = {name: getattr(wanted, name) for name in ("vendor", "model", "firmware", "protocol")}
    found += [_CP[name] == value for name, value in reported.items() if value is not None]
    if wanted.site_id or wanted.or_no_site:
        found.append(_is_at(wanted))
    if wanted.cp_id:
        found.append(_CP.cp_id.in_(wanted.cp_id))
    if wanted.search and wanted.search.isascii() and not _NOT_IN_JSON & set(wanted.search):
        found.append(_has_text(wanted.search.lower()))
    return found


def _is_at(wanted: StoredFilter) -> sa.ColumnElement[bool]:
    mine = _PLACE.cp_id == _CP.cp_id
    is_at = sa.exists().where(mine, _PLACE.site_id.in_(wanted.site_id))
    if not wanted.or_no_site:
        return is_at
    has_site = sa.exists().where(mine, _PLACE.site_id.is_not(None))
    return sa.or_(is_at, sa.not_(has_site)) if wanted.site_id else sa.not_(has_site)


def _has_text(part: str) -> sa.ColumnElement[bool]:
    def has(text: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return sa.func.lower(text).contains(part, autoescape=True)

    labels = sa.func.replace(_PLACE["labels"], '"', "")  # name:value
    place = sa.exists().where(_PLACE.cp_id == _CP.cp_id, sa.or_(has(_PLACE.site_id), has(labels)))
    texts = (_CP.cp_id, _CP.vendor, _CP.model, _CP.firmware, _CP["name"], _CP.location)
    return sa.or_(*map(has, texts), place)


def _restored(connection: sa.Connection, query: sa.Select[Any]) -> list[StoredChargePoint]:
    """Return the charge points of a query with their connectors and open transactions."""
    rows = connection.execute(query).mappings().all()
    cp_ids = [row["cp_id"] for row in rows]
    if not cp_ids:
        return []
    found = [StoredChargePoint(charge_point=_charge_point(row), owner=row["owner"]) for row in rows]
    by_id = {each.charge_point.cp_id: each.charge_point for each in found}
    running = _add_transactions(connection, by_id, cp_ids)
    connectors = sa.select(t.connectors).where(_CONNECTOR.cp_id.in_(cp_ids))
    for row in connection.execute(connectors.order_by(_CONNECTOR.cp_id, _CONNECTOR.connector_id)).mappings():
        connector = by_id[row["cp_id"]].connectors[row["connector_id"]] = to_connector(row)
        connector.transaction = running.get(row["transaction_number"])
    return found


def _charge_point(row: Mapping[Any, Any]) -> ChargePoint:
    cp = to_charge_point(row)
    cp.connected = bool(row["connected"])
    return cp


def _add_transactions(
    connection: sa.Connection, by_id: Mapping[str, ChargePoint], cp_ids: Sequence[str]
) -> dict[int | None, Transaction]:
    running: dict[int | None, Transaction] = {}
    # Sorted here: to have them sorted, PostgreSQL would read all open transactions by the index of their numbers.
    query = sa.select(t.transactions).where(IS_OPEN, _TX.cp_id.in_(cp_ids))
    for row in sorted(connection.execute(query).mappings(), key=itemgetter("number")):
        transaction = to_transaction(row)
        by_id[transaction.cp_id].transactions[transaction.transaction_id] = transaction
        running[transaction.number] = transaction
    return running
