"""The kinds of panel we use, with the settings that all of a kind share. What they show they must not know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dashboards.log_query import LogFilter
from dashboards.model import Json, Panel, Query

_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}

GREEN_RED: Json = {"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}]}
"""Red below 1."""


def above(yellow: float, red: float) -> Json:
    """Thresholds: green, then yellow, then red."""
    steps = [{"color": "green", "value": None}, {"color": "yellow", "value": yellow}, {"color": "red", "value": red}]
    return {"mode": "absolute", "steps": steps}


def below(yellow: float, red: float) -> Json:
    """Thresholds of a share that should be high: red, then yellow from `red` on, then green from `yellow` on."""
    steps = [{"color": "red", "value": None}, {"color": "yellow", "value": red}, {"color": "green", "value": yellow}]
    return {"mode": "absolute", "steps": steps}


def words(**texts: tuple[str, str]) -> list[Json]:
    """A mapping of values to words and colours: `words(_1=("up", "green"))`; a minus is written `m`."""
    options = {
        key.lstrip("_").replace("m", "-"): {"text": text, "color": colour, "index": index}
        for index, (key, (text, colour)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def lines(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """Series over time."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": given.pop("fill", 8),
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if given.pop("stacked", False) else "none", "group": "A"},
        "lineInterpolation": given.pop("interpolation", "linear"),
    }
    return _over_time(title, description, unit, queries, custom, given)


def steps(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """Series that stay as they are until they change."""
    return lines(title, description, unit, *queries, interpolation="stepAfter", **given)


def bars(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """Events counted per interval: a bar an interval, of a minute at least, so that each event is in one bar."""
    given = {"interval": "1m", **given}
    custom = {"drawStyle": "bars", "lineWidth": 1, "fillOpacity": 70, "stacking": {"mode": "normal", "group": "A"}}
    return _over_time(title, description, unit, queries, custom, given)


def _over_time(title: str, description: str, unit: str, queries: tuple[Query, ...], custom: Json, given: Json) -> Panel:
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom, **given.pop("defaults", {})}
    options = {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}}
    return Panel(
        kind="timeseries",
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        options=options,
        defaults=defaults,
        **_placed(given, 8, 8),
    )


def stat(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """One figure now, with its course behind it; of the whole range, asked once and not for each point of a course."""
    queries = tuple(replace(query, instant=True) if "$__range" in query.expr else query for query in queries)
    options = {
        "reduceOptions": _LAST,
        "colorMode": "value",
        "graphMode": given.pop("graph", "area"),
        "justifyMode": "auto",
        "textMode": "auto",
        "orientation": "auto",
    }
    return Panel(
        kind="stat",
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        options=options,
        defaults=given.pop("defaults", {}),
        **_placed(given, 6, 4),
    )


def gauge(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """One figure within bounds."""
    options = {"reduceOptions": _LAST, "showThresholdLabels": False, "showThresholdMarkers": True}
    defaults = {"min": 0, "max": 1, **given.pop("defaults", {})}
    return Panel(
        kind="gauge",
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        options=options,
        defaults=defaults,
        **_placed(given, 6, 4),
    )


def donut(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """Shares now."""
    options = {
        "pieType": "donut",
        "reduceOptions": _LAST,
        "displayLabels": ["percent"],
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "values": ["value"]},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return Panel(
        kind="piechart",
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        options=options,
        defaults=given.pop("defaults", {}),
        **_placed(given, 6, 8),
    )


def timeline(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """Which state when, a line a series."""
    options = {"mergeValues": True, "showValue": "never", "rowHeight": 0.85, "alignValue": "left", "legend": _LEGEND}
    defaults = {"custom": {"lineWidth": 0, "fillOpacity": 80}, **given.pop("defaults", {})}
    return Panel(
        kind="state-timeline",
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        options=options,
        defaults=defaults,
        **_placed(given, 24, 8),
    )


def heatmap(title: str, description: str, unit: str, query: Query, **given: Any) -> Panel:
    """A histogram's buckets over time; `query` sums them by `le`. Or a row for each series, whatever it counts."""
    options = {
        "calculate": False,
        "yAxis": {"unit": unit, "axisPlacement": "left"},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
        "cellGap": 1,
        "legend": {"show": True},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "tooltip": {"mode": "single", "yHistogram": False},
        "rowsFrame": {"layout": "auto"},
    }
    return Panel(
        kind="heatmap",
        title=title,
        description=description,
        unit=unit,
        queries=(query,),
        options=options,
        defaults=given.pop("defaults", {}),
        **_placed(given, 12, 8),
    )


def table(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """Rows of the last values, one a series; several queries are joined by their labels."""
    hidden = dict.fromkeys(("Time", "__name__", "instance", "job", *given.pop("hidden", ())), True)
    names = given.pop("names", {})
    transformations = (
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": hidden, "renameByName": names, "indexByName": {}}},
    )
    options = {"showHeader": True, "cellHeight": "sm"}
    defaults = {"custom": {"align": "auto", "filterable": True}, **given.pop("defaults", {})}
    panel = {"transformations": transformations, **given}
    return Panel(
        kind="table",
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        options=options,
        defaults=defaults,
        **_placed(panel, 12, 8),
    )


def ranking(title: str, description: str, unit: str, *queries: Query, **given: Any) -> Panel:
    """Bars side by side, one a series, now."""
    options = {
        "reduceOptions": _LAST,
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
    }
    defaults = {"min": 0, **given.pop("defaults", {})}
    return Panel(
        kind="bargauge",
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        options=options,
        defaults=defaults,
        **_placed(given, 8, 8),
    )


def logs(title: str, description: str, which: LogFilter, **given: Any) -> Panel:
    """Log records, the newest first, each with a link to its trace."""
    query = Query(logs=which)
    options = {
        "showTime": True,
        "wrapLogMessage": True,
        "enableLogDetails": True,
        "sortOrder": "Descending",
        "dedupStrategy": "none",
        "showLabels": False,
        "showCommonLabels": False,
        "prettifyLogMessage": False,
    }
    return Panel(
        kind="logs",
        title=title,
        description=description,
        unit="none",
        queries=(query,),
        options=options,
        **_placed(given, 24, 10),
    )


def _placed(given: Json, width: int, height: int) -> Json:
    """What is left of a panel's own words, with a size if it named none."""
    return {"width": width, "height": height, **given}
