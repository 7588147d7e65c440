"""What several dashboards share: variables, links, annotations, selectors."""

from __future__ import annotations

from dashboards import model
from dashboards.events import CP as CP  # noqa: PLC0414  re-exported
from dashboards.model import PROMETHEUS, Json

STATUS_WORDS = {
    -1: ("other", "purple"),
    0: ("Available", "green"),
    1: ("Preparing", "light-blue"),
    2: ("Charging", "blue"),
    3: ("SuspendedEVSE", "yellow"),
    4: ("SuspendedEV", "light-yellow"),
    5: ("Finishing", "super-light-blue"),
    6: ("Reserved", "dark-purple"),
    7: ("Unavailable", "dark-red"),
    8: ("Faulted", "red"),
}


def status_mappings(*, away: int | None = None) -> list[Json]:
    """The numeric status in OCPP's words; `away` is the number of a charge point that is not connected, if any."""
    texts = STATUS_WORDS if away is None else {away: ("away", "#000000"), **STATUS_WORDS}
    options = {
        str(number): {"text": text, "color": colour, "index": index}
        for index, (number, (text, colour)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def datasource() -> Json:
    """Which Prometheus: /metrics and the Collector's page have the same names, so either will do."""
    return model.datasource("datasource", "Prometheus", "prometheus")


def label_values(name: str, label: str, metric: str, title: str, *, multi: bool = True) -> Json:
    """A choice among a label's values; all of them at first if several may be chosen."""
    query = f"label_values({metric}, {label})"
    chosen: Json = {"text": ["All"], "value": ["$__all"]} if multi else {"text": "", "value": ""}
    return {
        "name": name,
        "type": "query",
        "label": title,
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": f"variable-{name}"},
        "current": chosen,
        "includeAll": multi,
        "multi": multi,
        "allValue": ".*" if multi else "",
        "refresh": 2,
        "sort": 7,
        "hide": 0,
    }


def cp_id(*, multi: bool = True) -> Json:
    """The charge point variable."""
    return label_values("cp_id", "cp_id", "ocpp_cp_connected", "Charge point", multi=multi)


def address(name: str, url: str) -> Json:
    """Where another program is, as the operator's browser sees it; hidden, changed in the dashboard's settings."""
    chosen = {"text": url, "value": url, "selected": True}
    return {"name": name, "type": "constant", "query": url, "current": chosen, "options": [chosen], "hide": 2}


ADDRESSES = (
    address("console", "http://localhost:8080"),
    address("jaeger", "http://localhost:16686"),
)


def link(title: str, url: str, tooltip: str = "") -> Json:
    """A link at the top of a dashboard."""
    return {
        "title": title,
        "type": "link",
        "url": url,
        "tooltip": tooltip,
        "icon": "external link",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": True,
    }


SIBLINGS: Json = {
    "title": "Wattspan",
    "type": "dashboards",
    "url": "",
    "tooltip": "The other dashboards",
    "icon": "dashboard",
    "tags": ["wattspan"],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
}
LINKS = (
    SIBLINGS,
    link("Console", "$console/", "The operator's console"),
    link("Traces", "$jaeger/search?service=wattspan", "Messages and sessions in Jaeger"),
)

BY_CHARGE_POINT: list[Json] = [
    {
        "title": "${__field.labels.cp_id}: this charge point in depth",
        "url": "/d/wattspan-charge-point?var-cp_id=${__field.labels.cp_id}&${__url_time_range}",
        "targetBlank": False,
    },
    {
        "title": "${__field.labels.cp_id}: its traces in Jaeger",
        "url": '$jaeger/search?service=wattspan&tags={"cp_id":"${__field.labels.cp_id}"}',
        "targetBlank": True,
    },
    {
        "title": "${__field.labels.cp_id}: in the console",
        "url": "$console/#/charge-points/${__field.labels.cp_id}",
        "targetBlank": True,
    },
]
"""On a series with a cp_id: what a click on it offers."""


def annotation(name: str, expr: str, colour: str, title: str, text: str = "") -> Json:
    """Marks on every graph where `expr` has a value."""
    return {
        "name": name,
        "datasource": PROMETHEUS,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        "titleFormat": title,
        "textFormat": text,
        "step": "60s",
        "useValueForTime": False,
    }
