"""Plugins: what a user adds without touching the core. One file each; `host` runs them, `base` says what they are."""
