"""Reads logs of OCPP conversations and turns them into what the server would have recorded."""
