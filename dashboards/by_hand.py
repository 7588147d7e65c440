"""Dashboards as Grafana's import page wants them: it asks for the data sources and fills them in.

It owns what differs from the files that are provisioned. Nothing here may get into those, for provisioning asks nobody.
"""

from __future__ import annotations

import json

from dashboards.log_query import LOKI
from dashboards.model import Dashboard, Json

GRAFANA = "12.0.0"
_SOURCES = {
    "datasource": ("DS_PROMETHEUS", "Prometheus", "prometheus"),
    "logs": ("DS_LOKI", LOKI.title, LOKI.type),
}
"""Variables by which a provisioned dashboard chooses a data source, and the input that takes the place of each."""


def for_import(dashboard: Dashboard) -> Json:
    """Return the file for *Dashboards > New > Import*."""
    text = json.dumps(dashboard.json())
    used = [source for variable, source in _SOURCES.items() if f"${{{variable}}}" in text]
    for variable, (name, _, _) in _SOURCES.items():
        text = text.replace(f"${{{variable}}}", f"${{{name}}}")
    written: Json = json.loads(text)
    variables = written["templating"]["list"]
    written["templating"]["list"] = [each for each in variables if each["name"] not in _SOURCES]
    inputs = [
        {
            "name": name,
            "label": label,
            "description": "",
            "type": "datasource",
            "pluginId": kind,
            "pluginName": label,
        }
        for name, label, kind in used
    ]
    requires = [{"type": "grafana", "id": "grafana", "name": "Grafana", "version": GRAFANA}]
    requires += [{"type": "datasource", "id": kind, "name": label, "version": GRAFANA} for _, label, kind in used]
    return {"__inputs": inputs, "__requires": requires, **written}
