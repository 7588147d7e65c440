"""Rules on logs, written once for Loki and for VictoriaLogs, beside the rules of Prometheus."""
