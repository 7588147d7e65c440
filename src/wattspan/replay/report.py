"""What a replay found, as plain data: the content of the report in every form."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from wattspan.domain.fleet import Fleet
from wattspan.replay.player import Player, Session
from wattspan.replay.reader import ReadCounts

Row = dict[str, Any]

MASKED_CHARACTERS = 4
"""Of an id token, at most this many characters at its end are shown, and never more than a third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a replay. Rows are JSON objects; times are ISO 8601 in UTC."""

    files: Row
    charge_points: Sequence[Row]
    sessions: Sequence[Row]
    findings: Sequence[Row]
    answers: Sequence[Row]
    findings_left_out: int = 0

    def as_json(self) -> Row:
        """Return all of it as one JSON object."""
        return asdict(self)


def report_of(player: Player, counts: ReadCounts, *, masked: bool = True, curves: bool = False) -> Report:
    """Return the report. `masked`: id tokens are shown in part. `curves`: sessions have their meter curves."""
    fleet = player.observer.fleet
    return Report(
        files={
            "formats": counts.formats,
            "lines": counts.lines,
            "messages": player.messages,
            "ignored_lines": counts.ignored,
            "unreadable_lines": counts.unreadable,
            "first_unreadable": [asdict(each) for each in counts.first_unreadable],
            "messages_without_time": counts.untimed,
            "began_at": iso(player.first_ts),
            "ended_at": iso(player.now_ts if player.first_ts is not None else None),
        },
        charge_points=[_charge_point(fleet, player, cp_id) for cp_id in sorted(fleet.charge_points)],
        sessions=[_session(each, masked=masked, curves=curves) for each in player.sessions.values()],
        findings=[
            {
                "kind": each.kind,
                "cp_id": each.cp_id,
                "text": each.text,
                "count": each.count,
                "first_where": each.where,
                "first_at": iso(each.first_ts),
            }
            for each in player.findings
        ],
        answers=[
            {
                "direction": direction,
                "action": action,
                "count": each.count,
                "mean_s": round(each.total_s / each.count, 3),
                "slowest_s": round(each.slowest_s, 3),
                "slowest_where": each.slowest_where,
            }
            for (direction, action), each in sorted(player.answers.items())
        ],
        findings_left_out=player.findings.left_out,
    )


def iso(ts: float | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC; None for None."""
    return None if ts is None else datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds")


def mask_token(token: str) -> str:
    """Return an id token with all but its last characters replaced."""
    shown = min(MASKED_CHARACTERS, len(token) // 3)
    return "…" + token[len(token) - shown :] if token else ""


def _charge_point(fleet: Fleet, player: Player, cp_id: str) -> Row:
    cp = fleet.charge_points[cp_id]
    of_it = [each.transaction for each in player.sessions.values() if each.transaction.cp_id == cp_id]
    return {
        "cp_id": cp_id,
        "version": cp.protocol,
        "vendor": cp.vendor,
        "model": cp.model,
        "firmware": cp.firmware,
        "connectors": len(cp.connectors.keys() - {"0"}),
        "connections": player.connections.get(cp_id, 0),
        "boots": cp.boots,
        "sessions": len(of_it),
        "energy_wh": round(sum(each.meter.energy_wh for each in of_it), 3),
        "faults": sum(cp.errors.values()),
    }


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
