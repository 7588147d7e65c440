"""The dashboard *OCPP Central System*: the whole fleet and its server on one page."""

from dashboards.central_work import PERFORMANCE, POWER_AND_CURRENT, TRANSACTIONS
from dashboards.events import (
    by_charge_point,
    by_connector,
    events,
    in_range,
    least,
    most,
    process_events,
    rank_by_events,
    rank_by_highest,
    rank_by_mean,
    rank_by_time,
)
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import GREEN_RED, above, bars, gauge, lines, stat, table, timeline, words
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
            Query(expr=f"sum({by_charge_point('ocpp_cp_connected')})"),
        ),
        stat(
            "Known Charge Points",
            "All that were ever let in and not decommissioned.",
            "none",
            Query(expr=f"count({by_charge_point('ocpp_cp_connected')})"),
        ),
        stat(
            "Active Transactions",
            "Transactions open now.",
            "none",
            Query(expr=f"sum({by_connector('ocpp_tx_active')})"),
        ),
        stat(
            "Energy Delivered Today",
            "Since midnight: by transactions that ended, and by those still running since their start.",
            "watth",
            Query(expr=f"{in_range('ocpp_cp_energy_total_wh')} + sum({by_connector('ocpp_tx_energy_wh')})"),
            time_from="now/d",
        ),
        stat(
            "Total Transactions",
            "Started since the fleet is known; restarts don't lessen it.",
            "none",
            Query(expr=f"sum({by_charge_point('ocpp_tx_total')})"),
        ),
        stat(
            "Total Reconnects During Transaction (by CP)",
            "Returns in mid-session, ever; the ten with most. Runbook: ChargePointRebootDuringTransaction.",
            "none",
            Query(
                expr=f"topk(10, {by_charge_point('ocpp_cp_reconnect_during_tx_total')} > 0)",
                legend="{{cp_id}}",
                instant=True,
            ),
            width=12,
            defaults={"noValue": "none", "thresholds": above(1, 5), **_LINKED},
        ),
        timeline(
            "Connected Charge Points Over Time (by CP)",
            "Whether the WebSocket is open; the twenty that were away longest. A click leads to the charge point.",
            "none",
            Query(
                expr=least(by_charge_point("ocpp_cp_connected"), rank_by_mean("ocpp_cp_connected")), legend="{{cp_id}}"
            ),
            width=12,
            defaults={"mappings": words(_0=("away", "red"), _1=("connected", "green")), **_LINKED},
        ),
        lines(
            "Active Transactions Over Time (by CP)",
            "Open transactions of each charge point, the twenty with most.",
            "none",
            Query(
                expr=most(f"sum by (cp_id) ({by_connector('ocpp_tx_active')})", rank_by_highest("ocpp_tx_active")),
                legend="{{cp_id}}",
            ),
            stacked=True,
            width=12,
            defaults=_LINKED,
        ),
    ),
)

CONNECTION_HEALTH = Row(
    title="Connection health",
    collapsed=True,
    panels=(
        timeline(
            "Status Timeline",
            "Status that each connector reported; of the twenty charge points that were available least.",
            "none",
            Query(
                expr=least(
                    by_connector("ocpp_connector_status", selector=f'{CP}, connector_id!="0"'),
                    rank_by_mean("cp_id_connector_id:ocpp_available:bool"),
                ),
                legend="{{cp_id}} / {{connector_id}}",
            ),
            height=16,
            defaults={"mappings": status_mappings()},
        ),
        lines(
            "Time Since Last Heartbeat (by CP)",
            "The twenty that are silent longest. A day is too long. Runbook: ChargePointHeartbeatOverADay.",
            "s",
            Query(
                expr=least(
                    f"time() - {by_charge_point('ocpp_cp_last_heartbeat_ts')}",
                    rank_by_time("ocpp_cp_last_heartbeat_ts"),
                ),
                legend="{{cp_id}}",
            ),
            defaults={"thresholds": above(300, 86400), **_LINKED},
        ),
        lines(
            "Time Since Last Message (by CP)",
            "Any message shows that it lives; the twenty that are silent longest. Runbook: ChargePointStaleHeartbeat.",
            "s",
            Query(
                expr=least(f"time() - {by_charge_point('ocpp_cp_last_msg_ts')}", rank_by_time("ocpp_cp_last_msg_ts")),
                legend="{{cp_id}}",
            ),
            defaults={"thresholds": above(120, 300), **_LINKED},
        ),
        bars(
            "Number of Disconnects Over Time (by CP)",
            "Connections that closed; of the twenty with most. Runbook: ChargePointMultipleDisconnects.",
            "none",
            Query(
                expr=most(events("ocpp_cp_disconnects_total"), rank_by_events("ocpp_cp_disconnects_total")),
                legend="{{cp_id}}",
            ),
            defaults=_LINKED,
        ),
        bars(
            "Number of Boots Over Time (by CP)",
            "Boot notifications; of the twenty with most. Runbook: ChargePointMultipleReboots.",
            "none",
            Query(
                expr=most(events("ocpp_cp_boots_total"), rank_by_events("ocpp_cp_boots_total")),
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
            Query(expr=process_events("ocpp_central_handshakes_rejected_total", "reason"), legend="{{reason}}"),
        ),
        table(
            "Charge Points",
            "What they reported about themselves.",
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
