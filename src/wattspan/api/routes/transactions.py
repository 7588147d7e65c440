"""Transactions: charging sessions, open and closed."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query

from wattspan.api import PREFIX
from wattspan.api.access.guard import Who, guarded
from wattspan.api.access.rights import Principal, Right
from wattspan.api.models import transactions as models
from wattspan.api.models.common import seconds
from wattspan.api.paging import Page, number_of, page
from wattspan.api.problems import Problem, not_found
from wattspan.api.services import Given, Services
from wattspan.csms import closing
from wattspan.domain.model import Transaction
from wattspan.errors import TransactionNotIdentified
from wattspan.store.queries import transactions as transaction_queries

router = APIRouter(prefix=PREFIX, tags=["transactions"])

Number = Annotated[int, Path(ge=1, lt=2**63, description="Wattspan's number of the transaction.")]


@router.get("/transactions", **guarded(Right.READ))
async def list_transactions(
    services: Given, who: Who, query: Annotated[models.TransactionQuery, Query()]
) -> Page[models.Transaction]:
    """List transactions, the newest first. Filtering by id tag requires the right to see id tags."""
    conditions = _conditions(who, query)
    await services.caught_up()
    found = await services.store.read(
        transaction_queries.list_transactions, conditions, number_of(query.cursor), query.limit + 1
    )
    shown = [_latest(services, each) for each in found]
    return page(
        shown, query.limit, lambda each: each.number, lambda each: models.transaction(each, whole=who.sees_id_tokens)
    )


@router.get("/transactions/totals", **guarded(Right.READ))
async def read_transaction_totals(
    services: Given, who: Who, query: Annotated[models.TransactionConditions, Query()]
) -> models.TransactionTotals:
    """Return number, energy and duration of the transactions that match."""
    now_ts = services.now_ts()
    await services.caught_up()
    found = await services.store.read(transaction_queries.transaction_totals, _conditions(who, query), now_ts)
    return models.TransactionTotals(
        transactions=found.number, open=found.open, energy_wh=found.energy_wh, duration_s=found.duration_s
    )


@router.get("/transactions/{number}", **guarded(Right.READ, 404))
async def read_transaction(
    services: Given,
    who: Who,
    number: Number,
    points: Annotated[int, Query(ge=1, le=5000, description="The maximum number of points of the curve.")] = 500,
) -> models.TransactionWhole:
    """Return one transaction with its timeline and meter curve."""
    await services.caught_up()
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
    try:
        closed = await _closed(services, found, close.meter_stop_wh)
    except TransactionNotIdentified as exc:
        raise Problem(409, "the transaction is closed already", kind="closed") from exc
    return models.transaction(closed, whole=who.sees_id_tokens)


def _conditions(who: Principal, query: models.TransactionConditions) -> transaction_queries.TransactionFilter:
    """Return the filter of a query. Raises Problem 403 for an id tag if the caller may not see id tags."""
    if query.id_tag is not None and not who.sees_id_tokens:
        raise Problem(403, "viewers may not filter by id tag", kind="right")
    return transaction_queries.TransactionFilter(
        cp_id=query.cp_id,
        id_token=query.id_tag,
        open=query.open,
        from_ts=seconds(query.from_at),
        until_ts=seconds(query.until_at),
    )


async def _closed(services: Services, found: Transaction, meter_stop_wh: float | None) -> Transaction:
    """Close a transaction on the node of its charge point, and return it once that is durable."""
    where = (found.cp_id, found.transaction_id, found.number, meter_stop_wh)
    if services.router is None or found.cp_id in services.fleet.charge_points:
        return await closing.close_transaction(services.core, *where)
    await services.router.close(*where)
    return await services.store.read(transaction_queries.transaction, found.number) or found


def _latest(services: Services, found: Transaction) -> Transaction:
    """Return the fleet's own object of an open transaction, which is more recent than the stored one."""
    cp = services.fleet.charge_points.get(found.cp_id)
    running = None if cp is None else cp.transactions.get(found.transaction_id)
    return running if running is not None and running.number == found.number else found
