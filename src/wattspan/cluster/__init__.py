"""Several servers (nodes) of one fleet: which owns a charge point, and what they send each other. It knows no OCPP."""
