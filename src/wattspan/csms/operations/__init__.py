"""What an operator can ask of a charge point, whatever OCPP version it negotiated."""
