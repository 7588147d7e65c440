"""What a dashboard is and how it is written down as Grafana's classic JSON (schema version 42).

It owns layout and identifiers; which panels there are it must not know. Panels flow from left to right in rows 24 units
wide; on a narrow screen Grafana stacks them, each at full width, in this order. A dashboard with log panels is written
once for each store that logs may be in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, count, pairwise
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
    """The least distance of two points, in Grafana's words (`5m`)."""
    time_from: str = ""
    """A range of its own instead of the dashboard's, in Grafana's words: `now/d` is today so far."""

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
        if self.time_from:
            written["timeFrom"] = self.time_from
        return written


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A titled group of panels; without a title only panels. Panels of a collapsed row ask nothing until it opens."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


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
    """Rows and panels with ids and places: as many beside each other as there is room for, and no hole."""
    written: list[Json] = []
    numbers = count(1)
    y = 0
    for row in rows:
        inside, below = written, y
        if row.title:
            inside = [] if row.collapsed else written
            written.append(_header(row, next(numbers), y, inside if row.collapsed else []))
            below = y + 1
        for shelf in _shelves(row.panels):
            x, tallest = 0, max(panel.height for panel in shelf)
            for panel, width in zip(shelf, _widths(shelf), strict=True):
                inside.append(replace(panel, width=width, height=tallest).json(next(numbers), x, below, store))
                x += width
            below += tallest
        # A collapsed row takes one line: Grafana moves what follows when it opens.
        y = y + 1 if row.collapsed else below
    return written


def _header(row: Row, panel_id: int, y: int, panels: list[Json]) -> Json:
    place: Json = {"x": 0, "y": y, "w": FULL_WIDTH, "h": 1}
    return {
        "id": panel_id,
        "type": "row",
        "title": row.title,
        "collapsed": row.collapsed,
        "gridPos": place,
        "panels": panels,
    }


def _shelves(panels: Sequence[Panel]) -> Iterator[list[Panel]]:
    """Panels that stand beside each other."""
    shelf: list[Panel] = []
    for panel in panels:
        if sum(each.width for each in shelf) + panel.width > FULL_WIDTH:
            yield shelf
            shelf = []
        shelf.append(panel)
    yield shelf


def _widths(shelf: Sequence[Panel]) -> list[int]:
    """The widths of panels beside each other, all wider by the same factor where they leave room."""
    taken = sum(panel.width for panel in shelf)
    ends = [round(each * FULL_WIDTH / taken) for each in accumulate(panel.width for panel in shelf)]
    return [end - begin for begin, end in pairwise([0, *ends])]
