"""The fleet's state and what can be asked of it. Events alone change it, by `domain.apply`.

What they changed is collected in `changes` for the store. Pure: no clock, no I/O.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from wattspan.domain.changes import Changes
from wattspan.domain.model import (
    ChargePoint,
    Connector,
    TimelineEntry,
    Transaction,
)

RECALLED_LIMIT = 10_000
"""Closed transactions kept in memory, so that a repeated stop or start is recognised without asking the store."""

ORPHANED = "Orphaned"
"""The reason of a transaction that we closed without the charger's word."""

NEVER_LEARNT = frozenset({"0", "-1"})
"""Transaction ids of chargers that never learnt one, for it began offline: they name no transaction."""
UNMATCHED = "stop "
"""How the key of a transaction begins that is known by its stop alone. Its id says nothing: offline ones share it."""
TOLD = "told "
"""How the key of a transaction begins whose id is the charger's own (OCPP 2.x); the id follows."""
_LONGEST_OWN_ID = 18


class Fleet:
    """All known charge points and what they are doing."""

    def __init__(self) -> None:
        self.charge_points: dict[str, ChargePoint] = {}
        self.changes = Changes()
        self.last_number = 0
        """The highest transaction number given out; ours, unique in the store."""
        self.last_transaction_id = 0
        """The highest OCPP 1.6 transactionId given out by us. One at or below it, and not open, is closed."""
        self.on_stopped: list[Callable[[Transaction], None]] = []
        """Called with each transaction that has just been closed, once."""
        self._recalled: OrderedDict[tuple[str, str], Transaction] = OrderedDict()

    def charge_point(self, cp_id: str, now_ts: float) -> ChargePoint:
        """The charge point of that id, known from `now_ts` on when new."""
        found = self.charge_points.get(cp_id)
        if found is None:
            found = self.charge_points[cp_id] = ChargePoint(cp_id=cp_id, known_since_ts=now_ts)
            self.changes.charge_points[cp_id] = found
        return found

    def seen(self, cp: ChargePoint, now_ts: float) -> None:
        """A message came: its last message is now. One that was decommissioned meanwhile stays gone."""
        cp.last_msg_ts = now_ts
        if self.charge_points.get(cp.cp_id) is cp:
            self.changes.stale_charge_points[cp.cp_id] = cp

    def find_start(self, cp_id: str, key: str) -> Transaction | None:
        """The transaction that was started under `key`, among those in memory."""
        cp = self.charge_points.get(cp_id)
        if cp is not None:
            for transaction in cp.transactions.values():
                if transaction.key == key:
                    return transaction
        return self.recalled(cp_id, key)

    def knows_transaction(self, cp_id: str, transaction_id: str) -> bool:
        """Whether a stop of it can be applied without asking the store."""
        cp = self.charge_points.get(cp_id)
        return (cp is not None and transaction_id in cp.transactions) or (
            self.recalled(cp_id, transaction_id) is not None
        )

    def recall(self, transaction: Transaction) -> None:
        """Remember a closed transaction read from the store, so that a repeat of its start or stop is recognised."""
        if not transaction.key.startswith(UNMATCHED):
            self.remember(transaction, transaction.transaction_id)
        self.remember(transaction, transaction.key)

    def recalled(self, cp_id: str, name: str) -> Transaction | None:
        """The closed transaction of that id or key, among those in memory. Who asks will need it again in a moment,
        when its message was judged: it becomes the last to be forgotten.
        """
        found = self._recalled.get((cp_id, name))
        if found is not None:
            self._recalled.move_to_end((cp_id, name))
        return found

    def remember(self, transaction: Transaction, name: str) -> None:
        """Keep a closed transaction under a name, in the place of the one not asked for the longest."""
        self._recalled[(transaction.cp_id, name)] = transaction
        self._recalled.move_to_end((transaction.cp_id, name))
        while len(self._recalled) > 2 * RECALLED_LIMIT:
            self._recalled.popitem(last=False)

    def session_of(self, cp_id: str, connector_id: str | None, transaction_id: str | None) -> Transaction | None:
        """The open transaction a message belongs to, by its id or else its connector; None when there is none."""
        cp = self.charge_points.get(cp_id)
        if cp is None or not cp.transactions:
            return None
        if transaction_id is not None and transaction_id in cp.transactions:
            return cp.transactions[transaction_id]
        if transaction_id is not None and (cp.names_transactions or self.gave_out(transaction_id)):
            return None
        if connector_id is not None and connector_id in cp.connectors:
            return cp.connectors[connector_id].transaction
        return None

    def gave_out(self, transaction_id: str) -> bool:
        """Whether we gave that id out; if so and it is not open, it is closed."""
        number = own_id(transaction_id)
        return number is not None and 0 < number <= self.last_transaction_id

    def changed(self, cp: ChargePoint, connector: Connector) -> None:
        """Both, and the transaction that runs there, are due to be written."""
        self.changes.charge_points[cp.cp_id] = cp
        self.changes.connectors[(cp.cp_id, connector.connector_id)] = connector
        if connector.transaction is not None:
            self.changes.transactions[connector.transaction.number] = connector.transaction

    def tell(
        self, transaction: Transaction, ts: float, name: str, attributes: dict[str, Any], *, phase: bool = False
    ) -> None:
        """Add a moment to a transaction's story."""
        transaction.tell(TimelineEntry(max(ts, transaction.began_ts), name, attributes, phase))
        self.changes.transactions[transaction.number] = transaction

    def tell_each(self, transactions: Iterable[Transaction], ts: float, name: str, attributes: dict[str, Any]) -> None:
        """Add one moment to the stories of several transactions: one object, however many are open."""
        moment = TimelineEntry(ts, name, attributes)
        for transaction in transactions:
            began_ts = transaction.began_ts
            transaction.tell(moment if ts >= began_ts else moment._replace(ts=began_ts))
            self.changes.transactions[transaction.number] = transaction


def own_id(transaction_id: str) -> int | None:
    """An id as we give them out, as a number; None for one that can't be ours."""
    is_number = transaction_id.isascii() and transaction_id.isdigit() and len(transaction_id) <= _LONGEST_OWN_ID
    return int(transaction_id) if is_number else None
