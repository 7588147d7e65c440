"""The one place that decides which OCPP version's builders an operation uses."""

from collections.abc import Mapping

from wattspan.csms.operations import v2x, v16
from wattspan.csms.operations.context import Builder, OcppCall, OperationContext
from wattspan.csms.operations.parameters import Operation
from wattspan.versions.base import Version

BUILDERS: Mapping[str, Mapping[type[Operation], Builder]] = {
    "ocpp1.6": v16.BUILDERS,
    "ocpp2.0.1": v2x.BUILDERS,
    "ocpp2.1": v2x.BUILDERS,
}
"""Builders by WebSocket subprotocol."""


def build(version: Version, operation: Operation, context: OperationContext) -> OcppCall:
    """Return the action and payload of an operation in a version.

    Raises:
        OperationUnsupported: the version has no such operation.
        TransactionNotIdentified: a stop that does not name exactly one open transaction.
    """
    return BUILDERS[version.subprotocol][type(operation)](operation, context)
