"""Makes the pictures and the told parts of docs/tour.md from a real run of the shipped stack: `make tour`."""
