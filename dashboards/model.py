"""What a dashboard is and how it is written down as Grafana's classic JSON (schema version 42).

It owns layout and identifiers; which panels there are it must not know. Panels flow from left to right in rows 24 units
wide; on a narrow screen Grafana stacks them, each at full width, in this order. A dashboard with log panels is written
once for each store that logs may be in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboards.log_query import LOKI, LogFilter, LogStore

Json = dict[str, Any]

SCHEMA_VERSION = 42
FULL_WIDTH = 24
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
JAEGER = {"type": "jaeger", "uid": "jaeger"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a panel: `expr` in PromQL, or `logs`, which takes its place.

    `exemplar` asks for exemplars; `table` for the last value of each series, as rows.
    """

    expr: str = ""
    logs: LogFilter | None = None
    legend: str = ""
    exemplar: bool = False
    instant: bool = False
    table: bool = False
    datasource: Json = field(default_factory=lambda: PROMETHEUS)

    def source(self, store: LogStore) -> Json:
        """Return the data source that it asks; `store`: where logs are."""
        return self.datasource if self.logs is None else store.datasource

    def json(self, ref_id: str, store: LogStore) -> Json:
        """The target of a panel."""
        expr = self.expr if self.logs is None else store.spell(self.logs)
        target: Json = {"refId": ref_id, "datasource": self.source(store), "expr": expr, "editorMode": "code"}
        if self.logs is not None:
            target |= store.target
        if self.legend:
            target["legendFormat"] = self.legend
        if self.instant or self.table:
            target |= {"instant": True, "range": False}
        else:
            target |= {"range": True}
        if self.exemplar:
            target["exemplar"] = True
        if self.table:
            target["format"] = "table"
        return target


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `unit` is Grafana's name for it; `defaults` and `options` are Grafana's own words."""

    kind: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    height: int
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    links: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    interval: str = ""
    """The least distance of two points, in Grafana's words (`5m`); what counts in windows should not count twice."""

    def json(self, panel_id: int, x: int, y: int, store: LogStore) -> Json:
        """The panel at its place."""
        written: Json = {
            "id": panel_id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": self.queries[0].source(store),
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": {"unit": self.unit, **self.defaults}, "overrides": []},
            "options": self.options,
            "targets": [query.json(chr(ord("A") + number), store) for number, query in enumerate(self.queries)],
        }
        if self.links:
            written["links"] = list(self.links)
        if self.transformations:
            written["transformations"] = list(self.transformations)
        if self.interval:
            written["interval"] = self.interval
        return written


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A titled group of panels."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard; `uid` is its address in Grafana and the name of its file, and never changes."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Json, ...]
    links: tuple[Json, ...] = ()
    annotations: tuple[Json, ...] = ()
    since: str = "now-6h"
    refresh: str = "30s"

    def panels(self) -> Iterator[Panel]:
        """All panels, row by row."""
        for row in self.rows:
            yield from row.panels

    @property
    def has_logs(self) -> bool:
        """Whether a panel of it shows logs, so that there is one of it for each store."""
        return any(query.logs is not None for panel in self.panels() for query in panel.queries)

    def json(self, store: LogStore = LOKI) -> Json:
        """The whole file; `store`: where its log panels look."""
        variables = [*self.variables, datasource("logs", store.title, store.type)] if self.has_logs else self.variables
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["wattspan"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": {"from": self.since, "to": "now"},
            "refresh": self.refresh,
            "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m", "5m", "15m", "1h"]},
            "templating": {"list": list(variables)},
            "annotations": {"list": list(self.annotations)},
            "links": list(self.links),
            "panels": _laid_out(self.rows, store),
        }


def datasource(name: str, title: str, kind: str) -> Json:
    """Return a variable by which one of the data sources of a type is chosen."""
    return {
        "name": name,
        "type": "datasource",
        "label": title,
        "query": kind,
        "current": {"text": title, "value": title.lower()},
        "regex": "",
        "includeAll": False,
        "multi": False,
        "hide": 0,
    }


def _laid_out(rows: Sequence[Row], store: LogStore) -> list[Json]:
    """Rows and panels with ids and places: as many beside each other as there is room for."""
    written: list[Json] = []
    y = 0
    for row in rows:
        place: Json = {"x": 0, "y": y, "w": FULL_WIDTH, "h": 1}
        written.append(
            {
                "id": len(written) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        y += 1
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > FULL_WIDTH:
                x, y, tallest = 0, y + tallest, 0
            written.append(panel.json(len(written) + 1, x, y, store))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return written
