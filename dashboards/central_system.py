"""The dashboard *OCPP Central System*: the whole fleet and its server on one page."""

from dashboards.central_work import PERFORMANCE, POWER_AND_CURRENT, TRANSACTIONS
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import GREEN_RED, above, bars, gauge, lines, stat, table, timeline
from dashboards.parts import ADDRESSES, BY_CHARGE_POINT, CP, LINKS, annotation, cp_id, datasource, status_mappings

_LINKED = {"links": BY_CHARGE_POINT}

OVERVIEW = Row(
    title="Overview",
    panels=(
        gauge(
            "Central Service Running",
            "1 while a central system runs and is read; 0 when it is gone. Runbook: CentralSystemDown.",
            "none",
            Query(expr="max(ocpp_central_up) or vector(0)"),
            defaults={"thresholds": GREEN_RED},
        ),
        stat(
            "Connected Charge Points",
            "WebSockets that are open now.",
            "none",
            Query(expr=f"sum(ocpp_cp_connected{{{CP}}})"),
        ),
        stat(
            "Known Charge Points",
            "All that were ever let in and not decommissioned.",
            "none",
            Query(expr=f"count(ocpp_cp_connected{{{CP}}})"),
        ),
        stat("Active Transactions", "Transactions open now.", "none", Query(expr=f"sum(ocpp_tx_active{{{CP}}})")),
        stat(
            "Energy Delivered Today",
            "By transactions that ended in the last 24 hours, and by those still running.",
            "watth",
            Query(expr=f"sum(increase(ocpp_cp_energy_total_wh{{{CP}}}[24h])) + sum(ocpp_tx_energy_wh{{{CP}}})"),
        ),
        stat(
            "Total Transactions",
            "Started since the fleet is known; restarts don't lessen it.",
            "none",
            Query(expr=f"sum(ocpp_tx_total{{{CP}}})"),
        ),
        stat(
            "Total Reconnects During Transaction (by CP)",
            "Returns in mid-session since the charge point is known. Runbook: ChargePointRebootDuringTransaction.",
            "none",
            Query(expr=f"sum by (cp_id) (ocpp_cp_reconnect_during_tx_total{{{CP}}}) > 0", legend="{{cp_id}}"),
            width=12,
            defaults={"noValue": "none", "thresholds": above(1, 5), **_LINKED},
        ),
        lines(
            "Connected Charge Points Over Time (by CP)",
            "1 while the charge point's WebSocket is open. A click on a line leads to the charge point.",
            "none",
            Query(expr=f"max by (cp_id) (ocpp_cp_connected{{{CP}}})", legend="{{cp_id}}"),
            stacked=True,
            width=12,
            defaults=_LINKED,
        ),
        lines(
            "Active Transactions Over Time (by CP)",
            "Open transactions of each charge point.",
            "none",
            Query(expr=f"sum by (cp_id) (ocpp_tx_active{{{CP}}})", legend="{{cp_id}}"),
            stacked=True,
            width=12,
            defaults=_LINKED,
        ),
    ),
)

CONNECTION_HEALTH = Row(
    title="Connection health",
    panels=(
        timeline(
            "Status Timeline",
            "What each connector last said of itself.",
            "none",
            Query(
                expr=f'max by (cp_id, connector_id) (ocpp_connector_status{{{CP}, connector_id!="0"}})',
                legend="{{cp_id}} / {{connector_id}}",
            ),
            defaults={"mappings": status_mappings()},
        ),
        lines(
            "Time Since Last Heartbeat (by CP)",
            "A charger may skip it after other messages; a day is too long. Runbook: ChargePointHeartbeatOverADay.",
            "s",
            Query(expr=f"time() - max by (cp_id) (ocpp_cp_last_heartbeat_ts{{{CP}}})", legend="{{cp_id}}"),
            defaults={"thresholds": above(300, 86400), **_LINKED},
        ),
        lines(
            "Time Since Last Message (by CP)",
            "The heartbeat's freshness in truth: any message proves life. Runbook: ChargePointStaleHeartbeat.",
            "s",
            Query(expr=f"time() - max by (cp_id) (ocpp_cp_last_msg_ts{{{CP}}})", legend="{{cp_id}}"),
            defaults={"thresholds": above(120, 300), **_LINKED},
        ),
        bars(
            "Number of Disconnects Over Time (by CP)",
            "Connections that closed. Runbook: ChargePointMultipleDisconnects.",
            "none",
            Query(
                expr=f"round(sum by (cp_id) (increase(ocpp_cp_disconnects_total{{{CP}}}[$__rate_interval]))) > 0",
                legend="{{cp_id}}",
            ),
            defaults=_LINKED,
        ),
        bars(
            "Number of Boots Over Time (by CP)",
            "Boot notifications. Runbook: ChargePointMultipleReboots.",
            "none",
            Query(
                expr=f"round(sum by (cp_id) (increase(ocpp_cp_boots_total{{{CP}}}[$__rate_interval]))) > 0",
                legend="{{cp_id}}",
            ),
            defaults=_LINKED,
        ),
        lines(
            "Disconnect Rate",
            "Connections that closed in an hour, over the whole fleet.",
            "none",
            Query(expr=f"sum(rate(ocpp_cp_disconnects_total{{{CP}}}[1h])) * 3600", legend="disconnects an hour"),
        ),
        lines(
            "Boot Frequency",
            "Boots in an hour, over the whole fleet.",
            "none",
            Query(expr=f"sum(rate(ocpp_cp_boots_total{{{CP}}}[1h])) * 3600", legend="boots an hour"),
        ),
        bars(
            "Handshakes Rejected",
            "Connections that were not let in, by reason. Runbook: HandshakesRejected.",
            "none",
            Query(
                expr="round(sum by (reason) (reason:ocpp_central_handshakes_rejected:increase5m)) > 0",
                legend="{{reason}}",
            ),
            interval="5m",
        ),
        table(
            "Charge Points",
            "What they told of themselves.",
            "none",
            Query(expr=f"max by (cp_id, vendor, model, firmware, protocol) (ocpp_cp_info{{{CP}}})", table=True),
            hidden=("Value",),
            width=16,
            defaults=_LINKED,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="ocpp-central-system",
    title="OCPP Central System",
    description="The fleet and its server: who is there, who charges, what goes wrong.",
    rows=(OVERVIEW, CONNECTION_HEALTH, TRANSACTIONS, PERFORMANCE, POWER_AND_CURRENT),
    variables=(datasource(), cp_id(), *ADDRESSES),
    links=LINKS,
    annotations=(
        annotation(
            "Critical alerts", 'ALERTS{alertstate="firing", severity="critical"}', "red", "{{alertname}}", "{{cp_id}}"
        ),
        annotation("Server starts", 'changes(process_start_time_seconds{job="wattspan"}[1m]) > 0', "blue", "started"),
    ),
)
