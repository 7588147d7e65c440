"""Limits of certificate requests that hold in every OCPP version."""

MAX_CSR = 5500
"""Characters of a certificate signing request (security whitepaper §5.24, 2.0.1 SignCertificateRequest)."""
