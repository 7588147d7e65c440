"""The dashboard *Services overview*: is everything there, and does it answer in time and without errors."""

from dashboards.events import process_events
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import above, bars, lines, stat, table, timeline, words
from dashboards.parts import ADDRESSES, LINKS, datasource

_UP = words(_0=("down", "red"), _1=("up", "green"))
_HTTP = "http_request_duration_seconds"

HEALTH = Row(
    title="Health",
    panels=(
        stat(
            "Services",
            "Whether Prometheus can read each. Runbook: ServiceDown.",
            "none",
            Query(expr="min by (job) (up)", legend="{{job}}"),
            width=24,
            height=5,
            graph="none",
            defaults={"mappings": _UP},
        ),
        timeline(
            "Up and Down", "The same over time.", "none", Query(expr="min by (job) (up)", legend="{{job}}"),
            defaults={"mappings": _UP},
        ),
        table(
            "Alerts",
            "What fires now; docs/runbooks.md has a section for each.",
            "none",
            Query(expr='ALERTS{alertstate="firing", alertname!="Watchdog"}', table=True),
            hidden=("Value", "alertstate"),
            width=24,
            defaults={"noValue": "nothing fires"},
        ),
    ),
)  # fmt: skip

REQUESTS = Row(
    title="HTTP requests",
    panels=(
        lines(
            "Request Rate",
            "Requests a second, by endpoint.",
            "reqps",
            Query(
                expr="sum by (endpoint) (rate(http_requests_total[$__rate_interval]))",
                legend="{{endpoint}}",
            ),
            stacked=True,
        ),
        lines(
            "Latency",
            "p50 and p95 over all endpoints. Runbook: HttpSlow.",
            "s",
            *(
                Query(
                    expr=f"histogram_quantile({share}, sum by (le) (rate({_HTTP}_bucket[$__rate_interval])))",
                    legend=name,
                    exemplar=True,
                )
                for share, name in ((0.5, "p50"), (0.95, "p95"))
            ),
            defaults={"thresholds": above(0.5, 1)},
        ),
        lines(
            "Error Rate",
            "Share of requests that end in a server error. Runbook: HttpErrorRateHigh.",
            "percentunit",
            Query(
                expr='(sum(rate(http_requests_total{status=~"5.."}[$__rate_interval])) or vector(0))'
                " / (sum(rate(http_requests_total[$__rate_interval])) > 0)",
                legend="server errors",
            ),
            defaults={"thresholds": above(0.05, 0.1)},
        ),
        lines(
            "OCPP Messages",
            "In from charge points and out to them, a second.",
            "cps",
            Query(
                expr="sum by (direction) (rate(ocpp_central_messages_total[$__rate_interval]))", legend="{{direction}}"
            ),
        ),
        lines(
            "Health Checks",
            "p95 of what the central system finds when it checks its parts. Runbooks: HealthCheckSlow, DatabaseSlow.",
            "s",
            *(
                Query(
                    expr="histogram_quantile(0.95, sum by (le) "
                    f"(rate({what}_health_check_duration_seconds_bucket[$__rate_interval])))",
                    legend=what,
                )
                for what in ("system", "database", "redis")
            ),
        ),
        lines(
            "Store",
            "p95 of a commit, and answers that wait for one. Runbooks: StoreSlow, StoreBacklog.",
            "s",
            Query(
                expr="histogram_quantile(0.95, sum by (le) (rate(ocpp_store_commit_seconds_bucket[$__rate_interval])))",
                legend="commit",
                exemplar=True,
            ),
        ),
    ),
)

RESOURCES = Row(
    title="Resources of the central system",
    panels=(
        lines(
            "CPU",
            "Cores that each process of ours uses.",
            "none",
            Query(expr="rate(process_cpu_seconds_total[$__rate_interval])", legend="{{job}} {{instance}}"),
        ),
        lines(
            "Memory",
            "Resident, of each process.",
            "bytes",
            Query(expr="process_resident_memory_bytes", legend="{{job}} {{instance}}"),
        ),
        lines(
            "File Descriptors",
            "Share in use. Runbook: FileDescriptorsNearLimit.",
            "percentunit",
            Query(expr="process_open_fds / process_max_fds", legend="{{job}} {{instance}}"),
            defaults={"thresholds": above(0.6, 0.8)},
        ),
        lines("Sockets", "Open WebSockets.", "none", Query(expr="ocpp_central_sockets", legend="{{instance}}")),
        lines(
            "Answers Waiting for the Store",
            "Messages whose facts are not durable yet. Runbook: StoreBacklog.",
            "none",
            Query(expr="ocpp_store_waiting", legend="{{instance}}"),
        ),
        lines(
            "Telemetry Lost",
            "Records dropped a second, by signal. Runbook: TelemetryDropped.",
            "cps",
            Query(
                expr="sum by (signal) (rate(ocpp_central_telemetry_dropped_total[$__rate_interval]))",
                legend="{{signal}}",
            ),
        ),
        lines(
            "Faults",
            "Unreadable frames, unasked results and failed batches, a second.",
            "cps",
            Query(expr="sum(rate(ocpp_central_unreadable_frames_total[$__rate_interval]))", legend="unreadable frames"),
            Query(expr="sum(rate(ocpp_central_unasked_results_total[$__rate_interval]))", legend="unasked results"),
            Query(expr="sum(rate(ocpp_store_failures_total[$__rate_interval]))", legend="failed batches"),
        ),
        lines(
            "Plugin Faults",
            "By plugin and kind, a second. Runbook: PluginFailing.",
            "cps",
            Query(
                expr="sum by (plugin, kind) (rate(ocpp_central_plugin_errors_total[$__rate_interval]))",
                legend="{{plugin}}: {{kind}}",
            ),
            defaults={"noValue": "none"},
        ),
        bars(
            "Failed Periodic Tasks",
            "Turns that failed and are tried again. Runbook: MaintenanceFailing.",
            "none",
            Query(expr=process_events("ocpp_central_maintenance_failures_total", "task"), legend="{{task}}"),
            defaults={"noValue": "none"},
        ),
        lines(
            "Collector Queues",
            "Share of each exporter's queue that is taken. Runbook: CollectorQueueFilling.",
            "percentunit",
            Query(
                expr="max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                legend="{{exporter}}",
            ),
        ),
    ),
)

PROMISES = Row(
    title="Promises",
    panels=(
        lines(
            "Slow Messages",
            "Share of messages that take over 1.1 s; the promise is 1 % at most. Runbook: MessageHandlingBudgetBurn.",
            "percentunit",
            Query(expr="slo:message_handling:error_ratio_1h", legend="1 h"),
            Query(expr="slo:message_handling:error_ratio_1d", legend="1 d"),
            width=12,
            defaults={"thresholds": above(0.01, 0.06)},
        ),
        lines(
            "Failed Commands",
            "Share of commands without an answer; the promise is 2 % at most. Runbook: CommandBudgetBurn.",
            "percentunit",
            Query(expr="slo:commands:error_ratio_1h", legend="1 h"),
            Query(expr="slo:commands:error_ratio_1d", legend="1 d"),
            width=12,
            defaults={"thresholds": above(0.02, 0.12), "noValue": "no commands"},
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-services",
    title="Services overview",
    description="Every service of the stack: is it there, does it answer, in time and without errors.",
    rows=(HEALTH, REQUESTS, RESOURCES, PROMISES),
    variables=(datasource(), *ADDRESSES),
    links=LINKS,
)
