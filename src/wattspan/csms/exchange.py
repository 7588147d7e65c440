"""A CALL of a charge point from its receipt to the end of its answer, and the connection that it came by."""

import time
from dataclasses import dataclass
from typing import Protocol

from wattspan.csms.core import Core
from wattspan.domain.model import Transaction
from wattspan.errors import StoreError
from wattspan.ocppj.frames import Call
from wattspan.ocppj.rpc import RpcConnection
from wattspan.telemetry.connection import ConnectionAttributes
from wattspan.telemetry.recorder import MessageSpan
from wattspan.versions.base import Payload, Request


class Connection(Protocol):
    """The open connection, as the handler sees it."""

    attributes: ConnectionAttributes

    def drop(self, code: int, reason: str) -> None:
        """Begin to close the connection; returns at once."""

    def count_messages(self, more: int) -> None:
        """Count messages that came in the same frame as another, against what the peer may take of the loop."""


class Handler(Protocol):
    """The handler of the connection, as an exchange sees it."""

    core: Core
    rpc: RpcConnection
    connection: Connection


@dataclass(slots=True, eq=False)
class Exchange:
    """A CALL of a charge point, until it is answered."""

    handler: Handler
    call: Call
    request: Request
    span: MessageSpan
    received_ts: float
    answer: Payload
    connector_id: str | None = None
    transaction: Transaction | None = None
    settled_s: float = 0.0

    def stored(self, fault: StoreError | None) -> None:
        """Send the answer; or, if the events could not be stored, close the connection so that it sends them again."""
        handler = self.handler
        wait_s = time.perf_counter() - self.settled_s
        if fault is None:
            handler.rpc.answer(self.call, self.answer)
        handler.core.recorder.answered(
            self.span,
            connector_id=self.connector_id,
            session=self.transaction,
            error=None if fault is None else "StoreUnavailable",
            store_wait_s=wait_s,
            response_size=self.call.answer_size,
        )
        if fault is not None:
            handler.connection.drop(1013, "try again later")
