"""What a replay found, as plain data: the content of the report in every form."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, overload

from wattspan.domain.fleet import Fleet
from wattspan.replay.findings import Findings
from wattspan.replay.player import MAX_SESSIONS, NS, Answers, Player, Session
from wattspan.replay.reader import SHOWN, ReadCounts, UnreadableLine

Row = dict[str, Any]

MASKED_CHARACTERS = 4
"""Of an id token, at most this many characters at its end are shown, and never more than a third."""


@dataclass(frozen=True, slots=True)
class EncodedRows(Sequence[Row]):
    """Rows as JSON, which takes a quarter of the memory of their objects. A row is decoded when it is read."""

    encoded: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.encoded)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "EncodedRows": ...
    def __getitem__(self, index: int | slice) -> "Row | EncodedRows":
        if isinstance(index, slice):
            return EncodedRows(self.encoded[index])
        row: Row = json.loads(self.encoded[index].decode(errors="surrogatepass"))
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a replay. Rows are JSON objects; times are ISO 8601 in UTC."""

    files: Row
    charge_points: Sequence[Row]
    sessions: Sequence[Row]
    findings: Sequence[Row]
    answers: Sequence[Row]
    findings_left_out: int = 0

    def json_parts(self) -> Iterator[str]:
        """Yield the text of one JSON object with all of it, row by row: a long log has a long report."""
        for number, each in enumerate(fields(self)):
            yield f'{", " if number else "{"}"{each.name}": '
            value = getattr(self, each.name)
            if isinstance(value, EncodedRows):
                yield from _json_list(row.decode(errors="surrogatepass") for row in value.encoded)
            elif isinstance(value, Sequence):
                yield from _json_list(_json(row) for row in value)
            else:
                yield _json(value)
        yield "}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """The row of a session, and what the report is put together by. `place`: the record that began it."""

    place: int
    cp_id: str
    energy_wh: float
    encoded: bytes
    """The row as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What the player of some charge points found. Shares are small beside the log, and can be pickled."""

    files: Row
    unreadable_of_wanted: int
    """Of the unreadable lines, those that only this player's reader counted."""
    first_unreadable: Mapping[str, Sequence[UnreadableLine]]
    """By file."""
    charge_points: Mapping[str, Row]
    """Rows without the figures of sessions, by charge point."""
    sessions: Sequence[SessionRow]
    findings: Findings
    answers: Mapping[tuple[str, str], Answers]


def share_of(player: Player, counts: ReadCounts, *, masked: bool = True, curves: bool = False) -> Share:
    """Return what a player found. `masked`: id tokens are shown in part. `curves`: sessions have meter curves.

    It takes the curves from the player, so that they are not held twice.
    """
    fleet = player.observer.fleet
    return Share(
        files={
            "formats": counts.formats,
            "lines": counts.lines,
            "messages": player.messages,
            "ignored_lines": counts.ignored,
            "repeated_lines": counts.repeated,
            "unreadable_lines": counts.unreadable + counts.unreadable_of_wanted,
            "first_unreadable": [],
            "messages_without_time": counts.untimed,
            "began_at": iso(player.first_ts),
            "ended_at": iso(player.now_ts if player.first_ts is not None else None),
        },
        unreadable_of_wanted=counts.unreadable_of_wanted,
        first_unreadable=counts.first_unreadable,
        charge_points={cp_id: _charge_point(fleet, player, cp_id) for cp_id in fleet.charge_points},
        sessions=[_session_row(each, masked=masked, curves=curves) for each in player.sessions.values()],
        findings=player.findings,
        answers=player.answers,
    )


