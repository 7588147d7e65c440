"""The lower half of *OCPP Central System*: transactions, performance, power and current."""

from dashboards.events import (
    MAX_SERIES,
    by_charge_point,
    by_connector,
    events,
    least,
    most,
    rank_by_events,
    rank_by_highest,
    rank_by_time,
)
from dashboards.model import Query, Row
from dashboards.panels import above, bars, donut, heatmap, lines, ranking, steps
from dashboards.parts import BY_CHARGE_POINT, CP

_LINKED = {"links": BY_CHARGE_POINT}
_CONNECTOR = "{{cp_id}} / {{connector_id}}"

TRANSACTIONS = Row(
    title="Transactions",
    collapsed=True,
    panels=(
        lines(
            "Time Since Last Transaction (by CP)",
            "Since a transaction last ended; the twenty that wait longest. Runbook: ChargePointStaleTransaction.",
            "s",
            Query(
                expr=least(f"time() - {by_charge_point('ocpp_cp_last_tx_ts')}", rank_by_time("ocpp_cp_last_tx_ts")),
                legend="{{cp_id}}",
            ),
            defaults=_LINKED,
        ),
        lines(
            "Energy Rate",
            "Energy of ended transactions, as power averaged over an hour.",
            "watt",
            Query(expr=f"sum(rate(ocpp_cp_energy_total_wh{{{CP}}}[1h])) * 3600", legend="delivered"),
        ),
        lines(
            "Transaction Rate",
            "Transactions started a minute.",
            "none",
            Query(expr=f"sum(rate(ocpp_tx_total{{{CP}}}[5m])) * 60", legend="starts a minute"),
        ),
        lines(
            "Average Session Duration",
            "Of the transactions that ended within an hour.",
            "s",
            Query(
                expr="sum(rate(ocpp_tx_duration_seconds_sum[1h]))"
                " / (sum(rate(ocpp_tx_duration_seconds_count[1h])) > 0)",
                legend="mean",
                exemplar=True,
            ),
        ),
        steps(
            "Energy of Running Transactions",
            "Since the start of each, by connector; of the twenty charge points with most.",
            "watth",
            Query(
                expr=most(f"{by_connector('ocpp_tx_energy_wh')} > 0", rank_by_highest("ocpp_tx_energy_wh")),
                legend=_CONNECTOR,
            ),
            defaults=_LINKED,
        ),
        bars(
            "Energy Jumps",
            "Two readings of one transaction over 10 kWh apart. Runbook: EnergyJump.",
            "none",
            Query(
                expr=most(events("ocpp_energy_jump_total"), rank_by_events("ocpp_energy_jump_total")),
                legend="{{cp_id}}",
            ),
            defaults={"noValue": "none", **_LINKED},
        ),
    ),
)

