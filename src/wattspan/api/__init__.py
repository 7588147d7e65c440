"""The operator's side: HTTP in front of the fleet, the books and the commands. It knows no socket of a charge point."""

PREFIX = "/api/v1"
"""Below which all is that the operator's side offers to programs."""
