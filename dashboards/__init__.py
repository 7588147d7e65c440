"""Grafana dashboards, made rather than clicked: `python -m dashboards` writes json/, a test keeps the two equal.

`model` knows the JSON, `panels` the few kinds of panel we use, each page module one dashboard. Which metrics exist is
the catalogue's to say (`wattspan.telemetry.catalogue`); tests hold every query against it. Nothing here knows Grafana's
HTTP API: the files are mounted, or imported by hand (docs/dashboards.md).
"""
