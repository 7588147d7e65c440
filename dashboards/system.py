"""The dashboard *System resources*: hosts, PostgreSQL and Redis."""

from dashboards.model import Dashboard, Query, Row
from dashboards.panels import above, lines, stat
from dashboards.parts import LINKS, datasource, label_values

_I = 'instance=~"$instance"'

HOST = Row(
    title="Host",
    panels=(
        stat(
            "CPU",
            "Share of all cores that is busy. Runbook: CpuHigh.",
            "percentunit",
            Query(expr=f"max(instance:node_cpu:busy_ratio5m{{{_I}}})"),
            defaults={"thresholds": above(0.6, 0.8)},
        ),
        stat(
            "Memory",
            "Share in use. Runbook: MemoryHigh.",
            "percentunit",
            Query(expr=f"max(instance:node_memory:used_ratio{{{_I}}})"),
            defaults={"thresholds": above(0.8, 0.9)},
        ),
        stat(
            "Fullest Disk",
            "Share in use. Runbook: DiskNearlyFull.",
            "percentunit",
            Query(expr=f"max(instance_mountpoint:node_filesystem:used_ratio{{{_I}}})"),
            defaults={"thresholds": above(0.8, 0.9)},
        ),
        stat("Load", "Of one minute, for each core.", "none", Query(
            expr=f'max(node_load1{{{_I}}} / on (instance) count by (instance) (node_cpu_seconds_total{{mode="idle"}}))'
        )),
        lines(
            "CPU by Mode",
            "Cores busy with each kind of work.",
            "none",
            Query(
                expr=f'sum by (mode) (rate(node_cpu_seconds_total{{{_I}, mode!="idle"}}[$__rate_interval]))',
                legend="{{mode}}",
            ),
            stacked=True,
        ),
        lines(
            "Load Average",
            "Processes that run or wait to.",
            "none",
            Query(expr=f"node_load1{{{_I}}}", legend="1 min"),
            Query(expr=f"node_load5{{{_I}}}", legend="5 min"),
            Query(expr=f"node_load15{{{_I}}}", legend="15 min"),
        ),
        lines(
            "Memory in Use",
            "Total without what could be had at once.",
            "bytes",
            Query(expr=f"node_memory_MemTotal_bytes{{{_I}}} - node_memory_MemAvailable_bytes{{{_I}}}", legend="used"),
            Query(expr=f"node_memory_MemTotal_bytes{{{_I}}}", legend="total"),
        ),
        lines(
            "Disks",
            "Share in use, by mount point. Runbook: DiskFillsWithinADay.",
            "percentunit",
            Query(
                expr=f"instance_mountpoint:node_filesystem:used_ratio{{{_I}}}", legend="{{instance}} {{mountpoint}}"
            ),
            defaults={"min": 0, "max": 1, "thresholds": above(0.8, 0.9)},
        ),
        lines(
            "Disk Traffic",
            "Read and written a second.",
            "Bps",
            Query(expr=f"sum(rate(node_disk_read_bytes_total{{{_I}}}[$__rate_interval]))", legend="read"),
            Query(expr=f"sum(rate(node_disk_written_bytes_total{{{_I}}}[$__rate_interval]))", legend="written"),
        ),
        lines(
            "Network",
            "Received and sent a second, without loopback.",
            "Bps",
            Query(
                expr=f'sum(rate(node_network_receive_bytes_total{{{_I}, device!="lo"}}[$__rate_interval]))',
                legend="received",
            ),
            Query(
                expr=f'sum(rate(node_network_transmit_bytes_total{{{_I}, device!="lo"}}[$__rate_interval]))',
                legend="sent",
            ),
        ),
    ),
)  # fmt: skip

