"""The metric reader behind `/metrics` and the two Prometheus text formats."""
