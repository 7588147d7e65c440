"""Message spans: `hot`, which the central system uses by default, and `api`, which works with any TracerProvider."""
