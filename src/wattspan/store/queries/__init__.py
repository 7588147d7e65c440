"""Queries on the tables: functions that take a connection and return records."""
