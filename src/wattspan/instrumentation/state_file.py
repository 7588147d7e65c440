"""`StateFile`: counters and open sessions of an instrumented program in an SQLite file, so that a restart keeps them.

It owns the format: a row for each charge point, with its connectors and open transactions, whose fields are JSON by
name. Only the standard library's `sqlite3` is used, because an instrumented program need not have the server's
dependencies. One process at a time may use a file.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any

from wattspan.domain.changes import Changes
from wattspan.domain.counters import ServerCounters
from wattspan.domain.energy import EnergyMeter
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Connector, TimelineEntry, Transaction
from wattspan.domain.sequence import SeqNos
from wattspan.errors import SettingsError
from wattspan.telemetry.tokens import KEY_BYTES

SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS charge_points (cp_id TEXT PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, data TEXT NOT NULL);
"""
_SET_CHARGE_POINT = "INSERT OR REPLACE INTO charge_points VALUES (?, ?)"
_REMOVE_CHARGE_POINT = "DELETE FROM charge_points WHERE cp_id = ?"
_SET_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_NOT_SAVED = frozenset({
    "clock_offset",
    "clock_skew",
    "connected",
    "connectors",
    "last_meter_values",
    "outage_counted",
    "sockets",
    "transaction",
    "transactions",
})  # fmt: skip
"""Fields that have rows or places of their own, or belong to this run alone."""

Statement = tuple[str, tuple[Any, ...]]
"""A statement of SQL and its parameters."""


class StateFile:
    """An open file, which no other process can use. Not for two threads at once, except `changed` beside `write`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._unsaved: set[str] = set()
        """The ids of charge points that changed and may not be written yet."""

    @classmethod
    def open(cls, path: Path) -> "StateFile":
        """Open or create the file. Raises SettingsError if it is in use or is no such file."""
        try:
            connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA locking_mode=EXCLUSIVE")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute("BEGIN EXCLUSIVE")
                connection.execute("COMMIT")
                _prepare(connection, path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as exc:
            in_use = getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            reason = "another process uses it; each worker needs a file of its own" if in_use else str(exc)
            raise SettingsError([f"state file {path}: {reason}"]) from exc
        return cls(connection)

    def token_key(self) -> bytes:
        """Return the key that hashes id tokens, the same after each restart."""
        found = self._meta("token_key")
        if found is None:
            found = secrets.token_hex(KEY_BYTES)
            self._write([(_SET_META, ("token_key", _json(found)))])
        return bytes.fromhex(found)

    def restore(self) -> tuple[Fleet, ServerCounters]:
        """Return the state as it was saved; no charge point is connected."""
        fleet = Fleet(assigns_ids=False, keeps_readings=False)
        for cp_id, data in self._connection.execute("SELECT cp_id, data FROM charge_points"):
            fleet.charge_points[cp_id] = _restored_charge_point(json.loads(data))
        fleet.last_number = self._meta("last_number") or 0
        counters = ServerCounters(started_ts=0.0)
        _fill(counters, self._meta("counters") or {})
        counters.started_ts = time.time()
        return fleet, counters

    def save(self, fleet: Fleet, counters: ServerCounters, lock: AbstractContextManager[Any]) -> None:
        """Write what changed since the last call, in one database transaction.

        Raises sqlite3.Error; the next call then writes it. `lock` guards the fleet: it is held for one charge point at
        a time, so that no message waits for all of them.
        """
        with lock:
            changes, fleet.changes = fleet.changes, Changes()
        self._unsaved |= _changed(changes)
        statements: list[Statement] = []
        for cp_id in self._unsaved:
            with lock:
                cp = fleet.charge_points.get(cp_id)
                row = (_REMOVE_CHARGE_POINT, (cp_id,)) if cp is None else (_SET_CHARGE_POINT, (cp_id, _row(cp)))
            statements.append(row)
        if statements:
            with lock:
                statements.append((_SET_META, ("last_number", _json(fleet.last_number))))
                statements.append((_SET_META, ("counters", _json(_dumped(counters)))))
            self._write(statements)
            self._unsaved.clear()

    def _write(self, statements: Sequence[Statement]) -> None:
        with self._connection as connection:
            connection.execute("BEGIN")
            for statement, parameters in statements:
                connection.execute(statement, parameters)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _meta(self, name: str) -> Any:
        row = self._connection.execute("SELECT data FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version != SCHEMA and (version or tables):
        raise SettingsError([f"state file {path}: it is of another program or version"])
    connection.executescript(_TABLES)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _changed(changes: Changes) -> set[str]:
    """Return the ids of the charge points that changed."""
    found = {*changes.charge_points, *changes.stale_charge_points, *changes.decommissioned}
    found.update(cp_id for cp_id, _ in (*changes.connectors, *changes.stale_connectors))
    found.update(transaction.cp_id for transaction in changes.transactions.values())
    return found


def _row(cp: ChargePoint) -> str:
    return _json({
        "charge_point": _dumped(cp),
        "connectors": [_dumped(connector) for connector in cp.connectors.values()],
        "transactions": [_dumped(transaction) for transaction in cp.transactions.values()],
        "current": {each.connector_id: each.transaction.number for each in cp.connectors.values() if each.transaction},
    })  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, default=_encoded)  # not orjson, whose numbers have 64 bits: a trace id has 128


def _encoded(value: Any) -> Any:
    if isinstance(value, EnergyMeter):
        return [value.start_wh, value.energy_wh, value.register_wh, value.start_known]
    if isinstance(value, SeqNos):
        return str(value)
    raise TypeError(type(value))


def _dumped(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass. A mapping whose keys are tuples becomes a list of keys and value."""
    return {each.name: _listed(getattr(value, each.name)) for each in fields(value) if each.name not in _NOT_SAVED}


def _listed(value: Any) -> Any:
    if isinstance(value, dict) and any(isinstance(key, tuple) for key in value):
        return [[*key, each] for key, each in value.items()]
    return value


def _fill(target: Any, found: dict[str, Any]) -> None:
    """Set the fields that were found; fields of another version are left as they are."""
    for each in fields(target):
        if each.name not in found:
            continue
        value, now = found[each.name], getattr(target, each.name)
        if isinstance(now, dict) and isinstance(value, list):
            value = {tuple(key): number for *key, number in value}
        setattr(target, each.name, value)


def _restored_charge_point(found: dict[str, Any]) -> ChargePoint:
    own = found["charge_point"]
    cp = ChargePoint(cp_id=own["cp_id"], known_since_ts=own["known_since_ts"])
    _fill(cp, own)
    for each in found["connectors"]:
        connector = cp.connectors[each["connector_id"]] = Connector(connector_id=each["connector_id"])
        _fill(connector, each)
        if connector.problem is not None:
            kind, at_ts = connector.problem
            connector.problem = (kind, at_ts)
    by_number = {}
    for each in found["transactions"]:
        transaction = by_number[each["number"]] = _restored_transaction(each)
        cp.transactions[transaction.transaction_id] = transaction
    for connector_id, number in found["current"].items():
        cp.connectors[connector_id].transaction = by_number.get(number)
    return cp


def _restored_transaction(found: dict[str, Any]) -> Transaction:
    start_wh, energy_wh, register_wh, start_known = found["meter"]
    known = {each.name for each in fields(Transaction)}
    given = {name: value for name, value in found.items() if name in known}
    given["meter"] = EnergyMeter.restore(start_wh, energy_wh, register_wh, start_known=start_known)
    given["seq_nos"] = SeqNos.parse(found["seq_nos"])
    given["timeline"] = [TimelineEntry(*entry) for entry in found["timeline"]]
    return Transaction(**given)
