"""Transactions: charging sessions, open and closed."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query

from wattspan.api import PREFIX
from wattspan.api.access.guard import Who, guarded
from wattspan.api.access.rights import Right
from wattspan.api.models import records as models
from wattspan.api.models.common import seconds
from wattspan.api.paging import Page, number_of, page
from wattspan.api.problems import Problem, not_found
from wattspan.api.services import Given, Services
from wattspan.domain.events import TransactionStopped
from wattspan.domain.fleet import ORPHANED
from wattspan.domain.model import Transaction
from wattspan.store.queries import transactions as transaction_queries

router = APIRouter(prefix=PREFIX, tags=["transactions"])

Number = Annotated[int, Path(ge=1, lt=2**63, description="Wattspan's number of the transaction.")]


@router.get("/transactions", **guarded(Right.READ))
async def list_transactions(
    services: Given, who: Who, query: Annotated[models.TransactionQuery, Query()]
) -> Page[models.Transaction]:
    """List transactions, the newest first. Filtering by id tag requires the right to see id tags."""
    if query.id_tag is not None and not who.sees_id_tokens:
        raise Problem(403, "viewers may not filter by id tag", kind="right")
    conditions = transaction_queries.TransactionFilter(
        cp_id=query.cp_id,
        id_token=query.id_tag,
        open=query.open,
        from_ts=seconds(query.from_at),
        until_ts=seconds(query.until_at),
    )
    found = await services.store.read(
        transaction_queries.list_transactions, conditions, number_of(query.cursor), query.limit + 1
    )
    shown = [_latest(services, each) for each in found]
    return page(
        shown, query.limit, lambda each: each.number, lambda each: models.transaction(each, whole=who.sees_id_tokens)
    )


@router.get("/transactions/{number}", **guarded(Right.READ, 404))
async def read_transaction(
    services: Given,
    who: Who,
    number: Number,
    points: Annotated[int, Query(ge=1, le=5000, description="The maximum number of points of the curve.")] = 500,
) -> models.TransactionWhole:
    """Return one transaction with its timeline and meter curve."""
    found = await services.store.read(transaction_queries.transaction, number)
    if found is None:
        raise not_found("transaction")
    readings = list(await services.store.readings(number))
    each, whole = _latest(services, found), who.sees_id_tokens
    return await asyncio.to_thread(models.transaction_whole, each, readings, points, whole=whole)


@router.post("/transactions/{number}/close", **guarded(Right.WRITE, 404, 409))
async def close_transaction(services: Given, who: Who, number: Number, close: models.Close) -> models.Transaction:
    """Close a transaction whose stop was lost.

    A late stop of the charge point still corrects it, and meter values with its id open it again.
    """
    found = await services.store.read(transaction_queries.transaction, number)
    if found is None:
        raise not_found("transaction")
    cp = services.fleet.charge_points.get(found.cp_id)
    running = None if cp is None else cp.transactions.get(found.transaction_id)
    if running is None or running.number != number:
        raise Problem(409, "the transaction is closed already", kind="closed")
    await _record(services, _stop(running, close, services.now_ts()))
    return models.transaction(running, whole=who.sees_id_tokens)


def _stop(running: Transaction, close: models.Close, now_ts: float) -> TransactionStopped:
    return TransactionStopped(
        cp_id=running.cp_id,
        received_ts=now_ts,
        transaction_id=running.transaction_id,
        meter_stop_wh=close.meter_stop_wh,
        stopped_ts=None,
        reason=ORPHANED,
    )


async def _record(services: Services, event: TransactionStopped) -> None:
    """Apply the event, and return once it is durable. Raises StoreUnavailable; the event is stored later then."""
    services.core.record([event])
    await services.core.settled()


def _latest(services: Services, found: Transaction) -> Transaction:
    """Return the fleet's own object of an open transaction, which is more recent than the stored one."""
    cp = services.fleet.charge_points.get(found.cp_id)
    running = None if cp is None else cp.transactions.get(found.transaction_id)
    return running if running is not None and running.number == found.number else found
