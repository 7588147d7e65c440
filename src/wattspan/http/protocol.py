"""uvicorn's HTTP protocol with limits on what a peer may send, and on how long sending and reading may take.

httptools joins the pieces of a header without limit, and uvicorn waits forever: for a first request, for a body, and
for a peer that does not read its answer. Without limits, anybody who can reach the port could use up the memory or the
file descriptors that charge points need.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import orjson
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from wattspan.http.connections import Connection, Connections
from wattspan.telemetry.logs import Limiter

MAX_HEAD_BYTES = 65_536
"""Largest request line and headers together."""
HEAD_S = 20.0
"""How long they may take, from the start of the connection or of the request, s."""
BODY_S = 20.0
"""In each period of so many seconds, MIN_BODY_BYTES of a body must arrive."""
MIN_BODY_BYTES = 20_000
ANSWER_S = 30.0
"""How long an answer may wait without the peer reading any of it, s."""
MAX_PIPELINED = 16
"""Requests that may wait for the answer to an earlier one of their connection; later ones are not answered."""
LOG_EVERY_S = 1.0
"""The shortest time between two equal lines of uvicorn, s: anybody can cause them."""

REFUSED_STATUS = "refused_status"
"""In the state of a request whose answer did not come from the application: the status that was sent."""

Refused = Callable[[int], None]
"""Called with the status of an answer that no application gave."""


class HttpConfig(uvicorn.Config):
    """uvicorn's configuration and what all connections of one port share."""

    def __init__(self, app: Any, *, connections: Connections, on_refused: Refused, **options: Any) -> None:
        super().__init__(app, http=BoundedHttp, **options)
        self.connections = connections
        self.on_refused = on_refused


class _TooMuch(Exception):
    """Ends the parsing; httptools wraps it in an error of its own."""


class _Flow(FlowControl):
    """Flow control that does not read on while a pipelined request waits, which would make room for more of them."""

    def __init__(self, protocol: "BoundedHttp") -> None:
        super().__init__(protocol.transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if not self._protocol.pipeline:
            super().resume_reading()


class BoundedHttp(HttpToolsProtocol):
    """Refuses what exceeds a limit with a problem document, and closes the connection of a peer that takes too long.

    431: the head is too long. 400: it is not HTTP. 408: the body takes too long. 429 and 503: too many connections, of
    this peer or in all.
    """

    def __init__(
        self,
        config: HttpConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.connections
        self._on_refused = config.on_refused
        self.logger = _limited_logger()
        self.handshake: Connection | None = None
        """What counts as a connection until this one is made."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self.handshake is not None:
            self._limits.remove(self.handshake)
        super().connection_made(transport)
        self.flow = _Flow(self)
        self._steps = 0  # heads, body chunks and ends of requests so far
        self._stuck_bytes = 0
        self._refused = False
        self._receiving = False  # a request's body
        self._timer: asyncio.TimerHandle | None = None
        self._idle_since_s = self._body_since_s = self._read_since_s = self.loop.time()
        self._body_bytes = 0
        self._unread_bytes = 0
        self.closed: asyncio.Future[None] = self.loop.create_future()
        if self._limits.add(self, "" if self.client is None else self.client[0]):
            self._start_timer()
        else:
            full = len(self._limits) >= self._limits.limit
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE if full else HTTPStatus.TOO_MANY_REQUESTS, "connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.remove(self)
        self._cancel_timer()
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)

    @property
    def idle_since_s(self) -> float | None:
        """Since when nothing is in progress, in the loop's seconds; None while a request or its answer is."""
        return None if self._answering or self.transport.get_write_buffer_size() else self._idle_since_s

    @property
    def _answering(self) -> bool:
        """Whether a request's answer is not complete."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        steps = self._steps
        super().data_received(data)
        # No step: a head, trailer or chunk extension that does not end, and that httptools buffers.
        self._stuck_bytes = 0 if self._steps != steps else self._stuck_bytes + len(data)
        if self._stuck_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            if self._timer is None:
                self.transport.abort()  # an answer may be in progress
            else:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        self._time_idle()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_timer()

    def on_headers_complete(self) -> None:
        self._steps += 1
        self._cancel_timer()
        if len(self.pipeline) >= MAX_PIPELINED:
            self.cycle.keep_alive = False  # the last one that is answered
            self._refused = True
            raise _TooMuch
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise _TooMuch
        self._receiving = True
        self._body_bytes = 0
        self._body_since_s = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._steps += 1
        self._receiving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._idle_since_s = self.loop.time()
        super().on_response_complete()

    def resume_writing(self) -> None:
        self._read_since_s = self.loop.time()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what could not be parsed, unless it was refused for another reason."""
        if not self._refused:
            self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def check(self) -> None:
        """Close the connection if its peer takes too long. The server calls this every second."""
        now_s = self.loop.time()
        unread = self.transport.get_write_buffer_size()
        if not unread or unread < self._unread_bytes:
            self._read_since_s = now_s
        self._unread_bytes = unread
        if now_s - self._read_since_s > ANSWER_S:
            self.transport.abort()
        elif self._receiving and not self.transport.is_closing():
            if self._body_bytes >= MIN_BODY_BYTES or self.flow.read_paused:
                self._body_bytes, self._body_since_s = 0, now_s
            elif now_s - self._body_since_s > BODY_S:
                self._body_too_slow()

    def _body_too_slow(self) -> None:
        if self.cycle.response_started or self.pipeline:
            self.transport.abort()
            return
        self.cycle.scope["state"][REFUSED_STATUS] = HTTPStatus.REQUEST_TIMEOUT.value
        self.cycle.disconnected = True  # the application does not answer any more
        self.cycle.message_event.set()
        self._answer_and_close(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")

    def _refuse(self, status: HTTPStatus, detail: str = "") -> None:
        """Answer what no application gets to see with a problem document, count it, and close the connection."""
        self._on_refused(status.value)
        self._answer_and_close(status, detail)

    def _answer_and_close(self, status: HTTPStatus, detail: str) -> None:
        """Send a problem document (RFC 9457), unless another answer is in progress, and close the connection."""
        self._refused = True
        if self._answering and self.cycle.response_started:
            self.transport.abort()
            return
        problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
        body = orjson.dumps(problem)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _time_idle(self) -> None:
        """Start the timer if none runs although no request is in progress, as after an empty line between requests."""
        if (
            not self._receiving
            and not self._answering
            and self.timeout_keep_alive_task is None
            and not self.transport.is_closing()
        ):
            self._start_timer()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._timed_out)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        # If an answer is still in progress, this is the next request, begun and abandoned: the answer goes out first.
        self._timer = None
        if self._answering:
            self.cycle.keep_alive = False
        else:
            self.transport.close()


class _Occasional(logging.Filter):
    """Passes one record of each message a second."""

    def __init__(self) -> None:
        super().__init__()
        self._limiter = Limiter(LOG_EVERY_S)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written."""
        suppressed = self._limiter.passes(record.msg)
        if suppressed:
            record.left_out = suppressed
        return suppressed is not None


_OCCASIONAL = _Occasional()


def _limited_logger() -> logging.Logger:
    """Return uvicorn's logger with a limit on the lines that peers can cause."""
    logger = logging.getLogger("uvicorn.error")
    if _OCCASIONAL not in logger.filters:
        logger.addFilter(_OCCASIONAL)
    return logger
