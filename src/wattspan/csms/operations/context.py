"""What a builder may need besides the operation's own parameters, and the values that both versions make alike."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wattspan.csms.operations.parameters import (
    GetLogs,
    LimitPeriod,
    Operation,
    RemoteStop,
    Reserve,
    SendLocalList,
    SetLimit,
    UpdateFirmware,
)
from wattspan.domain.model import ChargePoint, Transaction
from wattspan.domain.timestamps import wire_time
from wattspan.errors import CommandInvalid, TransactionNotIdentified
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
    """Those on file that the operation reads: see `needed_id_tags`."""

    @property
    def now(self) -> str:
        return wire_time(self.now_ts)


Builder = Callable[[Any, OperationContext], OcppCall]
"""(operation, context) to the call of one OCPP version. Pure; raises CommandError alone."""


def needed_id_tags(operation: Operation) -> Sequence[str] | None:
    """Return the id tags that the operation's builder reads from `OperationContext.id_tags`; None: all on file."""
    if isinstance(operation, SendLocalList):
        return None
    return [operation.id_tag] if isinstance(operation, Reserve) else []


def invalid(context: OperationContext, operation: Operation, path: str, reason: str) -> CommandInvalid:
    """Return the error for a parameter of an operation. `path` is a JSON pointer to it."""
    name = path.removeprefix("/")
    return CommandInvalid(context.cp.cp_id, type(operation).__name__, f"{name} {reason}", [(path, reason)])


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


def transaction_of(operation: RemoteStop | SetLimit, context: OperationContext) -> Transaction:
    """Return the open transaction to stop or limit. Raises TransactionNotIdentified when it is not exactly one."""
    cp = context.cp
    found = [tx for tx in cp.transactions.values() if operation.transaction in (None, tx.number)]
    if len(found) != 1:
        reason = "several transactions are open: name one" if found else "no such transaction is open"
        raise TransactionNotIdentified(cp.cp_id, type(operation).__name__, reason)
    return found[0]


def limited_transaction(operation: SetLimit, context: OperationContext) -> Transaction | None:
    """Return the open transaction that a limit is for, or None. Raises TransactionNotIdentified, CommandInvalid."""
    if operation.transaction is None:
        return None
    found = transaction_of(operation, context)
    if not found.connector_id.isdigit() or found.connector_id == "0":
        reason = "the charge point has not named the connector of the transaction"
        raise TransactionNotIdentified(context.cp.cp_id, "SetLimit", reason)
    if operation.connector_id not in (0, int(found.connector_id)):
        reason = f"must be {found.connector_id}, the connector of the transaction, or be left out"
        raise invalid(context, operation, "/connector_id", reason)
    return found


def schedule_of(operation: SetLimit, context: OperationContext) -> Payload:
    """Return a ChargingSchedule that begins now; the same in every version but for 2.x's id. Raises CommandInvalid."""
    return without_none(
        startSchedule=context.now,
        duration=operation.duration_s,
        chargingRateUnit=operation.unit,
        chargingSchedulePeriod=[
            without_none(startPeriod=period.start_s, limit=period.limit, numberPhases=period.phases)
            for period in _periods(operation, context)
        ],
    )


def _periods(operation: SetLimit, context: OperationContext) -> Sequence[LimitPeriod]:
    for path, reason in period_faults(operation):
        raise invalid(context, operation, path, reason)
    if operation.limit is None:
        return operation.periods
    return [LimitPeriod(start_s=0, limit=operation.limit, phases=operation.phases)]


def period_faults(operation: SetLimit) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, reason) of each fault in how a limit's periods fit together."""
    if (operation.limit is None) == (not operation.periods):
        yield "/limit", "must be given, or else periods, and not both"
    if operation.periods and operation.phases is not None:
        yield "/phases", "must be given in each period"
    for index, period in enumerate(operation.periods):
        before = operation.periods[index - 1].start_s if index else None
        if before is None and period.start_s != 0:
            yield f"/periods/{index}/start_s", "must be 0 in the first period"
        if before is not None and period.start_s <= before:
            yield f"/periods/{index}/start_s", "must be greater than in the period before"
        if operation.duration_s is not None and period.start_s >= operation.duration_s:
            yield f"/periods/{index}/start_s", "must lie within the duration"


def listed_tags(operation: SendLocalList, context: OperationContext) -> Sequence[IdTag]:
    """Return the id tags on file that go into the local list."""
    removed = {each.casefold() for each in operation.remove}
    wanted = None if operation.id_tags is None else {each.casefold() for each in operation.id_tags}
    return [
        tag
        for tag in context.id_tags
        if (key := tag.id_token.casefold()) not in removed and (wanted is None or key in wanted)
    ]


def removed_tags(operation: SendLocalList, context: OperationContext) -> Sequence[str]:
    """Return the id tags to delete from the local list, each once. Raises CommandInvalid for a full list."""
    if operation.update == "Full":
        if operation.remove:
            raise invalid(
                context, operation, "/remove", "needs a differential update: a full list replaces all entries"
            )
        return []
    on_file = {tag.id_token.casefold() for tag in context.id_tags}
    gone = [each for each in operation.id_tags or () if each.casefold() not in on_file]
    return list({each.casefold(): each for each in [*operation.remove, *gone]}.values())


def group_of(operation: Reserve, context: OperationContext, max_length: int) -> str | None:
    """Return the group of a reservation: the one given, or that of the id tag on file if the version can carry it."""
    if operation.parent_id_tag is not None:
        return operation.parent_id_tag
    for tag in context.id_tags:
        if tag.id_token.casefold() == operation.id_tag.casefold():
            return tag.parent if tag.parent and len(tag.parent) <= max_length else None
    return None


def signed_fields(operation: UpdateFirmware, context: OperationContext) -> Mapping[str, str]:
    """Return the fields of signed firmware, none if it is not signed. Raises CommandInvalid if one is missing."""
    given = without_none(signingCertificate=operation.signing_certificate, signature=operation.signature)
    if len(given) == 1:
        path = "/signature" if operation.signature is None else "/signing_certificate"
        raise invalid(context, operation, path, "is required: signature and certificate are given together")
    return given


def get_log(operation: GetLogs, context: OperationContext) -> OcppCall:
    """Return GetLog (OCPP 2.0.1 N01), which the security extension of 1.6 took over from 2.x."""
    log = without_none(
        remoteLocation=operation.location or context.upload_url(),
        oldestTimestamp=wire_time_of(operation.from_at),
        latestTimestamp=wire_time_of(operation.until_at),
    )
    log_type = {"diagnostics": "DiagnosticsLog", "security": "SecurityLog"}[operation.kind]
    return "GetLog", without_none(
        logType=log_type,
        requestId=random_id(),
        log=log,
        retries=operation.retries,
        retryInterval=operation.retry_interval_s,
    )
