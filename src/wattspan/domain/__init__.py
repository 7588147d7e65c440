"""What charging means: events, state, energy, status. Pure: no I/O, no clock, no third-party import."""
