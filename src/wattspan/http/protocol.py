"""uvicorn's HTTP protocol with limits on the size of a request's head and on the time it takes to arrive.

httptools joins the pieces of a header without limit, and uvicorn waits for a first request forever. Without limits,
anybody who can reach the port could use up the memory or the file descriptors that charge points need.
"""

import asyncio
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Largest request line and headers together."""
HEAD_S = 20.0
"""How long they may take, from the start of the connection or of the request, s."""


class _HeadTooLong(Exception):
    """Ends the parsing; httptools wraps it in an error of its own."""


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to a head that is too long and 400 to malformed HTTP; closes a connection that takes too long."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._steps = 0  # heads, body chunks and ends of requests so far
        self._stuck_bytes = 0
        self._too_long = False
        self._timer: asyncio.TimerHandle | None = None
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        steps = self._steps
        super().data_received(data)
        # No step: a head, trailer or chunk extension that does not end, and that httptools buffers.
        self._stuck_bytes = 0 if self._steps != steps else self._stuck_bytes + len(data)
        if self._stuck_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            if self._timer is None:
                self.transport.abort()  # an answer may be in progress
            else:
                self._too_long = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_timer()

    def on_headers_complete(self) -> None:
        self._steps += 1
        self._cancel_timer()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            self._too_long = True
            raise _HeadTooLong
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._steps += 1
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer with a problem document (RFC 9457) and close the connection."""
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if self._too_long else HTTPStatus.BAD_REQUEST
        problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": msg}
        body = orjson.dumps(problem)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._timed_out)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        # If an answer is still in progress, this is the next request, begun and abandoned: the answer goes out first.
        if not self._steps or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