DATABASE = Row(
    title="PostgreSQL",
    panels=(
        lines(
            "Connections",
            "By state, and how many there may be. Runbook: DatabaseConnectionsHigh.",
            "none",
            Query(expr="sum by (state) (pg_stat_activity_count)", legend="{{state}}"),
            Query(expr="max(pg_settings_max_connections)", legend="limit"),
            defaults={"noValue": "not in use"},
        ),
        lines(
            "Size",
            "On disk, by database.",
            "bytes",
            Query(expr="max by (datname) (pg_database_size_bytes)", legend="{{datname}}"),
            defaults={"noValue": "not in use"},
        ),
        lines(
            "Transactions",
            "Commits and rollbacks a second.",
            "cps",
            Query(expr="sum(rate(pg_stat_database_xact_commit[$__rate_interval]))", legend="commits"),
            Query(expr="sum(rate(pg_stat_database_xact_rollback[$__rate_interval]))", legend="rollbacks"),
            defaults={"noValue": "not in use"},
        ),
        lines(
            "Longest Transaction",
            "By database: slow queries and forgotten transactions. Runbook: DatabaseLongTransaction.",
            "s",
            Query(expr="max by (datname) (pg_stat_activity_max_tx_duration)", legend="{{datname}}"),
            defaults={"thresholds": above(60, 300), "noValue": "not in use"},
        ),
        lines(
            "Slow Queries",
            "Average time of a call, the ten slowest by query id; pg_stat_statements has the text. "
            "Runbook: DatabaseQuerySlow.",
            "s",
            Query(
                expr="topk(10, sum by (datname, queryid) (rate(pg_stat_statements_seconds_total[$__rate_interval]))"
                " / (sum by (datname, queryid) (rate(pg_stat_statements_calls_total[$__rate_interval])) > 0))",
                legend="{{datname}} {{queryid}}",
            ),
            defaults={"thresholds": above(0.5, 1), "noValue": "not in use"},
        ),
        lines(
            "Locks",
            "Held, by mode. Runbooks: DatabaseLocksHigh, DatabaseDeadlocks.",
            "none",
            Query(expr="sum by (mode) (pg_locks_count) > 0", legend="{{mode}}"),
            defaults={"noValue": "none"},
        ),
        lines(
            "Cache Hits",
            "Share of blocks found in memory.",
            "percentunit",
            Query(
                expr="sum(rate(pg_stat_database_blks_hit[$__rate_interval])) / ("
                "sum(rate(pg_stat_database_blks_hit[$__rate_interval]))"
                " + sum(rate(pg_stat_database_blks_read[$__rate_interval])) > 0)",
                legend="hits",
            ),
            defaults={"noValue": "not in use"},
        ),
    ),
)

CACHE = Row(
    title="Redis",
    panels=(
        lines(
            "Memory",
            "In use. Runbook: CacheMemoryHigh.",
            "bytes",
            Query(expr="redis_memory_used_bytes", legend="used"),
            Query(expr="redis_memory_max_bytes > 0", legend="limit"),
            defaults={"noValue": "not in use"},
        ),
        lines(
            "Clients",
            "Connected.",
            "none",
            Query(expr="redis_connected_clients", legend="clients"),
            defaults={"noValue": "not in use"},
        ),
        lines(
            "Commands",
            "Processed a second.",
            "cps",
            Query(expr="rate(redis_commands_processed_total[$__rate_interval])", legend="commands"),
            defaults={"noValue": "not in use"},
        ),
        lines(
            "Slow Log",
            "Entries in Redis's own slow log.",
            "none",
            Query(expr="redis_slowlog_length", legend="entries"),
            defaults={"noValue": "not in use"},
        ),
        lines(
            "Hits",
            "Share of keys found.",
            "percentunit",
            Query(
                expr="rate(redis_keyspace_hits_total[$__rate_interval]) / (rate(redis_keyspace_hits_total"
                "[$__rate_interval]) + rate(redis_keyspace_misses_total[$__rate_interval]) > 0)",
                legend="hits",
            ),
            defaults={"noValue": "no reads"},
        ),
        lines(
            "Rejected Connections",
            "Clients turned away, a second. Runbook: CacheRejectsConnections.",
            "cps",
            Query(expr="rate(redis_rejected_connections_total[$__rate_interval])", legend="rejected"),
            defaults={"noValue": "not in use"},
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-system",
    title="System resources",
    description="CPU, memory, disk, network and load of the hosts; PostgreSQL and Redis.",
    rows=(HOST, DATABASE, CACHE),
    variables=(datasource(), label_values("instance", "instance", "node_load1", "Host")),
    links=LINKS[:1],
)
