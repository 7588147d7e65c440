"""Samples of one charge point: what is measured between two looks at the fleet. It writes nothing.

Energy is taken from the charge point's total and its open transactions, so that nothing delivered between two samples
is lost. A connector's energy comes from the transactions seen on it: one that begins and ends between two samples is in
the charge point's energy only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan

from wattspan.domain.model import ChargePoint, Connector, Transaction
from wattspan.store.series.blocks import WHOLE

FAULTED = "Faulted"

Sample = Mapping[str, tuple[float, ...]]
"""The values of CHANNELS by place."""


@dataclass(slots=True)
class Meter:
    """The energy of a charge point at the last sample."""

    total_wh: float
    open: dict[str, tuple[Transaction, float]] = field(default_factory=dict)
    """The transaction on each connector and its energy."""


def meter_of(cp: ChargePoint) -> Meter:
    """Return the present energy, from which the next sample counts."""
    meter = Meter(_total_wh(cp))
    for connector in cp.connectors.values():
        if connector.transaction is not None:
            meter.open[connector.connector_id] = (connector.transaction, connector.transaction.meter.energy_wh)
    return meter


def sample_of(cp: ChargePoint, meter: Meter) -> Sample:
    """Return the sample since `meter` was last used, and update it."""
    connected = 1.0 if cp.connected else 0.0
    places: dict[str, tuple[float, ...]] = {}
    power_w = current_a = nan
    faults = 0.0
    for connector in cp.connectors.values():
        faulted = 1.0 if connector.status == FAULTED else 0.0
        faults += faulted
        connector_w = _measured(connector.power_w, cp)
        connector_a = _measured(connector.current_a, cp)
        power_w, current_a = _added(power_w, connector_w), _added(current_a, connector_a)
        if connector.connector_id == "0" and not connector.had_transaction:
            continue
        places[connector.connector_id] = (
            connector_w,
            _energy_wh(connector, meter),
            0.0 if connector.transaction is None else 1.0,
            connected,
            faulted,
            connector_a,
        )
    total_wh = _total_wh(cp)
    delivered_wh = max(0.0, total_wh - meter.total_wh)
    meter.total_wh = max(total_wh, meter.total_wh)
    places[WHOLE] = (power_w, delivered_wh, float(len(cp.transactions)), connected, faults, current_a)
    return places


def _measured(value: float | None, cp: ChargePoint) -> float:
    return nan if value is None or not cp.connected else value


def _added(total: float, value: float) -> float:
    """Return the sum, where NaN adds nothing."""
    if isnan(value):
        return total
    return value if isnan(total) else total + value


def _energy_wh(connector: Connector, meter: Meter) -> float:
    running = connector.transaction
    last = meter.open.get(connector.connector_id)
    delivered_wh = 0.0
    if last is not None:
        transaction, before_wh = last
        delivered_wh = transaction.meter.energy_wh - before_wh
    if running is None:
        if last is not None:
            del meter.open[connector.connector_id]
    else:
        now_wh = running.meter.energy_wh
        if last is None or last[0] is not running:
            delivered_wh += now_wh - running.booked_wh
        meter.open[connector.connector_id] = (running, now_wh)
    return max(0.0, delivered_wh)


def _total_wh(cp: ChargePoint) -> float:
    return cp.energy_total_wh + sum(each.meter.energy_wh - each.booked_wh for each in cp.transactions.values())
