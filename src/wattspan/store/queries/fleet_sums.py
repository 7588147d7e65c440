"""Sums over the charge points of other nodes, made by the database: no row of a charge point leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wattspan.store.queries.fleet import IS_OPEN, StoredFilter, conditions
from wattspan.store.schema import tables as t

_CP, _CONNECTOR, _TX = t.charge_points.c, t.connectors.c, t.transactions.c
_PLACE = t.charge_point_places.alias("place")
"""By another name than in the conditions, which look for the place of a charge point themselves."""
_IS_REAL = sa.or_(_CONNECTOR.connector_id != "0", _CONNECTOR.had_transaction)
"""See `api.filters.real_connectors`."""
_SEPARATOR = "\x1f"
"""In no status."""
_REAL = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSum:
    """The charge points that have the first four in common, and the sessions and the power of all of them together."""

    site_id: str
    """"": they have no site, or sums are not by site."""
    connected: bool
    stale: bool
    connectors: Sequence[tuple[str | None, bool]]
    """The status of each connector of a charge point, and whether it is a real one."""
    charge_points: int
    sessions: int
    power_w: float


def sums(
    connection: sa.Connection,
    wanted: StoredFilter,
    node: str,
    nodes: Sequence[str] | None,
    stale_before_ts: float,
    by_site: bool,
) -> list[StoredSum]:
    """Return the sums over the charge points that `node` does not own and that match.

    Those count as connected whose row says so and whose owner is one of `nodes`; None: whatever the owner. They are
    stale if they are connected and had no message since `stale_before_ts`.

    The statuses of a charge point's connectors are one text, by which the database groups: in one pass over all of
    them, and with as many rows as there are combinations.
    """
    each = _each(connection.dialect.name, wanted, node, nodes, stale_before_ts, by_site=by_site)
    keys = [each.c[name] for name in ("site_id", "connected", "stale", "words")]
    summed = [sa.func.sum(each.c[name]).label(name) for name in ("sessions", "power_w")]
    query = sa.select(*keys, sa.func.count().label("charge_points"), *summed).group_by(*keys)
    return [
        StoredSum(
            site_id=row.site_id,
            connected=bool(row.connected),
            stale=bool(row.stale),
            connectors=_connectors(row.words),
            charge_points=row.charge_points,
            sessions=int(row.sessions),
            power_w=row.power_w,
        )
        for row in connection.execute(query)
    ]


def _connectors(words: str | None) -> Sequence[tuple[str | None, bool]]:
    if words is None:
        return ()
    return [(word[1:] or None, word[0] == _REAL) for word in words.split(_SEPARATOR)]


def _each(
    dialect: str, wanted: StoredFilter, node: str, nodes: Sequence[str] | None, stale_before_ts: float, *, by_site: bool
) -> sa.Subquery:
    """Return a query for the charge points, a row each."""
    connectors = _connectors_of_each(dialect)
    sessions = _sessions_of_each()
    is_connected = _CP.connected if nodes is None else sa.and_(_CP.connected, _CP.owner.in_(nodes))
    is_connected = sa.func.coalesce(is_connected, sa.false())
    is_silent = sa.or_(_CP.last_msg_ts.is_(None), _CP.last_msg_ts < stale_before_ts)
    source: Any = t.charge_points.outerjoin(connectors, connectors.c.cp_id == _CP.cp_id)
    source = source.outerjoin(sessions, sessions.c.cp_id == _CP.cp_id)
    site_id: Any = sa.literal_column("''")
    if by_site:
        source = source.outerjoin(_PLACE, _PLACE.c.cp_id == _CP.cp_id)
        site_id = sa.func.coalesce(_PLACE.c.site_id, "")
    return (
        sa.select(
            site_id.label("site_id"),
            is_connected.label("connected"),
            sa.and_(is_connected, is_silent).label("stale"),
            connectors.c.words,
            sa.func.coalesce(connectors.c.power_w, 0.0).label("power_w"),
            sa.func.coalesce(sessions.c.sessions, 0).label("sessions"),
        )
        .select_from(source)
        .where(*conditions(wanted, node))
        .subquery("each_cp")
    )


def _connectors_of_each(dialect: str) -> sa.Subquery:
    join = sa.func.group_concat if dialect == "sqlite" else sa.func.string_agg
    word = sa.case((_IS_REAL, _REAL), else_="0") + sa.func.coalesce(_CONNECTOR.status, "")
    words = join(word, _SEPARATOR).label("words")
    power_w = sa.func.sum(_CONNECTOR.power_w).label("power_w")
    return sa.select(_CONNECTOR.cp_id, words, power_w).group_by(_CONNECTOR.cp_id).subquery("connectors_of_each")


def _sessions_of_each() -> sa.Subquery:
    # Not count(distinct …), for which PostgreSQL sorts.
    named = sa.select(_TX.cp_id, _TX.transaction_id).where(IS_OPEN).distinct().subquery("named")
    count = sa.func.count().label("sessions")
    return sa.select(named.c.cp_id, count).group_by(named.c.cp_id).subquery("sessions_of_each")
