"""Removes an id token from every table: which columns can hold it, and how it is replaced in each.

It works in slices, so that the reads stay short and the writes do not hold up messages.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wattspan.domain.erased_token import START_KEY, ErasedToken
from wattspan.store.codec import from_json, to_json
from wattspan.store.schema import tables as t

SLICE = 20_000
"""Rows read at once from a table that grows."""
BATCH_SIZE = 200
"""Rows written in one transaction."""
SIGNED_LENGTH = 200
"""Samples at least this long may hold a signed value, whose base64 SQL cannot search."""

Replace = Callable[[ErasedToken, str], str]


def _in_json(token: ErasedToken, text: str) -> str:
    return _parsed(token, text, keep_numbers=False)


def _in_samples(token: ErasedToken, text: str) -> str:
    return _parsed(token, text, keep_numbers=True)


def _parsed(token: ErasedToken, text: str, *, keep_numbers: bool) -> str:
    try:
        value = from_json(text)
    except ValueError:
        return token.in_text(text)
    replaced = token.in_json(value, keep_numbers=keep_numbers)
    return text if replaced == value else to_json(replaced)


REPLACEMENTS: Mapping[sa.Column[Any], Replace] = {
    t.id_tags.c.parent: ErasedToken.in_value,
    t.id_tags.c.note: ErasedToken.in_text,
    t.transactions.c.id_token: ErasedToken.in_value,
    t.transactions.c.reason: ErasedToken.in_text,
    t.transactions.c["story"]: _in_json,
    t.meter_readings.c.samples: _in_samples,
    t.sample_shapes.c.template: _in_json,
    t.reservations.c.id_token: ErasedToken.in_value,
    t.reservations.c.parent_id_token: ErasedToken.in_value,
    t.audit.c.target: ErasedToken.in_path,
    t.security_events.c.type: ErasedToken.in_text,
    t.security_events.c.tech_info: ErasedToken.in_text,
    t.charge_points.c.name: ErasedToken.in_text,
    t.charge_points.c.location: ErasedToken.in_text,
    t.charge_points.c.note: ErasedToken.in_text,
    t.connectors.c.profiles: _in_json,
    t.device_attributes.c.value: ErasedToken.in_text,
    t.event_streams.c.value: ErasedToken.in_text,
    t.unwritable.c.row: _in_json,
    t.unwritable.c.fault: ErasedToken.in_text,
    t.api_tokens.c.label: ErasedToken.in_text,
    t.stored_files.c.name: ErasedToken.in_text,
    t.state_changes.c.detail: ErasedToken.in_text,
    t.jobs.c["name"]: ErasedToken.in_text,
    t.jobs.c.parameters: _in_json,
    t.jobs.c.reason: ErasedToken.in_text,
    t.job_targets.c.detail: ErasedToken.in_text,
    t.planned_outages.c.reason: ErasedToken.in_text,
    **{t.sites.c[name]: ErasedToken.in_text for name in ("name", "address", "note")},
    t.sites.c["labels"]: _in_json,
    t.charge_point_places.c["labels"]: _in_json,
    t.saved_views.c["name"]: ErasedToken.in_text,
    t.saved_views.c["query"]: _in_json,
}
"""How the token is replaced in each column that can hold it. `NO_TOKEN` names the others."""

NO_TOKEN: frozenset[sa.Column[Any]] = frozenset({
    *(table.c.cp_id for table in t.metadata.tables.values() if "cp_id" in table.c),
    *(c for c in t.charge_points.c if c.name in {"protocol", "vendor", "model", "serial_number", "firmware", "status"}),
    *(t.charge_points.c[name] for name in ("firmware_status", "log_status", "counters", "secret", "other_secret")),
    *(t.charge_points.c[name] for name in ("unknown_id_tags", "pending_secrets", "registered_serial")),
    *(t.signing_requests.c[name] for name in ("kind", "state", "reason", "serial", "chain", "echo")),
    *(t.file_transfers.c.kind, t.file_transfers.c.status, t.installed_certificates.c.type),
    t.installed_certificates.c.certificates,
    *(t.connectors.c[name] for name in ("connector_id", "status", "error_code", "last_meter_values", "outlets")),
    *(t.transactions.c[name] for name in ("connector_id", "transaction_id", "trace_id", "span_id", "first_span_id")),
    *(t.transactions.c[name] for name in ("key", "id_token_type", "charging_state", "seq_nos")),
    *(t.transactions.c[name] for name in ("meter_state", "energy_correction")),
    *(t.id_tags.c[name] for name in ("id_key", "id_token", "status", "type", "evse_ids", "tag_group")),
    t.id_tags.c.last_used_cp_id,
    *(t.meter_readings.c.connector_id, t.reservations.c.connector_id, t.issued_certificates.c.serial),
    *(t.device_attributes.c[name] for name in (*t.VARIABLE_COLUMNS, "type", "mutability")),
    *(t.device_characteristics.c[name] for name in (*t.VARIABLE_COLUMNS, "data_type", "unit", "values_list")),
    *(t.device_monitors.c[name] for name in (*t.VARIABLE_COLUMNS, "type", "kind")),
    *(t.unwritable.c.table_name, t.marks.c.name, t.charge_points.c.owner),
    *(t.nodes.c[name] for name in ("name", "instance", "version", "metrics_url", "api_url")),
    *(t.users.c[name] for name in ("user_key", "name", "role", "password")),
    *(t.login_sessions.c.digest, t.login_sessions.c.user_key),
    *(t.api_tokens.c[name] for name in ("digest", "token_id", "user_key", "scopes")),
    *(t.audit.c[name] for name in ("who", "by_means_of", "action", "trace_id")),
    *(t.stored_files.c[name] for name in ("file_id", "kind", "sha256")),
    *(t.state_changes.c[name] for name in ("kind", "connector_id", "state")),
    *(t.jobs.c[name] for name in ("job_id", "operation", "state", "node", "created_by")),
    *(t.job_targets.c[name] for name in ("job_id", "state", "trace_id")),
    *(t.planned_outages.c.connector_id, t.planned_outages.c.created_by),
    *(t.sites.c.site_id, t.sites.c.time_zone, t.charge_point_places.c.site_id),
    *(t.saved_views.c[name] for name in ("view_id", "user_key", "page")),
})  # fmt: skip
"""Columns of text that hold no id token: identifiers, words of OCPP, digests. The row of the tag itself is deleted, and
the key of a transaction is replaced together with its token."""


@dataclass(frozen=True, slots=True)
class Change:
    """A row to be changed: its key, what was read, and what is written instead. Columns by name.

    `cp_id`: the charge point that it is about; None: none.
    """

    table: sa.Table
    key: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    cp_id: str | None = None


def tables() -> Sequence[sa.Table]:
    """Return the tables that can hold the token."""
    return [table for table in t.metadata.sorted_tables if any(column.table is table for column in REPLACEMENTS)]


def slices(connection: sa.Connection, table: sa.Table) -> list[tuple[int, int] | None]:
    """Return the ranges of keys in which to read a table: one `None`, all of it, if its key is no number."""
    key = _number_of(table)
    if key is None:
        return [None]
    bounds = connection.execute(sa.select(sa.func.min(key), sa.func.max(key))).one()
    if bounds[0] is None:
        return []
    return [(first, first + SLICE) for first in range(bounds[0], bounds[1] + 1, SLICE)]


def find(
    connection: sa.Connection, table: sa.Table, token: ErasedToken, within: tuple[int, int] | None
) -> list[Change]:
    """Return the changes that take the token out of a slice of a table."""
    columns = [column for column in REPLACEMENTS if column.table is table]
    keys = list(table.primary_key.columns)
    beside = [table.c[name] for name in ("cp_id", *(("key",) if table is t.transactions else ())) if name in table.c]
    shown = [*dict.fromkeys([*keys, *columns, *beside])]
    query = sa.select(*shown).where(sa.or_(*(_may_hold(column, token) for column in columns)))
    number = _number_of(table)
    if within is not None and number is not None:
        query = query.where(number >= within[0], number < within[1])
    found = []
    for row in connection.execute(query).mappings():
        before = {c.name: row[c.name] for c in columns if row[c.name] is not None}
        after = {c.name: REPLACEMENTS[c](token, row[c.name]) for c in columns if row[c.name] is not None}
        if table is t.transactions and after["id_token"] != before["id_token"] and row["key"].startswith(START_KEY):
            before["key"], after["key"] = row["key"], token.start_key(row["number"])
        changed = [name for name in before if before[name] != after[name]]
        if changed:
            key = {c.name: row[c.name] for c in keys}
            found.append(
                Change(
                    table,
                    key,
                    {name: before[name] for name in changed},
                    {name: after[name] for name in changed},
                    row.get("cp_id"),
                )
            )
    return found


def apply(connection: sa.Connection, changes: Sequence[Change]) -> int:
    """Make the changes, except to rows that were changed meanwhile. Return how many were made.

    All transactions that write several rows of charge points lock them in one order, so that they can't block each
    other: first the charge points in the order in which batches do (`journal.fence`), then rows by their keys.
    """
    _overwrite_deleted(connection)
    _lock_charge_points(connection, {change.cp_id for change in changes if change.cp_id is not None})
    made = 0
    for change in sorted(changes, key=lambda change: (change.table.name, tuple(change.key.values()))):
        c = change.table.c
        same = [c[name] == value for name, value in (change.key | change.before).items()]  # type: ignore[operator]
        made += connection.execute(sa.update(change.table).where(*same).values(change.after)).rowcount
    return made


def remove(connection: sa.Connection, id_token: str) -> bool:
    """Delete the id tag on file. Return False if there was none."""
    _overwrite_deleted(connection)
    return connection.execute(sa.delete(t.id_tags).where(t.id_tags.c.id_key == id_token.casefold())).rowcount > 0


def _lock_charge_points(connection: sa.Connection, cp_ids: Collection[str]) -> None:
    if connection.dialect.name == "postgresql" and cp_ids:
        c = t.charge_points.c
        query = sa.select(c.cp_id).where(c.cp_id.in_(cp_ids)).order_by(c.cp_id).with_for_update(key_share=True)
        connection.execute(query)


def _number_of(table: sa.Table) -> sa.Column[Any] | None:
    """Return the key of a table that grows with its rows, or None."""
    keys = list(table.primary_key.columns)
    is_numbered = len(keys) == 1 and keys[0].name in ("id", "number") and table is not t.sample_shapes
    return keys[0] if is_numbered else None


def _may_hold(column: sa.Column[Any], token: ErasedToken) -> sa.ColumnElement[bool]:
    """Return a condition that holds for every row whose column holds the token; the caller looks closer."""
    if not token.id_token.isascii():
        return column.is_not(None)  # the databases do not fold its case as we do
    how, lowered = REPLACEMENTS[column], token.id_token.lower()
    if how is ErasedToken.in_value:
        return sa.func.lower(column) == lowered
    text = to_json(lowered)[1:-1] if how in (_in_json, _in_samples) else lowered
    holds = sa.func.lower(column).contains(text, autoescape=True)
    is_signed = sa.func.length(column) >= SIGNED_LENGTH
    return sa.or_(holds, is_signed) if how is _in_samples and token.is_searched else holds


def _overwrite_deleted(connection: sa.Connection) -> None:
    """Have SQLite overwrite what is deleted or replaced, from now on, instead of only marking it as free."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
