"""Helpers that tests of every kind share: `from support.x import y`."""
