"""HTTP servers for the metrics port and the API: sockets, limits, credentials. No OCPP here."""
