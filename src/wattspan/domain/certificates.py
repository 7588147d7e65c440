"""Limits and states of certificate requests that hold in every OCPP version."""

MAX_CSR = 5500
"""Characters of a certificate signing request (security whitepaper §5.24, 2.0.1 SignCertificateRequest)."""

PENDING, REFUSED, FAILED, INSTALLED = "pending", "refused", "failed", "installed"
SIGNING_STATES = (PENDING, REFUSED, FAILED, INSTALLED)
"""The states of a signing request: the certificate is signed or sent; the charge point refused it; it could not be
signed or was not answered; the charge point accepted it."""
