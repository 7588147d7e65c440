"""A charge point's live connection. It must not know about other connections of the same identity."""

from dataclasses import replace

from wattspan.csms.core import Core
from wattspan.csms.service import CallHandler
from wattspan.gateway.certificates import PeerCertificate
from wattspan.gateway.connection import ChargePointConnection, close_quietly
from wattspan.ocppj.large import LargeMessages
from wattspan.ocppj.rpc import RpcConnection
from wattspan.telemetry.connection import ConnectionAttributes, address_of
from wattspan.versions.base import Version


class LiveConnection:
    """Ties WebSocket, RPC connection and handler together. The object itself is the key by which it is removed."""

    __slots__ = (
        "attributes",
        "began_ts",
        "certificate",
        "connection",
        "core",
        "handler",
        "profile",
        "rpc",
        "send",
        "version",
    )

    def __init__(
        self,
        core: Core,
        connection: ChargePointConnection,
        cp_id: str,
        version: Version,
        *,
        now_ts: float,
        large: LargeMessages,
    ) -> None:
        self.core = core
        self.connection = connection
        self.version = version
        self.began_ts = now_ts
        self.attributes = ConnectionAttributes(
            version.name, peer=address_of(connection.remote_address), server=address_of(connection.local_address)
        )
        self.send = connection.send_now
        self.profile = 0
        self.certificate: PeerCertificate | None = None
        self.handler = CallHandler(core, core.fleet.charge_point(cp_id, now_ts), version, self)
        framing = replace(version.framing, strict=True) if core.strict else version.framing
        self.rpc = self.handler.rpc = RpcConnection(cp_id, self, self.handler, framing, large)

    def pause_reading(self) -> None:
        self.connection.pause_reading()

    def resume_reading(self) -> None:
        self.connection.resume_reading()

    def count_messages(self, more: int) -> None:
        self.connection.count_messages(more)

    def drop(self, code: int, reason: str) -> None:
        """Stop reading, discard what waits and start the closing handshake. Further calls do nothing."""
        if self.rpc.closed:
            self.rpc.close()
            return
        self.rpc.close()
        self._close(code, reason)

    def replace(self) -> None:
        """Start the closing handshake because a newer connection takes over. What has been received is processed."""
        if not self.rpc.closed:
            self.rpc.lost()
            self._close(1008, "replaced by a newer connection")

    def _close(self, code: int, reason: str) -> None:
        self.connection.detach()
        self.core.spawn(close_quietly(self.connection, code, reason))
