"""The Prometheus page: the metric reader behind `/metrics` and the two text formats."""
