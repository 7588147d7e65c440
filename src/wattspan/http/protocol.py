"""uvicorn's HTTP protocol with an end to what a stranger may send before a request has begun, and to how long it takes.

httptools joins a header's pieces without limit, and uvicorn waits for a first request for ever: whoever can reach the
port could take all memory, or all file descriptors, of which charge points need one each.
"""

import asyncio
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Of a request's line and headers."""
HEAD_S = 20.0
"""How long they may take, from the connection's or the request's beginning."""


class _HeadTooLong(Exception):
    """Ends the parsing; httptools hands it on as an error of its own."""


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to a head that is too long, 400 to what is no HTTP, and closes what takes too long in silence."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._steps = 0  # heads, pieces of bodies and ends of requests so far
        self._stuck_bytes = 0
        self._too_long = False
        self._timer: asyncio.TimerHandle | None = None
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        steps = self._steps
        super().data_received(data)
        # No step: a head, a trailer or a chunk's extension that does not end, and that httptools keeps.
        self._stuck_bytes = 0 if self._steps != steps else self._stuck_bytes + len(data)
        if self._stuck_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            if self._timer is None:
                self.transport.abort()  # an answer may be under way
            else:
                self._too_long = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        self._steps += 1
        self._wait_no_more()
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
        """Answer with a problem (RFC 9457), and close."""
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if self._too_long else HTTPStatus.BAD_REQUEST
        problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": msg}
        body = orjson.dumps(problem)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._give_up)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        # With an answer still under way this is a next request that was begun and left: the answer goes out first.
        if not self._steps or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
