"""The HTTP API for operators, and the console. It must not know WebSockets or SQL."""

PREFIX = "/api/v1"
"""Below which all is that the operator's side offers to programs."""
