"""The nodes of a cluster: their heartbeats, and which charge points they own. PostgreSQL only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wattspan.store.advisory_lock import batch_mark
from wattspan.store.journal.batch import readings_mark
from wattspan.store.schema import tables as t

LEASE_S = 15.0
"""A node whose last heartbeat is older is dead."""
FORGOTTEN_S = 86_400.0
"""Seconds after its last heartbeat that a node which owns nothing is removed from the list."""

_N = t.nodes.c
_CP = t.charge_points.c
_NOW = sa.extract("epoch", sa.func.clock_timestamp()).cast(sa.Double)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """What a node writes about itself. `instance` is a random name of the process."""

    name: str
    instance: str
    version: str
    metrics_url: str = ""
    api_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """The stored record of a node. Times are by PostgreSQL's clock; `age_s` is that of its last heartbeat."""

    name: str
    instance: str
    version: str
    started_ts: float
    heartbeat_ts: float
    age_s: float
    stopped: bool
    metrics_url: str
    api_url: str

    @property
    def alive(self) -> bool:
        """Return whether it has not stopped and its last heartbeat is not older than a lease."""
        return not self.stopped and self.age_s < LEASE_S


@dataclass(frozen=True, slots=True)
class Orphan:
    """A charge point whose owner is gone, or that has none."""

    cp_id: str
    owner: str | None
    epoch: int


def write_heartbeat(connection: sa.Connection, node: NodeInfo) -> float:
    """Write that the node lives, and return the time by PostgreSQL's clock."""
    fixed = {"instance": node.instance, "version": node.version}
    urls = {"metrics_url": node.metrics_url, "api_url": node.api_url}
    new = insert(t.nodes).values(name=node.name, **fixed, **urls, started_ts=_NOW, heartbeat_ts=_NOW, stopped=False)
    is_same = _N.instance == new.excluded.instance
    changed = {
        **fixed,
        **urls,
        "heartbeat_ts": new.excluded.heartbeat_ts,
        "started_ts": sa.case((is_same, _N.started_ts), else_=new.excluded.started_ts),
        "stopped": False,
    }
    written = new.on_conflict_do_update(index_elements=["name"], set_=changed).returning(_N.heartbeat_ts)
    return float(connection.execute(written).scalar_one())


def write_stopped(connection: sa.Connection, name: str, instance: str) -> None:
    """Write that the node stops, so that the others adopt its charge points at once."""
    mine = sa.and_(_N.name == name, _N.instance == instance)
    connection.execute(sa.update(t.nodes).where(mine).values(stopped=True))


def nodes(connection: sa.Connection) -> list[NodeRecord]:
    """Return all nodes by name."""
    query = sa.select(t.nodes, (_NOW - _N.heartbeat_ts).label("age_s")).order_by(_N.name)
    return [NodeRecord(**found) for found in connection.execute(query).mappings()]


def forget_old(connection: sa.Connection) -> None:
    """Remove nodes that have been gone for FORGOTTEN_S and own nothing, with their marks."""
    owners = sa.select(_CP.owner).where(_CP.owner.is_not(None))
    gone = sa.and_(_N.heartbeat_ts < _NOW - FORGOTTEN_S, _N.name.not_in(owners))
    removed = connection.scalars(sa.delete(t.nodes).where(gone).returning(_N.name)).all()
    names = [mark for name in removed for mark in (readings_mark(name), batch_mark(name))]
    if names:
        connection.execute(sa.delete(t.marks).where(t.marks.c.name.in_(names)))


def owned_counts(connection: sa.Connection) -> dict[str, int]:
    """Return how many charge points each node owns."""
    query = sa.select(_CP.owner, sa.func.count()).where(_CP.owner.is_not(None)).group_by(_CP.owner)
    return {str(owner): count for owner, count in connection.execute(query).tuples()}


def owned_sum(connection: sa.Connection, name: str) -> tuple[int, int]:
    """Return how many charge points a node owns, and the sum of their epochs, which changes with each one it loses."""
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_CP.owner_epoch), 0)).where(_CP.owner == name)
    count, epochs = connection.execute(query).one()
    return count, int(epochs)


def owned(connection: sa.Connection, name: str) -> dict[str, int]:
    """Return the charge points that a node owns, each with its owner epoch."""
    query = sa.select(_CP.cp_id, _CP.owner_epoch).where(_CP.owner == name)
    return dict(connection.execute(query).tuples().all())


def owners(connection: sa.Connection, cp_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the owner of each of these charge points that has one."""
    query = sa.select(_CP.cp_id, _CP.owner).where(_CP.cp_id.in_(cp_ids), _CP.owner.is_not(None))
    return {cp_id: str(owner) for cp_id, owner in connection.execute(query).tuples()}


def orphans(connection: sa.Connection, gone: Sequence[str], living: Sequence[str], me: str) -> list[Orphan]:
    """Return the charge points that this node is to adopt: those of nodes that are `gone`, and those without an owner.

    Each belongs to one of the `living` by rendezvous hashing, so that all of them agree without a word.
    """
    query = sa.select(_CP.cp_id, _CP.owner, _CP.owner_epoch).where(sa.or_(_CP.owner.is_(None), _CP.owner.in_(gone)))
    return [Orphan(*found) for found in connection.execute(query).tuples() if heir(found[0], living) == me]


def heir(cp_id: str, living: Sequence[str]) -> str:
    """Return the node that adopts a charge point: the one with the highest hash of both names."""
    return max(living, key=lambda name: blake2b(f"{name}\0{cp_id}".encode(), digest_size=8).digest())
