"""The fleet's state and its look-ups. Only events change it, through `domain.apply`.

What changed is collected in `changes` for the store. Pure: no clock, no I/O.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Set
from typing import Any

from wattspan.domain.changes import Changes
from wattspan.domain.effect import ReadingsEffect
from wattspan.domain.erased_token import START_KEY, ErasedToken
from wattspan.domain.id_blocks import IdBlocks
from wattspan.domain.model import ChargePoint, Connector, TimelineEntry, Transaction, distinguishes

RECALLED_LIMIT = 10_000
"""Closed transactions kept in memory, so that a repeated start or stop is recognised without the store."""

ORPHANED = "Orphaned"
"""The reason of a transaction that we closed without a message of the charger."""

PLACEHOLDER_IDS = frozenset({"0", "-1"})
"""Ids that chargers send for transactions that began offline and were never assigned one: they name no transaction."""
UNMATCHED = "stop "
"""Prefix of the key of a transaction known by its stop only. Its id is no key: all that began offline share it."""
CHARGER_ID = "told "
"""Prefix of the key of a transaction whose id the charger assigned (OCPP 2.x); the id follows. Stored keys have it."""
_MAX_ISSUED_DIGITS = 18


class Fleet:
    """All known charge points with their connectors and transactions.

    `assigns_ids=False`: another central system assigns the transaction ids of OCPP 1.6, so their order means nothing.
    `keeps_readings=False`: no store takes the readings from `changes`, so they are not added.
    """

    def __init__(self, *, assigns_ids: bool = True, keeps_readings: bool = True) -> None:
        self.charge_points: dict[str, ChargePoint] = {}
        self.changes = Changes()
        self.last_number = 0
        """The highest transaction number assigned; ours, unique in the store."""
        self.last_transaction_id = 0
        """The highest OCPP 1.6 transactionId assigned. An id at or below it that is not open is closed."""
        self.on_phase: list[Callable[[Transaction], None]] = []
        """Called when the newest timeline entry of a transaction begins a phase."""
        self.on_stopped: list[Callable[[Transaction], None]] = []
        """Called once with each transaction that was closed."""
        self.keeps_readings = keeps_readings
        self.assigns_ids = assigns_ids
        self.ids: IdBlocks | None = None
        """In a cluster, where new numbers come from; None: they follow the highest ones."""
        self.epochs: dict[str, int] | None = None
        """In a cluster, the charge points that this node owns, each with its owner epoch; None: it owns all."""
        self.effect: ReadingsEffect | None = None
        """While a large message is applied: the effect of its readings, see `domain.ahead`."""
        self.resumed: set[str] = set()
        """Charge points whose next connection goes on with that of a made-up past: nothing was interrupted."""
        self._recalled: OrderedDict[tuple[str, str], Transaction] = OrderedDict()

    def next_number(self) -> int:
        """Return the number of a new transaction."""
        if self.effect is not None:
            return self.effect.number
        if self.ids is not None:
            return self.ids.numbers.take()
        self.last_number += 1
        return self.last_number

    def next_transaction_id(self) -> int:
        """Return a transactionId of OCPP 1.6 for a new transaction. Raises StoreUnavailable if none is left."""
        if self.ids is not None:
            return self.ids.transaction_ids.take()
        self.last_transaction_id += 1
        return self.last_transaction_id

    def owns(self, cp_id: str) -> bool:
        """Return whether this node owns the charge point; without a cluster it owns all."""
        return self.epochs is None or cp_id in self.epochs

    def drop(self, cp_ids: Set[str]) -> None:
        """Forget charge points that other nodes own, with what was not written yet."""
        for cp_id in cp_ids:
            self.charge_points.pop(cp_id, None)
            if self.epochs is not None:
                self.epochs.pop(cp_id, None)
        self.changes.drop(cp_ids)
        for key in [key for key in self._recalled if key[0] in cp_ids]:
            del self._recalled[key]

    def charge_point(self, cp_id: str, now_ts: float) -> ChargePoint:
        """Return the charge point of that id, created with `known_since_ts` = `now_ts` if new."""
        found = self.charge_points.get(cp_id)
        if found is None:
            found = self.charge_points[cp_id] = ChargePoint(cp_id=cp_id, known_since_ts=now_ts)
            self.changes.charge_points[cp_id] = found
        return found

    def is_current(self, cp: ChargePoint) -> bool:
        """Return whether this object is still in the fleet; one that was removed may have been added anew."""
        return self.charge_points.get(cp.cp_id) is cp

    def seen(self, cp: ChargePoint, now_ts: float) -> None:
        """Record that a message arrived now. A charge point decommissioned meanwhile is not written again."""
        cp.last_msg_ts = now_ts
        if self.charge_points.get(cp.cp_id) is cp:
            self.changes.stale_charge_points[cp.cp_id] = cp

    def find_start(self, cp_id: str, key: str) -> Transaction | None:
        """Return the transaction started with `key`, open or closed, among those in memory; None if there is none."""
        cp = self.charge_points.get(cp_id)
        if cp is not None:
            for transaction in cp.transactions.values():
                if transaction.key == key:
                    return transaction
        return self.recalled(cp_id, key)

    def repeated_start(self, cp_id: str, key: str, started_ts: float | None, received_ts: float) -> Transaction | None:
        """Return the transaction whose start a StartTransaction with this key repeats; None if it starts a new one.

        By a credible timestamp, the same content is the same start. Without one, it is so until the transaction was
        stopped under its own id: then the charger has had the answer to its start. A charger that stops under 0 or -1
        may still repeat the start on the same connection.
        """
        known = self.find_start(cp_id, key)
        if known is None or known.open or known.reason == ORPHANED:
            return known
        if distinguishes(started_ts, received_ts) and not known.clock_stood_still:
            return known
        cp = self.charge_points.get(cp_id)
        return known if cp is not None and known.number in cp.unnamed_stops else None

    def release_key(self, transaction: Transaction) -> None:
        """Free the key of a closed transaction for a later one whose start has the same content."""
        self._recalled.pop((transaction.cp_id, transaction.key), None)
        transaction.key = f"{transaction.key} {transaction.number}"
        self.remember(transaction, transaction.key)
        self.changes.transactions[transaction.number] = transaction

    def knows_transaction(self, cp_id: str, transaction_id: str) -> bool:
        """Return whether the transaction is in memory, so that its stop can be applied without the store."""
        cp = self.charge_points.get(cp_id)
        return (cp is not None and transaction_id in cp.transactions) or (
            self.recalled(cp_id, transaction_id) is not None
        )

    def recall(self, transaction: Transaction) -> None:
        """Keep a closed transaction by its id and its key, so that a repeat of its start or stop is recognised."""
        if not transaction.key.startswith(UNMATCHED):
            self.remember(transaction, transaction.transaction_id)
        self.remember(transaction, transaction.key)

    def recalled(self, cp_id: str, name: str) -> Transaction | None:
        """Return the closed transaction of that id or key, among those in memory; None if there is none.

        It becomes the last to be evicted, because applying the message needs it again.
        """
        found = self._recalled.get((cp_id, name))
        if found is not None:
            self._recalled.move_to_end((cp_id, name))
        return found

    def remember(self, transaction: Transaction, name: str) -> None:
        """Keep a closed transaction under an id or key; evict the least recently used beyond RECALLED_LIMIT."""
        self._recalled[(transaction.cp_id, name)] = transaction
        self._recalled.move_to_end((transaction.cp_id, name))
        while len(self._recalled) > 2 * RECALLED_LIMIT:
            self._recalled.popitem(last=False)

    def forget_closed(self, transaction: Transaction) -> None:
        """Undo `recall`, of a transaction that is open again."""
        for name in (transaction.transaction_id, transaction.key):
            if self._recalled.get((transaction.cp_id, name)) is transaction:
                del self._recalled[(transaction.cp_id, name)]

    def erase(self, token: ErasedToken) -> int:
        """Replace an id token in every transaction in memory. Return the number of open ones, which are written."""
        replaced = 0
        running = [each for cp in self.charge_points.values() for each in cp.transactions.values()]
        for transaction in running:
            transaction.timeline = [
                entry._replace(attributes=token.in_json(dict(entry.attributes))) for entry in transaction.timeline
            ]
            if token.names(transaction.id_token):
                self._erase_from(transaction, token)
                self.changes.transactions[transaction.number] = transaction
                replaced += 1
        for transaction in {id(each): each for each in self._recalled.values()}.values():
            if token.names(transaction.id_token):
                self._erase_from(transaction, token)
        return replaced

    def _erase_from(self, transaction: Transaction, token: ErasedToken) -> None:
        transaction.id_token, former_key = token.pseudonym, transaction.key
        if former_key.startswith(START_KEY):
            transaction.key = token.start_key(transaction.number)
            if self._recalled.pop((transaction.cp_id, former_key), None) is not None:
                self.remember(transaction, transaction.key)

    def session_of(self, cp_id: str, connector_id: str | None, transaction_id: str | None) -> Transaction | None:
        """Return the open transaction a message belongs to, by its id or else its connector; None if there is none."""
        cp = self.charge_points.get(cp_id)
        if cp is None or not cp.transactions:
            return None
        if transaction_id is not None and transaction_id in cp.transactions:
            return cp.transactions[transaction_id]
        if transaction_id is not None and (cp.names_transactions or self.has_issued(cp_id, transaction_id)):
            return None
        if connector_id is not None and connector_id in cp.connectors:
            return cp.connectors[connector_id].transaction
        return None

    def has_issued(self, cp_id: str, transaction_id: str) -> bool:
        """Return whether the charge point was given that id; if so and it is not open, the transaction is closed.

        In a cluster, and if another system assigns the ids, this is known only of closed transactions in memory.
        """
        if self.ids is not None or not self.assigns_ids:
            return (cp_id, transaction_id) in self._recalled
        number = issued_id(transaction_id)
        return number is not None and 0 < number <= self.last_transaction_id

    def changed(self, cp: ChargePoint, connector: Connector) -> None:
        """Mark both, and the connector's open transaction, to be written with the next batch."""
        self.changes.charge_points[cp.cp_id] = cp
        self.changes.connectors[(cp.cp_id, connector.connector_id)] = connector
        if connector.transaction is not None:
            self.changes.transactions[connector.transaction.number] = connector.transaction

    def add_timeline_entry(
        self, transaction: Transaction, ts: float, name: str, attributes: dict[str, Any], *, phase: bool = False
    ) -> None:
        """Add an entry to a transaction's timeline, never before its begin."""
        transaction.add_timeline_entry(TimelineEntry(max(ts, transaction.began_ts), name, attributes, phase))
        if phase:
            for listener in self.on_phase:
                listener(transaction)
        self.changes.transactions[transaction.number] = transaction

    def add_timeline_entries(
        self, transactions: Iterable[Transaction], ts: float, name: str, attributes: dict[str, Any]
    ) -> None:
        """Add the same entry to the timelines of several transactions, which share one object."""
        entry = TimelineEntry(ts, name, attributes)
        for transaction in transactions:
            began_ts = transaction.began_ts
            transaction.add_timeline_entry(entry if ts >= began_ts else entry._replace(ts=began_ts))
            self.changes.transactions[transaction.number] = transaction


def issued_id(transaction_id: str) -> int | None:
    """Return an id in the format that we assign as a number; None for one that can't be ours."""
    is_number = transaction_id.isascii() and transaction_id.isdigit() and len(transaction_id) <= _MAX_ISSUED_DIGITS
    return int(transaction_id) if is_number else None
