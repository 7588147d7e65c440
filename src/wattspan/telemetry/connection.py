"""What all spans and log records of one OCPP-J connection share. It must not know how spans are exported."""

from collections.abc import Mapping

from wattspan.telemetry import catalogue

OTHER = "other"
"""The label of actions that OCPP does not define."""
NOTHING: Mapping[str, str | int | float | bool] = {}
Address = tuple[str, int | None]
"""(address, port) of one end of a connection; port None: a Unix socket, which has none."""


class ConnectionAttributes:
    """The attributes of one connection, prepared once. The exporter keeps their bytes in `encoded`."""

    __slots__ = ("client_fields", "encoded", "fields", "peer")

    def __init__(
        self,
        version: str,
        *,
        peer: Address | None = None,
        server: Address | None = None,
        more: Mapping[str, str | int | float | bool] = NOTHING,
    ) -> None:
        """`version` is OCPP's, e.g. "1.6". `peer` is the charge point's end, `server` the other; None: not known.

        `more` are further attributes of all its spans.
        """
        fields: dict[str, str | int | float | bool] = {catalogue.OCPP_VERSION: version} if version else {}
        fields |= more
        fields |= _address(catalogue.PEER_ADDRESS, catalogue.PEER_PORT, peer)
        self.client_fields: Mapping[str, str | int | float | bool] = dict(fields)
        """The same for commands: the conventions have `server.*` name the other end then."""
        fields |= _address(catalogue.SERVER_ADDRESS, catalogue.SERVER_PORT, server)
        self.fields: Mapping[str, str | int | float | bool] = fields
        self.peer = "" if peer is None else peer[0]
        self.encoded: bytes | None = None


def _address(name: str, port_name: str, address: Address | None) -> dict[str, str | int]:
    if address is None or not address[0]:
        return {}
    return {name: address[0]} if address[1] is None else {name: address[0], port_name: address[1]}


def address_of(socket_name: object) -> Address | None:
    """Return the address of a socket as `getsockname` and `getpeername` have it; None if it has none."""
    if isinstance(socket_name, tuple) and len(socket_name) > 1:
        return str(socket_name[0]), int(socket_name[1])
    return None


UNKNOWN_CONNECTION = ConnectionAttributes("")
"""Of a message whose connection is not known."""


def rpc_method(action: str) -> str:
    """Return the name of an action, as a label, by the RPC conventions."""
    return catalogue.UNDEFINED if action == OTHER else action
