"""The fence of a cluster: a batch writes only charge points that its node owns, under the epoch it was made under.

Runs on the writer's thread, within the batch's transaction. The lock on a charge point's row is held until the commit,
so that no other node takes it in between (docs/adr/0014-nodes.md).
"""

from dataclasses import replace

from wattspan.store.journal.batch import Batch
from wattspan.store.journal.prepared import Cursor

_SEPARATOR = "\x1f"
"""In no identity. One text is passed to the driver in a fraction of the time that a list takes."""

# All transactions lock these rows in the same order, so that they can't block each other. The owner is no condition
# for the rows: PostgreSQL would read all of the node's charge points by the index of owners.
_LOCK = (
    "WITH locked AS MATERIALIZED (SELECT owner, owner_epoch FROM charge_points"
    " WHERE cp_id = ANY(string_to_array(%s, E'\\x1f')) ORDER BY cp_id FOR NO KEY UPDATE)"
    " SELECT count(*), coalesce(sum(owner_epoch), 0)::bigint FROM locked WHERE owner = %s"
)
_EACH = (
    "SELECT cp_id, owner, owner_epoch FROM charge_points WHERE cp_id = ANY(string_to_array(%s, E'\\x1f'))"
    " ORDER BY cp_id FOR NO KEY UPDATE"
)


def fence(cursor: Cursor, batch: Batch, node: str) -> Batch:
    """Lock the charge points of `batch`, and return what may be written of it. Sets `batch.lost`."""
    epochs = batch.epochs
    if not epochs:
        return batch
    cursor.execute(_LOCK, (_SEPARATOR.join(epochs), node))
    # Epochs only grow, so the sums are the same only if all epochs are.
    if cursor.fetchone() == (len(epochs), sum(epochs.values())):
        batch.lost = {}
        return batch
    cursor.execute(_EACH, (_SEPARATOR.join(epochs),))
    present = {cp_id: epoch for cp_id, owner, epoch in cursor.fetchall() if owner == node}
    batch.lost = {cp_id: epoch for cp_id, epoch in epochs.items() if present.get(cp_id) != epoch}
    return _without(batch, batch.lost)


def _without(batch: Batch, lost: dict[str, int]) -> Batch:
    meters = [pair for pair in zip(batch.meters, batch.meter_owners, strict=True) if pair[1] not in lost]
    return replace(
        batch,
        readings=[row for row in batch.readings if row.cp_id not in lost],
        charge_points=[row for row in batch.charge_points if row[0] not in lost],
        connectors=[row for row in batch.connectors if row[0] not in lost],
        transactions=[row for row in batch.transactions if row[1] not in lost],
        meters=[row for row, _ in meters],
        meter_owners=[cp_id for _, cp_id in meters],
        notes=[note for note in batch.notes if note.cp_id not in lost],
        decommissioned=[cp_id for cp_id in batch.decommissioned if cp_id not in lost],
    )
