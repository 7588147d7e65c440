"""The dashboard *Charge point*: one charger in depth, its boots, errors and sessions marked on every graph."""

from dashboards.events import by_connector, events, in_range
from dashboards.log_query import LogFilter
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import GREEN_RED, above, bars, below, lines, logs, stat, steps, table, timeline, words
from dashboards.parts import ADDRESSES, CP, LINKS, annotation, cp_id, datasource, link, status_mappings

_CONNECTOR = "{{cp_id}} / {{connector_id}}"

STATE = Row(
    title="State",
    panels=(
        stat(
            "Connected",
            "Whether its WebSocket is open. Runbook: ChargePointDisconnected.",
            "none",
            Query(expr=f"max by (cp_id) (ocpp_cp_connected{{{CP}}})", legend="{{cp_id}}"),
            graph="none",
            defaults={"thresholds": GREEN_RED, "mappings": words(_0=("away", "red"), _1=("connected", "green"))},
            width=5,
        ),
        stat(
            "Status",
            "What it last said of any connector.",
            "none",
            Query(expr=f"max by (cp_id) (ocpp_cp_status{{{CP}}})", legend="{{cp_id}}"),
            graph="none",
            defaults={"mappings": status_mappings()},
            width=5,
        ),
        stat(
            "Last Message",
            "How long ago it said anything. Runbook: ChargePointStaleHeartbeat.",
            "s",
            Query(expr=f"time() - max by (cp_id) (ocpp_cp_last_msg_ts{{{CP}}})", legend="{{cp_id}}"),
            defaults={"thresholds": above(120, 300)},
            width=5,
        ),
        stat(
            "Open Transactions",
            "On all of its connectors.",
            "none",
            Query(expr=f"sum by (cp_id) ({by_connector('ocpp_tx_active')})", legend="{{cp_id}}"),
            width=5,
        ),
        stat(
            "Availability in the Period",
            "Share of minutes in which its connectors could charge; planned outages do not count against it."
            " Runbook: ChargePointAvailabilityLow.",
            "percentunit",
            Query(
                expr=f"avg by (cp_id) (avg_over_time(cp_id_connector_id:ocpp_available:bool{{{CP}}}[$__range]))",
                legend="{{cp_id}}",
            ),
            defaults={"thresholds": below(0.99, 0.97)},
            width=4,
        ),
        timeline(
            "Connectors",
            "Status of each connector over time.",
            "none",
            Query(expr=f"max by (cp_id, connector_id) (ocpp_connector_status{{{CP}}})", legend=_CONNECTOR),
            defaults={"mappings": status_mappings()},
        ),
        table(
            "About",
            "What its boot message reported.",
            "none",
            Query(expr=f"max by (cp_id, vendor, model, firmware, protocol) (ocpp_cp_info{{{CP}}})", table=True),
            hidden=("Value",),
            width=24,
            height=5,
        ),
    ),
)

CHARGING = Row(
    title="Charging",
    panels=(
        lines(
            "Power",
            "Active power over all phases.",
            "watt",
            Query(expr=by_connector("ocpp_cp_power_w"), legend=_CONNECTOR),
        ),
        steps(
            "Current and Limit",
            "The highest phase, and the limit in force. Runbook: NearCurrentLimit.",
            "amp",
            Query(expr=by_connector("ocpp_cp_current_a"), legend=f"{_CONNECTOR} current"),
            Query(expr=by_connector("ocpp_cp_current_limit_a"), legend=f"{_CONNECTOR} limit"),
        ),
        steps(
            "Energy of the Session",
            "Since the start of the running transaction.",
            "watth",
            Query(expr=by_connector("ocpp_tx_energy_wh"), legend=_CONNECTOR),
        ),
        stat(
            "Energy in the Period",
            "Of transactions that ended in the period shown.",
            "watth",
            Query(expr=in_range("ocpp_cp_energy_total_wh", by=("cp_id",)), legend="{{cp_id}}"),
        ),
        stat(
            "Sessions in the Period",
            "Transactions started in the period shown.",
            "none",
            Query(expr=in_range("ocpp_tx_total", by=("cp_id",)), legend="{{cp_id}}"),
        ),
        stat(
            "Energy Jumps in the Period",
            "Readings over 10 kWh apart. Runbook: EnergyJump.",
            "none",
            Query(expr=in_range("ocpp_energy_jump_total", by=("cp_id",)), legend="{{cp_id}}"),
            defaults={"thresholds": above(1, 5)},
        ),
        stat(
            "Returns in Mid-session",
            "With an open transaction, in the period. Runbook: ChargePointRebootDuringTransaction.",
            "none",
            Query(
                expr=in_range("ocpp_cp_reconnect_during_tx_total", by=("cp_id",)),
                legend="{{cp_id}}",
            ),
            defaults={"thresholds": above(1, 5)},
        ),
    ),
)

