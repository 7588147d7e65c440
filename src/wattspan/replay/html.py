"""Writes a report as one HTML page without scripts or requests. It owns the layout; the content is given."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any

from wattspan.replay.report import Report, Row
from wattspan.replay.wording import counted, phases_text

MAX_DRAWN = 300
"""Sessions that are drawn; the table has all of them."""
WIDTH, HEIGHT, LEFT = 720, 120, 46
ROW, NAME_WIDTH = 22, 160

_STYLE = """
:root{color-scheme:light dark;--text:#1d2430;--soft:#667085;--line:#d0d5dd;--card:#fff;--back:#f6f7f9;--power:#2f6fde;
--energy:#0b8a5f;--mark:#c4320a}
@media (prefers-color-scheme:dark){:root{--text:#e6e9ef;--soft:#98a2b3;--line:#344054;--card:#161b26;--back:#0c111d;
--power:#6ea1ff;--energy:#3ccb97;--mark:#ff8a5c}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}
main{max-width:1040px;margin:0 auto;padding:24px 16px}
h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:32px 0 8px}h3{font-size:15px;margin:0 0 4px}
p{margin:0 0 8px}.soft{color:var(--soft)}
section,article{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 16px;margin:0 0 12px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;white-space:nowrap}td.n,th.n{text-align:right}
tr:last-child td{border-bottom:0}svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}
"""


def html_of(report: Report, title: str) -> str:
    """Return the whole document. `title` is the heading."""
    files = report.files
    facts = "No messages"
    if files["began_at"] is not None:
        facts = (
            f"{counted(files['messages'], 'message')} of {counted(len(report.charge_points), 'charge point')}, "
            f"{_time(files['began_at'])} to {_time(files['ended_at'])} UTC"
        )
    unread = f"{counted(files['unreadable_lines'], 'line')} could not be read." if files["unreadable_lines"] else ""
    parts = [
        f"<h1>{escape(title)}</h1><p class=soft>{facts}. {unread}</p>",
        _section("What is odd", _findings(report)),
        _section("Timeline", _timeline(report)),
        _section("Charge points", _table(report.charge_points, _CHARGE_POINTS)),
        _section("Answers", _table(report.answers, _ANSWERS)),
        "<h2>Sessions</h2>" + _sessions(report.sessions),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    body = "".join(parts)
    return (
        f'<!doctype html><html lang="en"><head>{head}{policy}<title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


_Columns = Sequence[tuple[str, str, bool]]
"""(heading, field, whether it is a number)."""

_CHARGE_POINTS: _Columns = (
    ("charge point", "cp_id", False),
    ("version", "version", False),
    ("vendor", "vendor", False),
    ("model", "model", False),
    ("firmware", "firmware", False),
    ("connections", "connections", True),
    ("boots", "boots", True),
    ("sessions", "sessions", True),
    ("energy (kWh)", "energy_kwh", True),
    ("faults", "faults", True),
)
_FINDINGS: _Columns = (
    ("charge point", "cp_id", False),
    ("finding", "text", False),
    ("count", "count", True),
    ("first line", "first_where", False),
)
_ANSWERS: _Columns = (
    ("message", "action", False),
    ("answered by", "answered_by", False),
    ("count", "count", True),
    ("mean (s)", "mean_s", True),
    ("slowest (s)", "slowest_s", True),
    ("slowest line", "slowest_where", False),
)


def _section(heading: str, content: str) -> str:
    return f"<h2>{heading}</h2><section class=scroll>{content}</section>"


def _findings(report: Report) -> str:
    if not report.findings:
        return "<p>Nothing.</p>"
    left_out = f"<p class=soft>{report.findings_left_out:,} more are left out.</p>" if report.findings_left_out else ""
    return _table(report.findings, _FINDINGS) + left_out


def _table(rows: Iterable[Row], columns: _Columns) -> str:
    head = "".join(f"<th{' class=n' if is_number else ''}>{escape(text)}</th>" for text, _, is_number in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if is_n else ''}>{_cell(row, name)}</td>" for _, name, is_n in columns)
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(row: Row, name: str) -> str:
    if name == "energy_kwh":
        return f"{row['energy_wh'] / 1000:.2f}"
    if name == "answered_by":
        return "central system" if row["direction"] == "in" else "charge point"
    value = row.get(name)
    return "" if value is None else escape(f"{value:,}" if isinstance(value, int) else str(value))


def _timeline(report: Report) -> str:
    """Return a bar for each session, a line a charge point, over the time of the log."""
    began, ended = _ts(report.files["began_at"]), _ts(report.files["ended_at"])
    rows = [cp["cp_id"] for cp in report.charge_points if cp["sessions"]][:MAX_DRAWN]
    if began is None or ended is None or not rows:
        return "<p>No sessions.</p>"
    place = {cp_id: index for index, cp_id in enumerate(rows)}
    scale = (WIDTH - NAME_WIDTH) / max(ended - began, 1.0)
    height = ROW * len(rows) + 20
    texts = [
        f'<text x="0" y="{index * ROW + 15}">{escape(_short(cp_id))}</text>'
        f'<line x1="{NAME_WIDTH}" x2="{WIDTH}" y1="{index * ROW + 11}" y2="{index * ROW + 11}" stroke="var(--line)"/>'
        for cp_id, index in place.items()
    ]
    bars = []
    for session in report.sessions:
        index, start = place.get(session["cp_id"]), _ts(session["began_at"])
        if index is None or start is None:
            continue
        left = NAME_WIDTH + max(start - began, 0.0) * scale
        width = max(((_ts(session["ended_at"]) or ended) - start) * scale, 2.0)
        hint = escape(f"{session['energy_wh'] / 1000:.2f} kWh from {_time(session['began_at'])}")
        bars.append(
            f'<rect x="{left:.1f}" y="{index * ROW + 4}" width="{width:.1f}" height="14" rx="2" fill="var(--energy)">'
            f"<title>{hint}</title></rect>"
        )
    axis = (
        f'<text x="{NAME_WIDTH}" y="{height - 4}">{_time(report.files["began_at"])}</text>'
        f'<text x="{WIDTH}" y="{height - 4}" text-anchor="end">{_time(report.files["ended_at"])}</text>'
    )
    return _svg(height, "Sessions over time", "".join(texts + bars) + axis)


def _sessions(sessions: Sequence[Row]) -> str:
    drawn = "".join(_session(each) for each in sessions[:MAX_DRAWN])
    more = len(sessions) - MAX_DRAWN
    return (drawn or "<section><p>None.</p></section>") + (
        f"<p class=soft>{more:,} more sessions are in the JSON report.</p>" if more > 0 else ""
    )


def _session(session: Row) -> str:
    ended = "still open" if session["ended_at"] is None else f"to {_time(session['ended_at'])}"
    tag = f", id tag {session['id_tag']}" if session["id_tag"] else ""
    reason = f", {session['reason']}" if session["reason"] else ""
    head = f"{session['cp_id']}, connector {session['connector_id']}: {session['energy_wh'] / 1000:.3f} kWh"
    when = f"{_time(session['began_at'])} {ended}{tag}{reason}"
    errors = f"; {counted(session['errors'], 'error')}" if session["errors"] else ""
    return (
        f"<article><h3>{escape(head)}</h3><p class=soft>{escape(when)} ({escape(session['where'])})<br>"
        f"{escape(phases_text(session))}{errors}</p>"
        f"{_curve(session.get('curve') or [])}</article>"
    )


def _curve(curve: Sequence[Row]) -> str:
    """Return power and energy over time. Each has a scale of its own, named at its highest value."""
    if len(curve) < 2:  # noqa: PLR2004  a line needs two points
        return ""
    times = [_ts(each["at"]) or 0.0 for each in curve]
    first, span = times[0], max(times[-1] - times[0], 1.0)
    lines = []
    for field, unit, colour, anchor in (("power_w", "kW", "power", "start"), ("energy_wh", "kWh", "energy", "end")):
        found = [(ts, each[field]) for ts, each in zip(times, curve, strict=True) if each[field] is not None]
        highest = max((value for _, value in found), default=0.0)
        if highest <= 0.0:
            continue
        places = " ".join(
            f"{LEFT + (ts - first) / span * (WIDTH - 2 * LEFT):.1f},{HEIGHT - 16 - value / highest * (HEIGHT - 30):.1f}"
            for ts, value in found
        )
        at = 0 if anchor == "start" else WIDTH
        lines.append(
            f'<polyline points="{places}" fill="none" stroke="var(--{colour})" stroke-width="1.5"/>'
            f'<text x="{at}" y="12" text-anchor="{anchor}" style="fill:var(--{colour})">'
            f"{highest / 1000:.4g} {unit}</text>"
        )
    axis = (
        f'<line x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{HEIGHT - 16}" y2="{HEIGHT - 16}" stroke="var(--line)"/>'
        f'<text x="{LEFT}" y="{HEIGHT - 3}">{_time(curve[0]["at"])}</text>'
        f'<text x="{WIDTH - LEFT}" y="{HEIGHT - 3}" text-anchor="end">{_time(curve[-1]["at"])}</text>'
    )
    return _svg(HEIGHT, "Power and energy", axis + "".join(lines))


def _svg(height: int, label: str, content: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{content}</svg>'


def _time(text: Any) -> str:
    return str(text)[:19].replace("T", " ")


def _ts(text: Any) -> float | None:
    return None if not text else datetime.fromisoformat(str(text)).timestamp()


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"  # noqa: PLR2004  what NAME_WIDTH holds
