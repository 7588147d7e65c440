"""The dashboard *Fleet (NOC)*: the whole fleet on one screen of 1920 x 1080, for a wall."""

from dashboards.events import (
    MAX_SERIES,
    by_charge_point,
    by_connector,
    events,
    in_range,
    rank_by_mean,
)
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import above, heatmap, ranking, stat, table, timeline
from dashboards.parts import ADDRESSES, BY_CHARGE_POINT, LINKS, cp_id, datasource, label_values, status_mappings

_OF_SITE = 'unless on (cp_id) ocpp_cp_info{site!~"$site"}'
"""Leaves out charge points of other sites; one that has not booted yet has no site and stays."""
_CONNECTED = f"({by_charge_point('ocpp_cp_connected')} {_OF_SITE})"
_STATUS = f"({by_charge_point('ocpp_cp_status')} {_OF_SITE})"
_LEAST_AVAILABLE = f"bottomk({MAX_SERIES}, {rank_by_mean('cp_id_connector_id:ocpp_available:bool')} {_OF_SITE})"
_FIRING = 'ALERTS{alertstate="firing", severity=~"critical|warning", escalation=""}'
_LINKED = {"links": BY_CHARGE_POINT}


def _by_site(metric: str) -> str:
    return f"sum({by_connector(metric)} {_OF_SITE})"


FIGURES = Row(
    title="",
    panels=(
        stat(
            "Connected of Known",
            "WebSockets that are open now, of charge points that are known. Runbook: ChargePointDisconnected.",
            "none",
            Query(expr=f"sum({_CONNECTED})", legend="connected"),
            Query(expr=f"count({_CONNECTED})", legend="known"),
            width=4,
        ),
        stat(
            "Faulted",
            "Charge points with a connector that reports a fault.",
            "none",
            Query(
                expr=f"count(max by (cp_id) (({by_connector('ocpp_connector_status')} == 8) {_OF_SITE})) or vector(0)"
            ),
            width=4,
            defaults={"thresholds": above(1, 5)},
        ),
        stat("Charging", "Transactions open now.", "none", Query(expr=_by_site("ocpp_tx_active")), width=4),
        stat("Power Now", "Active power of all connectors.", "watt", Query(expr=_by_site("ocpp_cp_power_w")), width=4),
        stat(
            "Energy Today",
            "Since midnight: by transactions that ended, and by those still running since their start.",
            "watth",
            Query(
                expr=f"sum({in_range('ocpp_cp_energy_total_wh', by=('cp_id',))} {_OF_SITE})"
                f" + {_by_site('ocpp_tx_energy_wh')}"
            ),
            width=4,
            time_from="now/d",
        ),
        stat(
            "Firing Alerts",
            "Critical ones and warnings, of the whole installation.",
            "none",
            Query(expr=f"count({_FIRING}) or vector(0)"),
            width=4,
            defaults={"thresholds": above(1, 5)},
        ),
        ranking(
            "Worst Ten by Errors",
            "Errors in the range shown. Runbook: ChargePointErrorDetected.",
            "none",
            Query(
                expr=f"topk(10, {in_range('ocpp_cp_errors_total', 'error_type', by=('cp_id',))} {_OF_SITE}) > 0",
                legend="{{cp_id}}",
                instant=True,
            ),
            width=6,
            height=7,
            defaults={"noValue": "none", "thresholds": above(5, 50), **_LINKED},
        ),
        ranking(
            "Most Reconnects",
            "Connections that closed in the range shown, the ten worst. Runbook: ChargePointMultipleDisconnects.",
            "none",
            Query(
                expr=f"topk(10, {in_range('ocpp_cp_disconnects_total', by=('cp_id',))} {_OF_SITE}) > 0",
                legend="{{cp_id}}",
                instant=True,
            ),
            width=6,
            height=7,
            defaults={"noValue": "none", "thresholds": above(2, 10), **_LINKED},
        ),
        ranking(
            "Oldest Heartbeats",
            "Time since the last Heartbeat, the ten oldest. Runbook: ChargePointStaleHeartbeat.",
            "s",
            Query(
                expr=f"topk(10, time() - {by_charge_point('ocpp_cp_last_heartbeat_ts')} {_OF_SITE})",
                legend="{{cp_id}}",
                instant=True,
            ),
            width=6,
            height=7,
            defaults={"thresholds": above(300, 86400), **_LINKED},
        ),
        table(
            "Alerts",
            "What fires now, and for how many charge points or servers.",
            "none",
            Query(expr=f"count by (alertname, severity) ({_FIRING})", table=True),
            names={"Value": "how many", "alertname": "alert"},
            width=6,
            height=7,
            defaults={"noValue": "nothing fires"},
        ),
        timeline(
            "States",
            f"Status of charge points, the {MAX_SERIES} that were available least; black is away.",
            "none",
            Query(
                expr=f"({_STATUS} and on (cp_id) {_CONNECTED} == 1 or ({_CONNECTED} == 0) - 2)"
                f" and on (cp_id) {_LEAST_AVAILABLE}",
                legend="{{cp_id}}",
            ),
            height=9,
            defaults={"mappings": status_mappings(away=-2), **_LINKED},
        ),
        heatmap(
            "Errors by Kind",
            "How many errors of each kind, over time. Runbook: HighErrorRate.",
            "none",
            Query(expr=events("ocpp_cp_errors_total", "error_type", by=("error_type",)), legend="{{error_type}}"),
            interval="5m",
            height=6,
            defaults={"noValue": "none"},
        ),
        heatmap(
            "Handling Latency",
            "From decoding a message to its answer. Runbook: SlowMessageHandling.",
            "s",
            Query(
                expr="sum by (le) (increase(ocpp_msg_handling_seconds_bucket[$__rate_interval]))",
                legend="{{le}}",
                exemplar=True,
            ),
            interval="5m",
            height=6,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-fleet",
    title="Fleet (NOC)",
    description="The whole fleet on one screen: who is there, who charges, what is worst.",
    rows=(FIGURES,),
    variables=(
        datasource(),
        label_values("site", "site", "ocpp_cp_info", "Site"),
        cp_id(),
        *ADDRESSES,
    ),
    links=LINKS,
    since="now-24h",
)
