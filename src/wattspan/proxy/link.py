"""`Link`: the two joined connections of one charge point, until both have ended."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from websockets.frames import Frame

from wattspan.proxy.hop import Hop


class LinkObserver(Protocol):
    """What is called about one connection, after the fact. No method may raise or block."""

    def frame(self, frame: Frame, from_charge_point: bool, at_ns: int) -> None: ...
    def closed(self, code: int, reason: str) -> None: ...


class Link:
    """Two joined hops. It ends when both have ended."""

    __slots__ = ("_left", "_observer", "charger", "ended", "upstream")

    def __init__(
        self, charger: Hop, upstream: Hop, observer: LinkObserver | None, left: Callable[["Link"], None]
    ) -> None:
        self.charger = charger
        self.upstream = upstream
        self._observer = observer
        self._left = left
        self.ended: asyncio.Future[None] = charger.loop.create_future()

    def start(self) -> None:
        """Relay, beginning with what arrived with the handshakes."""
        charger, upstream = self.charger, self.upstream
        for hop in (charger, upstream):
            hop.on_lost = self._lost
            if self._observer is not None:
                hop.on_frame = self._observer.frame
        charger.join(upstream)
        upstream.join(charger)
        charger.release()
        upstream.release()

    def close(self, data: bytes) -> None:
        """Send a close frame to both ends."""
        self.charger.close(data)
        self.upstream.close(data)

    def abort(self) -> None:
        """End both TCP connections at once."""
        for hop in (self.charger, self.upstream):
            if not hop.lost:
                hop.transport.abort()

    def _lost(self, hop: Hop) -> None:
        if hop is self.charger and self._observer is not None:
            observer, self._observer = self._observer, None
            observer.closed(*close_of(self.charger, self.upstream))
        if self.charger.lost and self.upstream.lost and not self.ended.done():
            self.ended.set_result(None)
            self._left(self)


def close_of(charger: Hop, upstream: Hop) -> tuple[int, str]:
    """Return code and reason with which a connection was closed, 1006 without a close frame."""
    data = charger.protocol.close_received
    if data is None:
        data = upstream.protocol.close_received
    if data is None:
        sent = charger.protocol.close_sent or upstream.protocol.close_sent  # we closed it, because of a limit
        return (1006, "") if sent is None else (int(sent.code), sent.reason)
    if len(data) < 2:  # noqa: PLR2004
        return 1005, ""
    return int.from_bytes(data[:2], "big"), bytes(data[2:]).decode(errors="replace")