def report_of(shares: Sequence[Share]) -> Report:
    """Return the report of all shares of a log; it is the same for any division of the charge points."""
    sessions = sorted((row for share in shares for row in share.sessions), key=lambda row: row.place)[:MAX_SESSIONS]
    charge_points = {cp_id: row for share in shares for cp_id, row in share.charge_points.items()}
    energies_wh: dict[str, list[float]] = {cp_id: [] for cp_id in charge_points}
    for each in sessions:
        energies_wh[each.cp_id].append(each.energy_wh)
    findings, answers = Findings(), dict[tuple[str, str], Answers]()
    findings.merge(share.findings for share in shares)
    for share in shares:
        for key, found in share.answers.items():
            answers.setdefault(key, Answers()).merge(found)
    return Report(
        files=shares[0].files
        | {
            "messages": sum(share.files["messages"] for share in shares),
            "unreadable_lines": shares[0].files["unreadable_lines"]
            + sum(share.unreadable_of_wanted for share in shares[1:]),
            "first_unreadable": _first_unreadable(shares),
        },
        charge_points=[
            charge_points[cp_id] | {"sessions": len(energies_wh[cp_id]), "energy_wh": round(sum(energies_wh[cp_id]), 3)}
            for cp_id in sorted(charge_points)
        ],
        sessions=EncodedRows([each.encoded for each in sessions]),
        findings=[
            {
                "kind": each.kind,
                "cp_id": each.cp_id,
                "text": each.text,
                "count": each.count,
                "first_where": each.where,
                "first_at": iso(each.first_ts),
            }
            for each in findings
        ],
        answers=[
            {
                "direction": direction,
                "action": action,
                "count": each.count,
                "mean_s": round(each.total_ns / each.count / NS, 3),
                "slowest_s": round(each.slowest_ns / NS, 3),
                "slowest_where": each.slowest_where,
            }
            for (direction, action), each in sorted(answers.items())
        ],
        findings_left_out=findings.left_out,
    )


def _first_unreadable(shares: Sequence[Share]) -> list[Row]:
    """Return the first unreadable lines of the files, in the order in which the files were named."""
    found: list[UnreadableLine] = []
    for file in shares[0].files["formats"]:
        lines = {each.line: each for share in shares for each in share.first_unreadable.get(file, ())}
        found += [lines[line] for line in sorted(lines)]
    return [asdict(each) for each in found[:SHOWN]]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json_list(rows: Iterator[str]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        yield f"{', ' if number else ''}{row}"
    yield "]"


def iso(ts: float | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC; None for None."""
    return None if ts is None else datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds")


def mask_token(token: str) -> str:
    """Return an id token with all but its last characters replaced."""
    shown = min(MASKED_CHARACTERS, len(token) // 3)
    return "…" + token[len(token) - shown :] if token else ""


def _charge_point(fleet: Fleet, player: Player, cp_id: str) -> Row:
    cp = fleet.charge_points[cp_id]
    return {
        "cp_id": cp_id,
        "version": cp.protocol,
        "vendor": cp.vendor,
        "model": cp.model,
        "firmware": cp.firmware,
        "connectors": len(cp.connectors.keys() - {"0"}),
        "connections": player.connections.get(cp_id, 0),
        "boots": cp.boots,
        "sessions": 0,
        "energy_wh": 0.0,
        "faults": sum(cp.errors.values()),
    }


def _session_row(session: Session, *, masked: bool, curves: bool) -> SessionRow:
    row = _session(session, masked=masked, curves=curves)
    session.curve.clear()
    transaction = session.transaction
    return SessionRow(
        place=session.place,
        cp_id=transaction.cp_id,
        energy_wh=transaction.meter.energy_wh,
        encoded=_json(row).encode(errors="surrogatepass"),
    )


def _session(session: Session, *, masked: bool, curves: bool) -> Row:
    transaction = session.transaction
    ended_ts = transaction.ended_ts
    row: Row = {
        "cp_id": transaction.cp_id,
        "connector_id": transaction.connector_id,
        "transaction_id": transaction.transaction_id,
        "id_tag": mask_token(transaction.id_token) if masked else transaction.id_token,
        "began_at": iso(transaction.began_ts),
        "ended_at": iso(ended_ts),
        "duration_s": None if ended_ts is None else round(ended_ts - transaction.began_ts, 3),
        "energy_wh": round(transaction.meter.energy_wh, 3),
        "reason": transaction.reason,
        "errors": session.errors,
        "where": session.where,
        "timeline": [{"at": iso(entry.ts), "name": entry.name, "phase": entry.phase} for entry in transaction.timeline],
    }
    if curves:
        row["curve"] = [
            {"at": iso(each.ts), "energy_wh": each.energy_wh, "power_w": each.power_w, "current_a": each.current_a}
            for each in session.curve
        ]
    return row
