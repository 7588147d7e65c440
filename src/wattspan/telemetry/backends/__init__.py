"""What the recorder speaks to: `hot`, which our own server runs, and `api`, which works with anybody's provider."""
