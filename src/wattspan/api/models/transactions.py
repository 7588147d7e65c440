"""Transactions, their timelines and meter curves."""

from typing import Annotated

from pydantic import Field

from wattspan.api.models.common import At, Body, Payload, Shown, datetime_of, masked
from wattspan.api.paging import MAX_LIMIT
from wattspan.domain import model
from wattspan.store import records
from wattspan.telemetry.sessions import EXPORTED


class Transaction(Shown):
    """A charging session. `number` is Wattspan's, `transaction_id` OCPP's. `trace_id` is the session's trace.

    `energy_correction`: why the energy of a closed session is not the difference of the charger's registers of start
    and stop; "": it is.
    """

    number: int
    cp_id: str
    connector_id: str
    transaction_id: str
    id_tag: str
    open: bool
    began_at: At | None
    ended_at: At | None
    started_at: At | None
    stopped_at: At | None
    energy_wh: float
    meter_start_wh: float
    meter_stop_wh: float | None
    energy_correction: str
    reason: str
    reservation_id: int | None
    trace_id: str


class Reading(Shown):
    """A point of the meter curve. `at` is the charge point's time, or the server's if it sent none.

    `register_wh` is the meter's register as it was reported, `offered_a` the current that the charge point offered.
    """

    at: At | None
    energy_wh: float | None
    register_wh: float | None
    power_w: float | None
    current_a: float | None
    offered_a: float | None
    soc_percent: float | None


class TimelineEntry(Shown):
    """An entry in a session's timeline."""

    at: At | None
    name: str
    is_phase: bool
    attributes: Payload


class TransactionWhole(Transaction):
    """A charging session with its timeline and, thinned to at most the points asked for, its meter curve."""

    timeline: list[TimelineEntry]
    story: Annotated[list[TimelineEntry], Field(deprecated=True)]
    """The former name of `timeline`; it is removed in the next release."""
    curve: list[Reading]
    readings_total: int


class TransactionTotals(Shown):
    """The transactions that match a filter: how many, how many of them are open, and their totals until now."""

    transactions: int
    open: int
    energy_wh: float
    duration_s: float


class TransactionConditions(Body):
    """Filters of transactions. `from_at` and `until_at` apply to the start, by the server's clock."""

    cp_id: Annotated[str, Field(max_length=255)] | None = None
    id_tag: Annotated[str, Field(max_length=255)] | None = None
    open: bool | None = None
    from_at: At | None = None
    until_at: At | None = None


class TransactionQuery(TransactionConditions):
    """Filters of transactions, and the page."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 100
    cursor: Annotated[str, Field(max_length=1000)] | None = None


class Close(Body):
    """Close a transaction by hand. `meter_stop_wh` null: by the last reading."""

    meter_stop_wh: Annotated[float, Field(ge=0, le=1e12)] | None = None


def transaction(each: model.Transaction, *, whole: bool) -> Transaction:
    """Return the JSON of a transaction; `whole`: with the id tag unmasked."""
    return Transaction(**_transaction(each, whole))


def transaction_whole(
    each: model.Transaction, readings: list[records.StoredReading], points: int, *, whole: bool
) -> TransactionWhole:
    """Return the JSON of a transaction with timeline and meter curve. Slow: not on the event loop."""
    step = max(1, -(-len(readings) // points))
    kept = [reading for index, reading in enumerate(readings) if (len(readings) - 1 - index) % step == 0]
    timeline = [
        TimelineEntry(
            at=datetime_of(entry.ts),
            name=entry.name,
            is_phase=entry.phase,
            attributes={name: value for name, value in entry.attributes.items() if name != EXPORTED},
        )
        for entry in each.timeline
    ]
    return TransactionWhole(
        **_transaction(each, whole),
        timeline=timeline,
        story=timeline,
        curve=[
            Reading(
                at=datetime_of(reading.charger_ts if reading.charger_ts is not None else reading.received_ts),
                energy_wh=reading.energy_wh,
                register_wh=reading.register_wh,
                power_w=reading.power_w,
                current_a=reading.current_a,
                offered_a=reading.offered_a,
                soc_percent=reading.soc_percent,
            )
            for reading in kept
        ],
        readings_total=len(readings),
    )


def _transaction(each: model.Transaction, whole: bool) -> Payload:
    return {
        "number": each.number,
        "cp_id": each.cp_id,
        "connector_id": each.connector_id,
        "transaction_id": each.transaction_id,
        "id_tag": each.id_token if whole else masked(each.id_token),
        "open": each.open,
        "began_at": datetime_of(each.began_ts),
        "ended_at": datetime_of(each.ended_ts),
        "started_at": datetime_of(each.started_ts),
        "stopped_at": datetime_of(each.stopped_ts),
        "energy_wh": each.meter.energy_wh,
        "meter_start_wh": each.meter.start_wh,
        "meter_stop_wh": each.meter_stop_wh,
        "energy_correction": each.energy_correction,
        "reason": each.reason,
        "reservation_id": each.reservation_id,
        "trace_id": f"{each.trace_id:032x}",
    }
