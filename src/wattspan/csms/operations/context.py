"""What a builder may need besides the operation's own parameters, and the values that both versions make alike."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wattspan.csms.operations.parameters import GetLogs, Operation, RemoteStop, SendLocalList, SetLimit
from wattspan.domain.model import ChargePoint, Transaction
from wattspan.domain.timestamps import wire_time
from wattspan.errors import TransactionNotIdentified
from wattspan.store.records import IdTag
from wattspan.versions.base import Payload

OcppCall = tuple[str, Payload]
"""OCPP's action and its payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationContext:
    """The state a builder reads."""

    cp: ChargePoint
    now_ts: float
    upload_url: Callable[[], str]
    """Returns a new address that this charge point may upload one file to."""
    id_tags: Sequence[IdTag] = ()
    """All on file; only for operations that `needs_id_tags`."""

    @property
    def now(self) -> str:
        return wire_time(self.now_ts)


Builder = Callable[[Any, OperationContext], OcppCall]
"""(operation, context) to the call of one OCPP version. Pure; raises CommandError alone."""


def needs_id_tags(operation: Operation) -> bool:
    """Return whether the operation's builder reads `OperationContext.id_tags`."""
    return isinstance(operation, SendLocalList)


def without_none(**fields: Any) -> Payload:
    """Return a payload of the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def wire_time_of(at: datetime | None) -> str | None:
    """Return a time as OCPP's dateTime, or None for none."""
    return None if at is None else wire_time(at.timestamp())


def random_id() -> int:
    """Return an id for a request, profile or reservation, above those that people choose by hand."""
    return 1_000_000 + secrets.randbelow(2**31 - 1_000_000)


def chosen_or_random(given: int | None) -> int:
    """Return the id that was given, or a random one."""
    return given if given is not None else random_id()


def transaction_of(operation: RemoteStop, context: OperationContext) -> Transaction:
    """Return the open transaction to stop. Raises TransactionNotIdentified when it is not exactly one."""
    cp = context.cp
    found = [tx for tx in cp.transactions.values() if operation.transaction in (None, tx.number)]
    if len(found) != 1:
        reason = "several transactions are open: name one" if found else "no such transaction is open"
        raise TransactionNotIdentified(cp.cp_id, "RemoteStop", reason)
    return found[0]


def schedule_of(operation: SetLimit, context: OperationContext) -> Payload:
    """Return a ChargingSchedule of one period that begins now; the same in every version but for 2.x's id."""
    period = without_none(startPeriod=0, limit=operation.limit, numberPhases=operation.phases)
    return without_none(
        startSchedule=context.now,
        duration=operation.duration_s,
        chargingRateUnit=operation.unit,
        chargingSchedulePeriod=[period],
    )


def listed_tags(operation: SendLocalList, context: OperationContext) -> Sequence[IdTag]:
    """Return the id tags on file that go into the local list."""
    if operation.id_tags is None:
        return context.id_tags
    wanted = {each.casefold() for each in operation.id_tags}
    return [tag for tag in context.id_tags if tag.id_token.casefold() in wanted]


def get_log(operation: GetLogs, context: OperationContext) -> OcppCall:
    """Return GetLog (OCPP 2.0.1 N01), which the security extension of 1.6 took over from 2.x."""
    log = without_none(
        remoteLocation=operation.location or context.upload_url(),
        oldestTimestamp=wire_time_of(operation.from_at),
        latestTimestamp=wire_time_of(operation.until_at),
    )
    log_type = {"diagnostics": "DiagnosticsLog", "security": "SecurityLog"}[operation.kind]
    return "GetLog", {"logType": log_type, "requestId": random_id(), "log": log}
