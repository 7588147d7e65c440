"""Installed certificates of OCPP 2.x (Part 2 M03) as events. Payloads may break their schema; nothing here raises."""

from collections.abc import Iterable
from typing import Any

from wattspan.domain import events as ev
from wattspan.versions.base import Payload
from wattspan.versions.common import READ, installed_certificates
from wattspan.versions.fields import text

TYPES = (
    "CSMSRootCertificate",
    "ManufacturerRootCertificate",
    "MORootCertificate",
    "V2GCertificateChain",
    "V2GRootCertificate",
)
"""The types that a request without types asks for."""


def certificates_read(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe GetInstalledCertificateIds (OCPP 2.0.1 M03)."""
    if answer.get("status") not in READ:
        return ()
    wanted = call.get("certificateType")
    types = [text(each, 50) for each in wanted] if isinstance(wanted, list) and wanted else TYPES
    return installed_certificates(types, _found(answer.get("certificateHashDataChain")), cp_id, received_ts)


def _found(chains: Any) -> Iterable[tuple[str, Any, Any]]:
    for chain in chains if isinstance(chains, list) else ():
        if isinstance(chain, dict):
            kind = text(chain.get("certificateType"), 50)
            yield kind, chain.get("certificateHashData"), chain.get("childCertificateHashData")
