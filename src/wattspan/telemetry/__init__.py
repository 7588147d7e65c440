"""What the fleet does, as metrics, spans and logs. It knows state and events, never the socket or the store."""