CONVERSATION = Row(
    title="Conversation",
    panels=(
        lines(
            "Messages",
            "Handled a second, by type.",
            "cps",
            Query(
                expr=f"sum by (message_type) (rate(ocpp_msg_handling_seconds_count{{{CP}}}[$__rate_interval]))",
                legend="{{message_type}}",
            ),
            stacked=True,
        ),
        lines(
            "Handling Latency",
            "p95 by type; dots are exemplars that open the message's trace.",
            "s",
            Query(
                expr="histogram_quantile(0.95, sum by (le, message_type) "
                f"(rate(ocpp_msg_handling_seconds_bucket{{{CP}}}[$__rate_interval])))",
                legend="{{message_type}}",
                exemplar=True,
            ),
        ),
        bars(
            "Boots and Disconnects",
            "Runbooks: ChargePointMultipleReboots, ChargePointMultipleDisconnects.",
            "none",
            Query(expr=events("ocpp_cp_boots_total", by=()), legend="boots"),
            Query(expr=events("ocpp_cp_disconnects_total", by=()), legend="disconnects"),
        ),
        bars(
            "Errors",
            "By kind. Runbook: ChargePointErrorDetected.",
            "none",
            Query(expr=events("ocpp_cp_errors_total", "error_type", by=("error_type",)), legend="{{error_type}}"),
            defaults={"noValue": "none"},
        ),
        bars(
            "Authorisations",
            "Id tokens judged, by the answer given.",
            "none",
            Query(expr=events("ocpp_cp_authorizations_total", "status", by=("status",)), legend="{{status}}"),
        ),
        bars(
            "Schema Faults",
            "Messages against their schema, answered all the same. Runbook: ChargePointSchemaFaults.",
            "none",
            Query(expr=events("ocpp_cp_schema_faults_total", "action", by=("action",)), legend="{{action}}"),
            defaults={"noValue": "none"},
        ),
        logs(
            "Log",
            "What the central system logged about it; a line's trace id leads to the trace.",
            LogFilter(service="wattspan", matches={"cp_id": "$cp_id"}),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-charge-point",
    title="Charge point",
    description="One charger in depth, with its boots, errors and sessions marked on every graph.",
    rows=(STATE, CHARGING, CONVERSATION),
    variables=(datasource(), cp_id(multi=False), *ADDRESSES),
    links=(
        *LINKS,
        link(
            "Its traces", '$jaeger/search?service=wattspan&tags={"cp_id":"$cp_id"}', "Messages and sessions in Jaeger"
        ),
        link("In the console", "$console/#/charge-points/$cp_id", "Commands, configuration, reservations"),
    ),
    annotations=(
        annotation("Boots", f"changes(ocpp_cp_boots_total{{{CP}}}[1m]) > 0", "purple", "boot", "{{cp_id}}"),
        annotation(
            "Errors",
            f"cp_id_error_type:ocpp_cp_errors:increase5m{{{CP}}} > 0",
            "red",
            "{{error_type}}",
            "{{cp_id}}",
        ),
        annotation("Sessions", f"changes(ocpp_tx_total{{{CP}}}[1m]) > 0", "blue", "session", "{{cp_id}}"),
    ),
)
