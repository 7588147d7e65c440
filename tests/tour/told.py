"""What the backends' APIs answered, as text that fits a page; and the blocks of a page that hold it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stack.servers import attributes

BAR = 40
"""Characters that a trace's whole length takes."""
HIDDEN = {
    "span.kind",
    "internal.span.format",
    "otel.scope.name",
    "csms.force_sample",
    "ocpp.id_token_hash",
    "event",
    "otel.scope.version",
}


def waterfall(trace: Mapping[str, Any]) -> str:
    """A trace as Jaeger's API tells it: a line a span with its stretch of the whole, children below their parents."""
    spans = sorted(trace["spans"], key=lambda span: span["startTime"])
    ids = {span["spanID"] for span in spans}
    begin_us = min(span["startTime"] for span in spans)
    end_us = max(span["startTime"] + span["duration"] for span in spans)
    lines = [f"trace {trace['traceID']}, {lasts(end_us - begin_us)}", ""]

    def told(span: Mapping[str, Any], depth: int) -> None:
        name = "  " * depth + span["operationName"]
        lines.append(f"{name:<42} {bar(span, begin_us, end_us)} {lasts(span['duration']):>9}")
        moments = ((log["timestamp"] - begin_us, attributes(log)) for log in span.get("logs") or ())
        for after_us, fields in sorted(moments, key=lambda moment: moment[0]):
            lines.append(f"{'  ' * depth}  + {lasts(after_us):<9} {fields['event']} {pairs(fields)}".rstrip())
        for child in spans:
            if child["spanID"] != span["spanID"] and parent(child) == span["spanID"]:
                told(child, depth + 1)

    for span in spans:
        if parent(span) not in ids:
            told(span, 0)
    root = next(span for span in spans if parent(span) not in ids)
    return "\n".join([*lines, "", f"{root['operationName']}: {pairs(attributes(root))}"])


def parent(span: Mapping[str, Any]) -> str | None:
    """The id of the span it is a child of, or None."""
    above = [each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"]
    return str(above[0]) if above else None


def bar(span: Mapping[str, Any], begin_us: int, end_us: int) -> str:
    """Where in the whole a span lies."""
    whole: int = max(1, end_us - begin_us)
    first: int = min(BAR - 1, round(BAR * (span["startTime"] - begin_us) / whole))
    length: int = max(1, min(BAR - first, round(BAR * span["duration"] / whole)))
    return "·" * first + "█" * length + "·" * (BAR - first - length)


def lasts(us: float) -> str:
    """Microseconds as people say them."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:.3g} {unit}"
    return f"{us:.0f} µs"


def pairs(fields: Mapping[str, Any]) -> str:
    """Attributes in a row, without what every span has."""
    return " ".join(f"{name}={value}" for name, value in sorted(fields.items()) if name not in HIDDEN)


def exemplar(series: Mapping[str, Any]) -> str:
    """The first exemplar of a series, as Prometheus tells it."""
    (first, *_) = series["exemplars"]
    at = datetime.fromtimestamp(float(first["timestamp"]), UTC)
    trace_id = first["labels"]["trace_id"]
    name, edge = (series["seriesLabels"][label] for label in ("__name__", "le"))
    return (
        f'{name}{{le="{edge}"}}\n  exemplar {float(first["value"]):.4g} s at {at:%H:%M:%S} UTC, trace_id="{trace_id}"'
    )


def lines(found: Iterable[Any], shown: Sequence[str]) -> str:
    """Log records, each with those of its fields that are to be shown."""
    return "\n".join(
        f"{each.fields.get('severity_text', '-'):<8}{each.text}\n"
        f"        {' '.join(f'{name}={each.fields[name]}' for name in shown if name in each.fields)}"
        for each in found
    )


def alerts(found: Iterable[Mapping[str, Any]]) -> str:
    """Alerts as Alertmanager holds them, the Watchdog apart."""
    told = sorted(found, key=lambda alert: alert["labels"]["alertname"])
    return "\n".join(
        f"{alert['labels']['alertname']:<36} {alert['labels']['severity']:<9} {alert['status']['state']:<8} "
        f"{alert['annotations']['summary']}"
        for alert in told
        if alert["labels"]["alertname"] != "Watchdog"
    )


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """A page with each block's text put between its marks; ValueError for a mark that is not there once."""
    for name, text in blocks.items():
        marks = re.compile(rf"(<!-- {name} -->\n```\n).*?(```\n<!-- end -->)", re.DOTALL)
        if len(found := list(marks.finditer(page))) != 1:
            raise ValueError(f"the page has {len(found)} places for {name}")
        page = f"{page[: found[0].end(1)]}{text}\n{page[found[0].start(2) :]}"
    return page
