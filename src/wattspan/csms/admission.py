"""Who may charge: judges id tokens and assigns transaction ids. One `ConnectionContext` a connection.

It reads the store and the fleet, and changes neither, except that it recalls closed transactions into the fleet.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wattspan.domain.fleet import Fleet, issued_id
from wattspan.domain.model import Transaction
from wattspan.domain.transactions.v2x import key_of
from wattspan.store.records import IdTag, Registration
from wattspan.versions.base import ACCEPTED, IdTokenInfo, Payload, StartDecision

UNKNOWN = "Unknown"
CONCURRENT = "ConcurrentTx"
ELSEWHERE = "NotAtThisLocation"


class Records(Protocol):
    """The reads of the store that admission needs."""

    async def credential(self, cp_id: str) -> Registration | None: ...
    async def id_tag(self, id_token: str) -> IdTag | None: ...
    async def find_start(self, cp_id: str, key: str) -> Transaction | None: ...
    async def find_stop(self, cp_id: str, transaction_id: str, key: str) -> Transaction | None: ...


async def _enrol_none(_cp_id: str, _id_token: str, _kind: str) -> IdTag | None:
    return None


@dataclass(slots=True, kw_only=True)
class Admission:
    """The policy, shared by all connections."""

    fleet: Fleet
    records: Records
    accepts_unknown_id_tags: bool
    heartbeat_interval_s: int
    data_transfer: Callable[[str, str, str | None, Any], Payload | None]
    """(cp_id, vendor_id, message_id, data) to an answer; None when no plugin handles the vendor."""
    sign_certificate: Callable[[str, str, str, Payload], Awaitable[bool]]
    """(cp_id, csr, kind, echo): whether a certificate will follow; see `csms.security.signing`."""
    open_elsewhere: Callable[[str], Awaitable[int]] | None = None
    """Returns how many transactions of an id token are open on other nodes of a cluster; None: there are none."""
    enrol: Callable[[str, str, str], Awaitable[IdTag | None]] = _enrol_none
    """(cp_id, id_token, kind): the new id tag if the charge point enrols an unknown one; see `csms.enrolment`."""

    async def judge(
        self,
        cp_id: str,
        id_token: str,
        now_ts: float,
        *,
        kind: str = "",
        connector_id: str | None = None,
        start_key: str | None = None,
    ) -> IdTokenInfo:
        """Return what an id token may do (OCPP 1.6 §7.2, 2.0.1 C01); ConcurrentTx only for a start.

        Unknown tokens: by the policy of the charge point, or else the server's. A token on file under another type is
        another token (2.x compares both, C01.FR.02).
        """
        tag = await self.records.id_tag(id_token)
        if tag is None:
            tag = await self.enrol(cp_id, id_token, kind)
        if tag is None or (kind and tag.type and kind.casefold() != tag.type.casefold()):
            return IdTokenInfo(status=ACCEPTED if await self._accepts_unknown(cp_id) else UNKNOWN)
        status = tag.status
        if status == ACCEPTED and tag.expiry_ts is not None and tag.expiry_ts <= now_ts:
            status = "Expired"
        if status == ACCEPTED and not _is_valid_at(tag, connector_id):
            status = ELSEWHERE
        if status == ACCEPTED and start_key is not None and await self._is_busy(tag, start_key):
            status = CONCURRENT
        return IdTokenInfo(status=status, expiry_ts=tag.expiry_ts, parent=tag.parent, evse_ids=tag.evse_ids)

    async def _accepts_unknown(self, cp_id: str) -> bool:
        known = await self.records.credential(cp_id)
        own = "" if known is None else known.unknown_id_tags
        return own == "accept" if own else self.accepts_unknown_id_tags

    async def _is_busy(self, tag: IdTag, start_key: str) -> bool:
        if tag.max_active_transactions is None:
            return False
        token = tag.id_token.casefold()
        active = sum(
            transaction.key != start_key and transaction.id_token.casefold() == token
            for cp in self.fleet.charge_points.values()
            for transaction in cp.transactions.values()
        )
        if self.open_elsewhere is not None and active < tag.max_active_transactions:
            active += await self.open_elsewhere(tag.id_token)
        return active >= tag.max_active_transactions


def _is_valid_at(tag: IdTag, connector_id: str | None) -> bool:
    """Return whether the tag may charge at the connector; True while the connector is not known."""
    return not tag.evse_ids or connector_id in (None, "0") or connector_id in map(str, tag.evse_ids)


@dataclass(slots=True)
class ConnectionContext:
    """What answers to one charge point may use; implements `versions.base.ChargePointContext`."""

    cp_id: str
    admission: Admission
    now_ts: float = 0.0
    absent_id: str = ""
    """The last id that the store was asked for and had no transaction of."""

    @property
    def heartbeat_interval_s(self) -> int:
        return self.admission.heartbeat_interval_s

    async def authorize(
        self, id_token: str, *, kind: str = "", connector_id: str | None = None, start_key: str | None = None
    ) -> IdTokenInfo:
        """Return what an id token may do, for Authorize (OCPP 1.6 §4.1, 2.0.1 C01) and TransactionEvent."""
        return await self.admission.judge(
            self.cp_id, id_token, self.now_ts, kind=kind, connector_id=connector_id, start_key=start_key
        )

    async def start(
        self, *, id_token: str, connector_id: str, key: str, started_ts: float | None, reservation_id: int | None
    ) -> StartDecision:
        """Judge a start and assign its transaction id. A repeated start gets the same id (OCPP 1.6 §4.8)."""
        fleet = self.admission.fleet
        info = await self.admission.judge(self.cp_id, id_token, self.now_ts, connector_id=connector_id, start_key=key)
        if fleet.find_start(self.cp_id, key) is None:
            known = await self.admission.records.find_start(self.cp_id, key)
            if known is not None:
                fleet.recall(known)
        # No await from here until the event is applied, so that two equal starts at once can't both be new.
        known = fleet.repeated_start(self.cp_id, key, started_ts, self.now_ts)
        if known is not None:
            return StartDecision(transaction_id=int(known.transaction_id), info=info)
        return StartDecision(transaction_id=fleet.next_transaction_id(), info=info)

    def knows(self, transaction_id: str) -> bool:
        """Return whether the fleet has the transaction of that OCPP id, open or closed."""
        fleet = self.admission.fleet
        cp = fleet.charge_points.get(self.cp_id)
        if cp is not None and transaction_id in cp.transactions:
            return True
        return fleet.recalled(self.cp_id, key_of(transaction_id)) is not None

    async def recall(self, transaction_id: str) -> None:
        """Load the closed transaction of that id into the fleet, if the store has it."""
        if self.knows(transaction_id):
            return
        known = await self.admission.records.find_start(self.cp_id, key_of(transaction_id))
        if known is not None and not known.open:
            self.admission.fleet.recall(known)

    def may_be_closed(self, transaction_id: str) -> bool:
        """Return whether we may have assigned the id and the transaction is not in memory, but perhaps in the store."""
        fleet = self.admission.fleet
        cp = fleet.charge_points.get(self.cp_id)
        if cp is not None and transaction_id in cp.transactions:
            return False  # nearly always
        if transaction_id == self.absent_id or fleet.knows_transaction(self.cp_id, transaction_id):
            return False
        return self._may_be_assigned(transaction_id)

    def _may_be_assigned(self, transaction_id: str) -> bool:
        """Return whether we may have assigned the id; in a cluster only the store knows, because any node may have."""
        fleet = self.admission.fleet
        if fleet.ids is not None:
            return bool(issued_id(transaction_id))
        return fleet.has_issued(self.cp_id, transaction_id)

    async def recall_stop(self, transaction_id: str, key: str) -> None:
        """Load the closed transaction that a message names into the fleet, if the store has it."""
        fleet = self.admission.fleet
        if fleet.knows_transaction(self.cp_id, transaction_id) or fleet.knows_transaction(self.cp_id, key):
            return
        known = await self.admission.records.find_stop(self.cp_id, transaction_id, key)
        if known is None:
            if self._may_be_assigned(transaction_id):
                self.absent_id = transaction_id
        elif not known.open:
            fleet.recall(known)

    async def sign_certificate(self, csr: str, *, kind: str, echo: Payload) -> bool:
        """Return whether a signing request is accepted (OCPP 1.6 security whitepaper §4.2, 2.0.1 A02)."""
        return await self.admission.sign_certificate(self.cp_id, csr, kind, echo)

    async def data_transfer(self, vendor_id: str, message_id: str | None, data: Any) -> Payload:
        """Return a plugin's answer to DataTransfer (OCPP 1.6 §4.3), or UnknownVendorId."""
        answer = self.admission.data_transfer(self.cp_id, vendor_id, message_id, data)
        return {"status": "UnknownVendorId"} if answer is None else answer
