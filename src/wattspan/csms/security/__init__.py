"""Credentials of charge points, the certificate authority, and certificates signed by it."""