PERFORMANCE = Row(
    title="Performance",
    collapsed=True,
    panels=(
        heatmap(
            "Handling Latency",
            "From decoding a message to its answer, durable store included. Dots are exemplars and open traces.",
            "s",
            Query(
                expr=f"sum by (le) (increase(ocpp_msg_handling_seconds_bucket{{{CP}}}[$__rate_interval]))",
                legend="{{le}}",
                exemplar=True,
            ),
        ),
        lines(
            "Handling Latency, Percentiles",
            "p50, p95, p99 over all messages. Runbook: SlowMessageHandling.",
            "s",
            *(
                Query(
                    expr=f"histogram_quantile({share}, sum by (le) "
                    f"(rate(ocpp_msg_handling_seconds_bucket{{{CP}}}[$__rate_interval])))",
                    legend=name,
                    exemplar=True,
                )
                for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ),
            width=12,
            defaults={"thresholds": above(0.5, 1)},
        ),
        lines(
            "Messages by Type",
            "Handled a second.",
            "cps",
            Query(
                expr=f"sum by (message_type) (rate(ocpp_msg_handling_seconds_count{{{CP}}}[$__rate_interval]))",
                legend="{{message_type}}",
            ),
            stacked=True,
        ),
        lines(
            "Error Rate",
            "Errors a minute, by kind. Runbook: HighErrorRate.",
            "none",
            Query(expr=f"sum by (error_type) (rate(ocpp_cp_errors_total{{{CP}}}[5m])) * 60", legend="{{error_type}}"),
        ),
        bars(
            "Number of Errors Over Time (by CP)",
            "Errors notified and protocol faults; a first of its kind included. Runbook: ChargePointErrorDetected.",
            "none",
            Query(
                expr=most(events("ocpp_cp_errors_total", "error_type"), rank_by_events("ocpp_cp_errors_total")),
                legend="{{cp_id}}",
            ),
            defaults={"noValue": "none", **_LINKED},
        ),
        bars(
            "Command Errors",
            "Commands without an answer, or answered by an error. Runbooks: CommandTimedOut, CommandFailed.",
            "none",
            Query(
                expr=events("ocpp_central_call_errors_total", "action", "error_type", by=("action", "error_type")),
                legend="{{action}}: {{error_type}}",
            ),
            defaults={"noValue": "none"},
        ),
        bars(
            "Command Rejections",
            "Commands that charge points did not accept. Runbook: CommandRejected.",
            "none",
            Query(
                expr=events("ocpp_central_call_rejected_total", "action", "status", by=("action", "status")),
                legend="{{action}}: {{status}}",
            ),
            defaults={"noValue": "none"},
        ),
        lines(
            "Command Latency",
            "From sending a command to its answer, p95 by action.",
            "s",
            Query(
                expr="histogram_quantile(0.95, "
                "sum by (le, action) (rate(ocpp_central_call_seconds_bucket[$__rate_interval])))",
                legend="{{action}}",
                exemplar=True,
            ),
            defaults={"noValue": "no commands"},
        ),
        lines(
            "Central Service Resident Memory",
            "Of each process of the central system.",
            "bytes",
            Query(expr='process_resident_memory_bytes{job="wattspan"}', legend="{{instance}}"),
        ),
    ),
)

POWER_AND_CURRENT = Row(
    title="Power and current",
    collapsed=True,
    panels=(
        lines(
            "Sum of Measured Current Delivered (Total System)",
            "The highest phase of every connector, added up.",
            "amp",
            Query(expr=f"sum({by_connector('ocpp_cp_current_a')})", legend="total"),
        ),
        lines(
            "Sum of Measured Current Delivered (by CP)",
            "The highest phase of each connector, added up; the twenty with most.",
            "amp",
            Query(
                expr=most(
                    f"sum by (cp_id) ({by_connector('ocpp_cp_current_a')})", rank_by_highest("ocpp_cp_current_a")
                ),
                legend="{{cp_id}}",
            ),
            stacked=True,
            defaults=_LINKED,
        ),
        lines(
            "Total Power",
            "Active power over all phases, and what the site may draw where that is set (alerts/rules/site.yml).",
            "watt",
            Query(expr=f"sum({by_connector('ocpp_cp_power_w')})", legend="power"),
            Query(expr="site:power_limit_w", legend="limit"),
        ),
        lines(
            "Current by Connector",
            "The highest phase, for a limit binds each phase; of the twenty charge points with most.",
            "amp",
            Query(
                expr=most(by_connector("ocpp_cp_current_a"), rank_by_highest("ocpp_cp_current_a")), legend=_CONNECTOR
            ),
            defaults=_LINKED,
        ),
        lines(
            "Current to Limit",
            "Share of its limit that each connector draws, the twenty highest. Runbook: NearCurrentLimit.",
            "percentunit",
            Query(
                expr=f"topk({MAX_SERIES}, {by_connector('ocpp_cp_current_a')}"
                f" / ({by_connector('ocpp_cp_current_limit_a')} > 0))",
                legend=_CONNECTOR,
            ),
            defaults={"max": 1.1, "min": 0, "thresholds": above(0.9, 0.95), **_LINKED},
        ),
        donut(
            "Load Distribution",
            "How the ten that draw most now compare.",
            "watt",
            Query(expr=f"topk(10, sum by (cp_id) ({by_connector('ocpp_cp_power_w')}) > 0)", legend="{{cp_id}}"),
            width=8,
            defaults={"noValue": "nobody charges"},
        ),
        ranking(
            "Highest Loads",
            "The ten connectors that draw most now.",
            "watt",
            Query(expr=f"topk(10, {by_connector('ocpp_cp_power_w')} > 0)", legend=_CONNECTOR, instant=True),
            width=24,
            defaults={"noValue": "nobody charges", **_LINKED},
        ),
    ),
)
