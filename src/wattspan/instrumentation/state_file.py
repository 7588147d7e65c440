"""`StateFile`: counters and open sessions of an instrumented program in an SQLite file, so that a restart keeps them.

It owns the format. A row is JSON: the fields of an object, by name. Only the standard library's `sqlite3` is used,
because an instrumented program need not have the server's dependencies. One process at a time may use a file.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
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
CREATE TABLE IF NOT EXISTS connectors (
    cp_id TEXT, connector_id TEXT, data TEXT NOT NULL, PRIMARY KEY (cp_id, connector_id)
);
CREATE TABLE IF NOT EXISTS transactions (number INTEGER PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, data TEXT NOT NULL);
"""
_NOT_OF_CHARGE_POINT = frozenset({"connectors", "transactions", "connected", "outage_counted"})
_NOT_OF_CONNECTOR = frozenset({"transaction", "clock_skew", "last_meter_values"})
_NOT_OF_COUNTERS = frozenset({"sockets", "started_ts"})


@dataclass(slots=True)
class Changed:
    """Rows to write: statements with their parameters."""

    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def add(self, statement: str, *parameters: Any) -> None:
        self.statements.append((statement, parameters))


class StateFile:
    """An open file, which no other process can use. Not for two threads at once, except `changed` beside `write`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

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
            self.write(Changed([(_SET_META, ("token_key", _json(found)))]))
        return bytes.fromhex(found)

    def restore(self) -> tuple[Fleet, ServerCounters]:
        """Return the state as it was saved; no charge point is connected."""
        fleet, read = Fleet(assigns_ids=False), self._connection.execute
        for cp_id, data in read("SELECT cp_id, data FROM charge_points"):
            fleet.charge_points[cp_id] = _restored(ChargePoint, json.loads(data))
        for cp_id, connector_id, data in read("SELECT cp_id, connector_id, data FROM connectors"):
            if cp_id in fleet.charge_points:
                fleet.charge_points[cp_id].connectors[connector_id] = _restored(Connector, json.loads(data))
        for (data,) in read("SELECT data FROM transactions ORDER BY number"):
            _restore_transaction(fleet, json.loads(data))
        fleet.last_number = max(fleet.last_number, self._meta("last_number") or 0)
        counters = ServerCounters(started_ts=time.time())
        _fill(counters, self._meta("counters") or {})
        return fleet, counters

    def changed(self, fleet: Fleet, counters: ServerCounters) -> Changed:
        """Return what changed since the last call. The caller holds the lock of the fleet."""
        changes, fleet.changes = fleet.changes, Changes()
        changed = Changed()
        for cp_id in changes.decommissioned:
            changed.add("DELETE FROM charge_points WHERE cp_id = ?", cp_id)
            changed.add("DELETE FROM connectors WHERE cp_id = ?", cp_id)
        for cp in (changes.charge_points | changes.stale_charge_points).values():
            changed.add(_SET_CHARGE_POINT, cp.cp_id, _dumped(cp, _NOT_OF_CHARGE_POINT))
        for (cp_id, connector_id), connector in (changes.connectors | changes.stale_connectors).items():
            changed.add(_SET_CONNECTOR, cp_id, connector_id, _dumped(connector, _NOT_OF_CONNECTOR))
        for number, transaction in changes.transactions.items():
            if transaction.open:
                changed.add(_SET_TRANSACTION, number, _dumped(transaction, frozenset()))
            else:
                changed.add("DELETE FROM transactions WHERE number = ?", number)
        if changed.statements or changes.readings:
            changed.add(_SET_META, "last_number", _json(fleet.last_number))
            changed.add(_SET_META, "counters", _dumped(counters, _NOT_OF_COUNTERS))
        return changed

    def write(self, changed: Changed) -> None:
        """Write rows in one database transaction."""
        if not changed.statements:
            return
        with self._connection as connection:
            connection.execute("BEGIN")
            for statement, parameters in changed.statements:
                connection.execute(statement, parameters)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _meta(self, name: str) -> Any:
        row = self._connection.execute("SELECT data FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])


_SET_CHARGE_POINT = "INSERT OR REPLACE INTO charge_points VALUES (?, ?)"
_SET_CONNECTOR = "INSERT OR REPLACE INTO connectors VALUES (?, ?, ?)"
_SET_TRANSACTION = "INSERT OR REPLACE INTO transactions VALUES (?, ?)"
_SET_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version != SCHEMA and (version or tables):
        raise SettingsError([f"state file {path}: it is of another program or version"])
    connection.executescript(_TABLES)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _json(value: Any) -> str:
    return json.dumps(value, default=_encoded)  # not orjson, whose numbers have 64 bits: a trace id has 128


def _encoded(value: Any) -> Any:
    if isinstance(value, EnergyMeter):
        return [value.start_wh, value.energy_wh, value.register_wh, value.start_known]
    if isinstance(value, SeqNos):
        return str(value)
    raise TypeError(type(value))


def _dumped(value: Any, without: Iterable[str]) -> str:
    """Return the fields of a dataclass as JSON. A mapping whose keys are tuples becomes a list of keys and value."""
    return _json({
        each.name: _listed(getattr(value, each.name)) for each in fields(value) if each.name not in without
    })  # fmt: skip


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


def _restored(kind: type[Any], found: dict[str, Any]) -> Any:
    given = {each.name: found[each.name] for each in fields(kind) if each.name in _REQUIRED and each.name in found}
    made = kind(**given)
    _fill(made, found)
    if kind is Connector and made.problem is not None:
        made.problem = tuple(made.problem)
    return made


_REQUIRED = frozenset({"cp_id", "known_since_ts", "connector_id"})


def _restore_transaction(fleet: Fleet, found: dict[str, Any]) -> None:
    start_wh, energy_wh, register_wh, start_known = found.pop("meter")
    found["meter"] = EnergyMeter.restore(start_wh, energy_wh, register_wh, start_known=start_known)
    found["seq_nos"] = SeqNos.parse(found["seq_nos"])
    found["timeline"] = [TimelineEntry(*entry) for entry in found["timeline"]]
    known = {each.name for each in fields(Transaction)}
    transaction = Transaction(**{name: value for name, value in found.items() if name in known})
    cp = fleet.charge_points.get(transaction.cp_id)
    if cp is not None:
        cp.transactions[transaction.transaction_id] = transaction
        cp.connector(transaction.connector_id).transaction = transaction
    fleet.last_number = max(fleet.last_number, transaction.number)
