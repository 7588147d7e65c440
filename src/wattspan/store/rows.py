"""Domain objects to rows and back. A row is a tuple in the order of its `COLUMNS`: a snapshot.

Some columns have older names than the fields they hold; only this module knows both.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from wattspan.domain.energy import EnergyMeter
from wattspan.domain.model import ChargePoint, Connector, TimelineEntry, Transaction
from wattspan.domain.repeats import LastMeterValues
from wattspan.domain.sequence import SeqNos
from wattspan.store.codec import from_json, to_json

Row = tuple[Any, ...]
Found = Mapping[Any, Any]
"""A row that was read, by column name."""

_PLAIN = (
    "cp_id",
    "known_since_ts",
    "protocol",
    "vendor",
    "model",
    "serial_number",
    "firmware",
    "firmware_status",
    "log_status",
    "last_msg_ts",
    "last_heartbeat_ts",
    "last_tx_ts",
    "status",
    "boots",
    "disconnects",
    "reconnects_during_tx",
    "tx_total",
    "energy_total_wh",
    "energy_overbooked_wh",
    "energy_jumps",
    "certificate_expires_ts",
)
_BY_LABEL = (
    "errors",
    "authorizations",
    "schema_faults",
    "mixed_versions",
    "limits_exceeded",
    "missed",
    "energy_corrections",
)
_BY_TWO_LABELS = ("call_errors", "call_rejections")

CHARGE_POINT_COLUMNS = (*_PLAIN, "counters", "connected")
_plain_of = attrgetter(*_PLAIN)

CONNECTOR_COLUMNS = (
    "cp_id",
    "connector_id",
    "status",
    "error_code",
    "status_ts",
    "fault_ts",
    "had_transaction",
    "transaction_number",
    "current_a",
    "power_w",
    "offered_a",
    "soc_percent",
    "reading_ts",
    "profiles",
    "last_meter_values",
    "outlets",
    "readings_through",
)

TRANSACTION_COLUMNS = (
    "number",
    "cp_id",
    "connector_id",
    "transaction_id",
    "key",
    "id_token",
    "start_wh",
    "energy_wh",
    "register_wh",
    "last_reading_ts",
    "started_ts",
    "started_received_ts",
    "reservation_id",
    "stopped_ts",
    "stopped_received_ts",
    "meter_stop_wh",
    "reason",
    "story",
    "trace_id",
    "span_id",
    "start_told",
    "id_token_type",
    "charging_state",
    "remote_start_id",
    "phases_used",
    "cable_max_a",
    "told_ts",
    "seq_nos",
    "booked_wh",
    "first_span_id",
    "meter_state",
    "energy_correction",
    "messages",
    "sampled",
    "readings_from",
    "readings_through",
)

METER_COLUMNS = (
    "energy_wh",
    "register_wh",
    "last_reading_ts",
    "told_ts",
    "seq_nos",
    "meter_state",
    "messages",
    "readings_through",
    "number",
)


def charge_point_row(cp: ChargePoint) -> Row:
    """Return the row of `cp`."""
    counters: dict[str, Any] = {name: getattr(cp, name) for name in _BY_LABEL}
    for name in _BY_TWO_LABELS:
        counters[name] = [[*labels, count] for labels, count in getattr(cp, name).items()]
    return (*_plain_of(cp), to_json(counters), cp.connected)


def to_charge_point(found: Found) -> ChargePoint:
    """Return the charge point of a row, not connected, without its connectors and transactions."""
    counters = from_json(found["counters"])
    labelled = {name: counters.get(name, {}) for name in _BY_LABEL}
    for name in _BY_TWO_LABELS:
        labelled[name] = {(first, second): count for first, second, count in counters.get(name, ())}
    return ChargePoint(**{name: found[name] for name in _PLAIN}, **labelled)


def connector_row(cp_id: str, connector: Connector) -> Row:
    """Return the row of `connector`, without `readings_through`, which the writer adds."""
    return (
        cp_id,
        connector.connector_id,
        connector.status,
        connector.error_code,
        connector.status_ts,
        connector.fault_ts,
        connector.had_transaction,
        None if connector.transaction is None else connector.transaction.number,
        connector.current_a,
        connector.power_w,
        connector.offered_a,
        connector.soc_percent,
        connector.reading_ts,
        to_json(connector.profiles),
        connector.last_meter_values.digest,
        to_json(connector.outlets),
    )


def to_connector(found: Found) -> Connector:
    """Return the connector of a row, without its transaction."""
    plain = CONNECTOR_COLUMNS[1:6] + CONNECTOR_COLUMNS[8:13]
    return Connector(
        **{name: found[name] for name in plain},
        had_transaction=bool(found["had_transaction"]),
        profiles=from_json(found["profiles"]),
        last_meter_values=LastMeterValues(found["last_meter_values"]),
        outlets=from_json(found["outlets"]),
    )


def transaction_row(t: Transaction) -> Row:
    """Return the row of `t`, without the two columns about readings, which the writer adds."""
    return (
        t.number,
        t.cp_id,
        t.connector_id,
        t.transaction_id,
        t.key,
        t.id_token,
        t.meter.start_wh,
        t.meter.energy_wh,
        t.meter.register_wh,
        t.last_reading_ts,
        t.started_ts,
        t.started_received_ts,
        t.reservation_id,
        t.stopped_ts,
        t.stopped_received_ts,
        t.meter_stop_wh,
        t.reason,
        to_json([tuple(entry) for entry in t.timeline]),
        f"{t.trace_id:032x}",
        f"{t.span_id:016x}",
        t.meter.start_known,
        t.id_token_type,
        t.charging_state,
        t.remote_start_id,
        t.phases_used,
        t.cable_max_a,
        t.newest_charger_ts,
        str(t.seq_nos),
        t.booked_wh,
        f"{t.first_span_id:016x}" if t.first_span_id else "",
        to_json(t.meter.dump()),
        t.energy_correction,
        t.messages,
        t.sampled,
    )


def meter_row(t: Transaction) -> Row:
    """Return the columns of `t` that readings change, without `readings_through`, which the writer adds."""
    meter = t.meter
    return (
        meter.energy_wh,
        meter.register_wh,
        t.last_reading_ts,
        t.newest_charger_ts,
        str(t.seq_nos),
        to_json(meter.dump()),
        t.messages,
        t.number,
    )


def to_transaction(found: Found) -> Transaction:
    """Return the transaction of a row, with its meter and its timeline."""
    same = TRANSACTION_COLUMNS[:6] + TRANSACTION_COLUMNS[9:17] + TRANSACTION_COLUMNS[21:26]
    return Transaction(
        **{name: found[name] for name in same},
        meter=_to_meter(found),
        energy_correction=found["energy_correction"],
        messages=found["messages"],
        sampled=None if found["sampled"] is None else bool(found["sampled"]),
        newest_charger_ts=found["told_ts"],
        seq_nos=SeqNos.parse(found["seq_nos"]),
        timeline=[
            TimelineEntry(ts, name, attributes, phase) for ts, name, attributes, phase in from_json(found["story"])
        ],
        trace_id=int(found["trace_id"], 16),
        span_id=int(found["span_id"], 16),
        booked_wh=found["booked_wh"],
        first_span_id=int(found["first_span_id"] or "0", 16),
    )


def _to_meter(found: Found) -> EnergyMeter:
    """Return the meter of a transaction's row. Rows of releases before 0.3 have no state."""
    start_known = bool(found["start_told"])
    if found["meter_state"]:
        dumped = from_json(found["meter_state"])
        return EnergyMeter.load(found["start_wh"], found["energy_wh"], start_known=start_known, dumped=dumped)
    return EnergyMeter.restore(found["start_wh"], found["energy_wh"], found["register_wh"], start_known=start_known)
