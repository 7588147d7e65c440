"""Metrics that rules and dashboards use and others emit, by who does. A name that is on no list here fails the tests.

Held against: node_exporter 1.5 and 1.12, postgres_exporter 0.11 and 0.20, redis_exporter 1.45 and 1.89, the Collector
0.159 (with the names its configuration pins), Prometheus 2.42 and 3, Alertmanager 0.25.
"""

NODE = frozenset({
    "node_cpu_seconds_total",
    "node_disk_read_bytes_total",
    "node_disk_written_bytes_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_load1",
    "node_load15",
    "node_load5",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes",
    "node_network_receive_bytes_total",
    "node_network_transmit_bytes_total",
})  # fmt: skip
POSTGRES = frozenset({
    "pg_database_size_bytes",
    "pg_locks_count",
    "pg_settings_max_connections",
    "pg_stat_activity_count",
    "pg_stat_activity_max_tx_duration",
    "pg_stat_statements_calls_total",
    "pg_stat_statements_seconds_total",
    "pg_stat_database_blks_hit",
    "pg_stat_database_blks_read",
    "pg_stat_database_deadlocks",
    "pg_stat_database_xact_commit",
    "pg_stat_database_xact_rollback",
    "pg_up",
})  # fmt: skip
REDIS = frozenset({
    "redis_commands_processed_total",
    "redis_connected_clients",
    "redis_keyspace_hits_total",
    "redis_keyspace_misses_total",
    "redis_memory_max_bytes",
    "redis_memory_used_bytes",
    "redis_rejected_connections_total",
    "redis_slowlog_length",
    "redis_up",
})  # fmt: skip
COLLECTOR = frozenset({"otelcol_exporter_queue_capacity", "otelcol_exporter_queue_size"})
MONITORING = frozenset({
    "ALERTS",
    "alertmanager_notifications_failed_total",
    "prometheus_notifications_dropped_total",
    "prometheus_rule_evaluation_failures_total",
    "up",
})  # fmt: skip
EXPORTERS = NODE | POSTGRES | REDIS | COLLECTOR | MONITORING

AWAITED: frozenset[str] = frozenset()
"""Promised, and not in the catalogue yet: what it has by then is to be struck out here."""
